package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/history/internal/record"
)

// Append stores the messages in one transaction, all or none. Those that are there already change nothing.
// Those of users whose words were erased are redacted, and noted as to be announced. It says how many were new and
// how many of these were redacted.
func (s *Store) Append(ctx context.Context, messages []record.Message) (stored, redacted int, err error) {
	// In one order, so that instances that store the same messages at once do not wait for each other.
	messages = slices.Clone(messages)
	slices.SortFunc(messages, func(a, b record.Message) int { return a.ID.Compare(b.ID) })
	err = s.inTx(ctx, s.Shared, func(tx *sql.Tx) error {
		a := &appender{Store: s, tx: tx, erased: make(map[string]int64)}
		defer a.close()
		if err := a.prepare(ctx); err != nil {
			return err
		}
		for i := range messages {
			if err := a.append(ctx, messages[i]); err != nil {
				return fmt.Errorf("message %s: %w", messages[i].ID, err)
			}
		}
		stored, redacted = a.stored, a.redacted
		return nil
	})
	if err != nil {
		return 0, 0, fmt.Errorf("store %d messages: %w", len(messages), err)
	}
	return stored, redacted, nil
}

type appender struct {
	*Store
	tx                    *sql.Tx
	message, place, words *sql.Stmt
	erased                map[string]int64 // users looked up: until when what they said is erased
	stored, redacted      int
}

func (a *appender) prepare(ctx context.Context) (err error) {
	for statement, to := range map[string]**sql.Stmt{
		`INSERT INTO messages (epoch, sequence, namespace, socket, author, name, time, payload, lengths, redacted)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING id`: &a.message,
		`INSERT INTO places (namespace, target, epoch, sequence, message) VALUES (?, ?, ?, ?, ?)`: &a.place,
		a.PutWords: &a.words,
	} {
		if *to, err = a.tx.PrepareContext(ctx, a.sql(statement)); err != nil {
			return err
		}
	}
	return nil
}

func (a *appender) close() {
	for _, s := range []*sql.Stmt{a.message, a.place, a.words} {
		if s != nil {
			s.Close()
		}
	}
}

func (a *appender) append(ctx context.Context, m record.Message) error {
	until, err := a.erasedUntil(ctx, m.User)
	if err != nil {
		return err
	}
	erased := m.Time.UnixNano() <= until
	if erased {
		m.Redact()
	}
	var id int64
	err = a.message.QueryRowContext(ctx, m.ID.Epoch, m.ID.Sequence, m.Namespace, m.Socket, m.User, m.Name, m.Time.UnixNano(),
		contract.JoinPayload(m.Event, m.Attachments), contract.FormatAttachments(m.Attachments), m.Redacted).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // there already
	}
	if err != nil {
		return err
	}
	targets := m.Targets
	if len(targets) == 0 {
		targets = []string{record.NoPlace}
	}
	for _, target := range targets {
		if _, err := a.place.ExecContext(ctx, m.Namespace, target, m.ID.Epoch, m.ID.Sequence, id); err != nil {
			return err
		}
	}
	a.stored++
	if erased {
		a.redacted++
		return a.announceRedaction(ctx, a.tx, m.Namespace, m.User, m.ID)
	}
	if words := record.Words(m.Event); words != "" {
		_, err = a.words.ExecContext(ctx, id, wordPlaces(m.Namespace, targets), words)
	}
	return err
}

// erasedUntil is until when what the user said is erased, in Unix nanoseconds; the least number if it is not.
func (a *appender) erasedUntil(ctx context.Context, user string) (until int64, err error) {
	const never = -1 << 63
	if user == "" {
		return never, nil
	}
	until, known := a.erased[user]
	if !known {
		err := a.tx.QueryRowContext(ctx, a.sql(`SELECT until FROM erased WHERE author = ?`), user).Scan(&until)
		if errors.Is(err, sql.ErrNoRows) {
			until = never
		} else if err != nil {
			return 0, err
		}
		a.erased[user] = until
	}
	return until, nil
}

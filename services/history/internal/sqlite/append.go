package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/history/internal/record"
)

// Append stores the messages in one transaction, all or none. Those that are there already change nothing.
// Those of deleted users are redacted, and noted as to be announced. It says how many were new and how many
// of these were redacted.
func (s *Store) Append(ctx context.Context, messages []record.Message) (stored, redacted int, err error) {
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		a, err := newAppender(ctx, tx)
		if err != nil {
			return err
		}
		defer a.close()
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
	tx               *sql.Tx
	message, place   *sql.Stmt
	deleted          map[string]bool // users looked up
	stored, redacted int
}

func newAppender(ctx context.Context, tx *sql.Tx) (*appender, error) {
	a := &appender{tx: tx, deleted: make(map[string]bool)}
	var err error
	if a.message, err = tx.PrepareContext(ctx, `
		INSERT INTO messages (epoch, sequence, namespace, socket, user, name, time, payload, lengths, redacted)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING id`); err != nil {
		return nil, err
	}
	if a.place, err = tx.PrepareContext(ctx, `
		INSERT INTO places (namespace, target, epoch, sequence, message) VALUES (?, ?, ?, ?, ?)`); err != nil {
		return nil, errors.Join(err, a.message.Close())
	}
	return a, nil
}

func (a *appender) close() {
	a.message.Close()
	a.place.Close()
}

func (a *appender) append(ctx context.Context, m record.Message) error {
	deleted, err := a.isDeleted(ctx, m.User)
	if err != nil {
		return err
	}
	if deleted {
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
	for _, target := range m.Targets {
		if _, err := a.place.ExecContext(ctx, m.Namespace, target, m.ID.Epoch, m.ID.Sequence, id); err != nil {
			return err
		}
	}
	a.stored++
	if deleted {
		a.redacted++
		return announce(ctx, a.tx, m.Namespace, m.User, m.ID)
	}
	return nil
}

func (a *appender) isDeleted(ctx context.Context, user string) (bool, error) {
	if user == "" {
		return false, nil
	}
	deleted, known := a.deleted[user]
	if !known {
		if err := a.tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM deleted_users WHERE user = ?)`, user).Scan(&deleted); err != nil {
			return false, err
		}
		a.deleted[user] = deleted
	}
	return deleted, nil
}

package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/history/internal/record"
)

// rowsAtOnce bounds the rows of one statement: databases take some ten thousand parameters.
const rowsAtOnce = 256

// Append stores the messages in one transaction, all or none. Those that are there already change nothing.
// Those of users whose words were erased are redacted, and noted as to be announced. It says how many were new and
// how many of these were redacted. The error wraps [record.ErrRefused] if it is due to what the messages hold, one of
// them at least; it is a [record.TakenError] if other messages have their ids.
func (s *Store) Append(ctx context.Context, messages []record.Message) (stored, redacted int, err error) {
	for range raceTries {
		err = s.inTx(ctx, s.Shared, func(tx *sql.Tx) error {
			a := &appender{Store: s, tx: tx, erased: make(map[string]int64), newest: make(map[[2]string]record.ID)}
			fresh, err := a.place(ctx, messages)
			if err != nil {
				return err
			}
			// In one order, so that instances that store the same messages at once do not wait for each other.
			slices.SortStableFunc(fresh, func(a, b record.Message) int { return a.ID.Compare(b.ID) })
			for chunk := range slices.Chunk(fresh, rowsAtOnce) {
				if err := a.append(ctx, chunk); err != nil {
					return err
				}
			}
			if err := a.tell(ctx); err != nil {
				return err
			}
			stored, redacted = a.stored, a.redacted
			return nil
		})
		if !errors.Is(err, errRace) {
			break
		}
	}
	var taken *record.TakenError
	if errors.As(err, &taken) {
		return 0, 0, err
	}
	if err != nil {
		if s.Refused(err) && s.probe(ctx) == nil {
			err = fmt.Errorf("%w: %w", record.ErrRefused, err)
		}
		return 0, 0, fmt.Errorf("store %d messages: %w", len(messages), err)
	}
	return stored, redacted, nil
}

// errUndone ends a probe's transaction.
var errUndone = errors.New("undone")

// probe says whether the database takes a harmless message, which it does not keep. If it does not, it is to blame
// for what it refuses, and not what it was given: somebody has changed a table, for example.
func (s *Store) probe(ctx context.Context) error {
	harmless := record.Message{ID: record.ID{Epoch: math.MinInt64}, Namespace: "_", Targets: []string{contract.TargetAll},
		User: "probe", Time: time.Now(), Event: []byte(`["probe","word"]`)}
	err := s.inTx(ctx, s.Shared, func(tx *sql.Tx) error {
		a := &appender{Store: s, tx: tx, erased: make(map[string]int64), newest: make(map[[2]string]record.ID)}
		if err := a.append(ctx, []record.Message{harmless}); err != nil {
			return err
		}
		return errUndone
	})
	if errors.Is(err, errUndone) {
		return nil
	}
	return err
}

type appender struct {
	*Store
	tx               *sql.Tx
	erased           map[string]int64        // users looked up: until when what they said is erased
	newest           map[[2]string]record.ID // of the messages redacted, by namespace and user
	stored, redacted int
}

// tell notes that clients must be told of what was redacted: last and in one order, so that instances do not wait for each other.
func (a *appender) tell(ctx context.Context) error {
	for _, key := range slices.SortedFunc(maps.Keys(a.newest), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		if err := a.announceRedaction(ctx, a.tx, key[0], key[1], a.erased[key[1]], a.newest[key]); err != nil {
			return err
		}
	}
	return nil
}

// append stores messages of different ids that are not there.
func (a *appender) append(ctx context.Context, messages []record.Message) error {
	erased := make(map[record.ID]bool) // those that are redacted on arrival
	said := rows{head: `INSERT INTO messages (epoch, sequence, namespace, socket, author, name, time, payload, lengths, redacted, copied) VALUES `,
		row: `(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, tail: ` ON CONFLICT DO NOTHING RETURNING id, epoch, sequence`}
	for i := range messages {
		m := &messages[i]
		until, err := a.erasedUntil(ctx, m.User)
		if err != nil {
			return err
		}
		if m.Time.UnixNano() <= until {
			m.Redact()
			erased[m.ID] = true
		}
		said.add(m.ID.Epoch, m.ID.Sequence, m.Namespace, m.Socket, m.User, m.Name, m.Time.UnixNano(),
			contract.JoinPayload(m.Event, m.Attachments), contract.FormatAttachments(m.Attachments), m.Redacted, nanoseconds(m.Copied))
	}
	fresh, err := a.insert(ctx, said)
	if err != nil {
		return err
	}
	if len(fresh) < len(messages) {
		return errRace
	}
	places := rows{head: `INSERT INTO places (namespace, target, epoch, sequence, message) VALUES `, row: `(?, ?, ?, ?, ?)`}
	words := a.words()
	for _, m := range messages {
		row := fresh[m.ID]
		a.stored++
		targets := m.Targets
		if len(targets) == 0 {
			targets = []string{record.NoPlace}
		}
		for _, target := range targets {
			places.add(m.Namespace, target, m.ID.Epoch, m.ID.Sequence, row)
		}
		if erased[m.ID] {
			a.redacted++
			a.newest[[2]string{m.Namespace, m.User}] = m.ID
		} else if text := record.Words(m.Event); text != "" {
			words.add(row, a.tokens(m, targets), text)
		}
	}
	if err := errors.Join(places.exec(ctx, a.Store, a.tx), words.exec(ctx, a.Store, a.tx)); err != nil {
		return err
	}
	return a.gone(ctx, messages, fresh)
}

// insert returns the database's numbers of the messages that are new.
func (a *appender) insert(ctx context.Context, said rows) (fresh map[record.ID]int64, err error) {
	found, err := a.tx.QueryContext(ctx, a.sql(said.statement(len(said.args))), slices.Concat(said.args...)...)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	fresh = make(map[record.ID]int64, len(said.args))
	for found.Next() {
		var id record.ID
		var row int64
		if err := found.Scan(&row, &id.Epoch, &id.Sequence); err != nil {
			return nil, err
		}
		fresh[id] = row
	}
	return fresh, found.Err()
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

// rows are inserted by few statements, since each is a way to the server and back.
type rows struct {
	head, row, tail string
	args            [][]any
}

func (r *rows) add(args ...any) { r.args = append(r.args, args) }

func (r *rows) statement(n int) string {
	return r.head + strings.TrimSuffix(strings.Repeat(r.row+", ", n), ", ") + r.tail
}

func (r *rows) exec(ctx context.Context, s *Store, tx *sql.Tx) error {
	for chunk := range slices.Chunk(r.args, rowsAtOnce) {
		if _, err := tx.ExecContext(ctx, s.sql(r.statement(len(chunk))), slices.Concat(chunk...)...); err != nil {
			return err
		}
	}
	return nil
}

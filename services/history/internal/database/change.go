package database

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/history/internal/record"
)

// Change edits or deletes a message, keeps what it was in its trail, and notes that the clients in all its places
// must be told. It returns the message as it is then. The errors are those of [record.Change.Apply], or
// [record.ErrNotFound], or [record.ErrDeleted].
func (s *Store) Change(ctx context.Context, c record.Change) (m record.Message, err error) {
	err = s.inTx(ctx, s.Exclusive, func(tx *sql.Tx) error {
		if err := s.exists(ctx, tx, c.By.User); err != nil {
			return err
		}
		m, err = scan(tx.QueryRowContext(ctx, s.sql(`SELECT `+columns+` FROM places p JOIN messages m ON m.id = p.message
			WHERE p.namespace = ? AND p.target = ? AND p.epoch = ? AND p.sequence = ?`), c.Place.Namespace, c.Place.Target, c.ID.Epoch, c.ID.Sequence))
		if errors.Is(err, sql.ErrNoRows) {
			return record.ErrNotFound
		}
		if err != nil {
			return err
		}
		if m.Targets, err = s.targets(ctx, tx, m.Row); err != nil {
			return err
		}
		was := m
		c.Time = m.ChangeTime(time.Now())
		if err = c.Apply(&m); err != nil || string(was.Event) == string(m.Event) && was.Deleted.Equal(m.Deleted) {
			return err
		}
		if err := s.change(ctx, tx, c, was, m); err != nil || c.Action != record.Delete {
			return err
		}
		fact, err := record.Deletion{ID: c.ID, User: c.By.User, Time: c.Time}.Fact()
		if err != nil {
			return err
		}
		return s.announce(ctx, tx, fact)
	})
	if err != nil {
		return m, fmt.Errorf("change message %s: %w", c.ID, err)
	}
	return m, nil
}

// change makes a change and notes that clients must be told.
func (s *Store) change(ctx context.Context, tx *sql.Tx, c record.Change, was, is record.Message) error {
	id, err := s.replace(ctx, tx, c, was, is)
	if err != nil {
		return err
	}
	for _, target := range is.Targets {
		if target == record.NoPlace {
			continue
		}
		event, err := c.Announce(is, target)
		if err != nil {
			return err
		}
		a := record.Announcement{Topic: changedTopic(is.ID) + ":" + target, Version: record.ID{Sequence: id}, Namespace: is.Namespace, Target: target, Event: event}
		if err := s.announce(ctx, tx, a); err != nil {
			return err
		}
	}
	return nil
}

// replace puts a message in place of what it was, which goes into its trail. It returns the number of the change.
func (s *Store) replace(ctx context.Context, tx *sql.Tx, c record.Change, was, is record.Message) (id int64, err error) {
	err = tx.QueryRowContext(ctx, s.sql(`INSERT INTO changes (message, action, author, socket, name, time, payload, lengths) VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id`),
		is.Row, string(c.Action), c.By.User, c.By.Socket, c.By.Name, c.Time.UnixNano(), contract.JoinPayload(was.Event, was.Attachments), contract.FormatAttachments(was.Attachments)).Scan(&id)
	if err != nil {
		return 0, err
	}
	updated, err := tx.ExecContext(ctx, s.sql(`UPDATE messages SET payload = ?, lengths = ?, edited = ?, deleted = ? WHERE id = ?`),
		contract.JoinPayload(is.Event, is.Attachments), contract.FormatAttachments(is.Attachments), nanoseconds(is.Edited), nanoseconds(is.Deleted), is.Row)
	if err != nil {
		return 0, err
	}
	if n, err := updated.RowsAffected(); err != nil || n == 0 {
		return 0, cmp.Or(err, record.ErrNotFound)
	}
	if _, err := tx.ExecContext(ctx, s.sql(s.DropWords), is.Row); err != nil {
		return 0, err
	}
	if words := record.Words(is.Event); words != "" && is.Deleted.IsZero() {
		if _, err := tx.ExecContext(ctx, s.sql(s.PutWords+s.WordsRow+s.WordsEnd), is.Row, s.tokens(is, is.Targets), words); err != nil {
			return 0, err
		}
	}
	return id, nil
}

// changedTopic begins the topics of what clients must be told of a message's changes.
func changedTopic(id record.ID) string { return "changed:" + id.String() }

// Get is the message of that id in a place, or [record.ErrNotFound].
func (s *Store) Get(ctx context.Context, place record.Place, id record.ID) (m record.Message, err error) {
	m, err = scan(s.read.QueryRowContext(ctx, s.sql(`SELECT `+columns+` FROM places p JOIN messages m ON m.id = p.message
		WHERE p.namespace = ? AND p.target = ? AND p.epoch = ? AND p.sequence = ?`), place.Namespace, place.Target, id.Epoch, id.Sequence))
	if errors.Is(err, sql.ErrNoRows) {
		err = record.ErrNotFound
	}
	if err != nil {
		return m, fmt.Errorf("find message %s: %w", id, err)
	}
	return m, nil
}

// tracesAtOnce bounds what is read of a trail at a time: each has a message.
const tracesAtOnce = 16

// Traces hands the changes of a message that has the row to each, oldest first, from behind that number on, until each
// returns false.
func (s *Store) Traces(ctx context.Context, row, after int64, each func(record.Trace) bool) error {
	for {
		traces, err := s.traces(ctx, row, after)
		if err != nil {
			return fmt.Errorf("read the trail of a message: %w", err)
		}
		for _, t := range traces {
			if after = t.Number; !each(t) {
				return nil
			}
		}
		if len(traces) < tracesAtOnce {
			return nil
		}
	}
}

func (s *Store) traces(ctx context.Context, row, after int64) (traces []record.Trace, err error) {
	rows, err := s.read.QueryContext(ctx, s.sql(`SELECT id, action, author, socket, name, time, payload, lengths FROM changes WHERE message = ? AND id > ? ORDER BY id LIMIT ?`),
		row, after, tracesAtOnce)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var t record.Trace
		var when int64
		var payload []byte
		var lengths string
		if err := rows.Scan(&t.Number, &t.Action, &t.By.User, &t.By.Socket, &t.By.Name, &when, &payload, &lengths); err != nil {
			return nil, err
		}
		t.Time = at(when)
		if t.Event, _, err = contract.SplitPayload(contract.Header{contract.HeaderAttachments: {lengths}}, payload); err != nil {
			return nil, err
		}
		traces = append(traces, t)
	}
	return traces, rows.Err()
}

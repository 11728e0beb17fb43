package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/natter-io/natter/services/history/internal/record"
)

// Deletions makes deletions of which the stream of facts tells: of messages that are there, and of those that are stored
// later. What is deleted already stays as it is.
func (s *Store) Deletions(ctx context.Context, told []record.Deletion) error {
	limited, cancel := context.WithTimeout(ctx, s.TxWait)
	defer cancel()
	todo, err := s.undone(limited, told)
	if err == nil && len(todo) > 0 {
		err = s.inTx(ctx, s.Exclusive, func(tx *sql.Tx) error {
			for _, d := range todo {
				if err := s.deletion(ctx, tx, d); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err != nil {
		return fmt.Errorf("delete what was deleted before: %w", err)
	}
	return nil
}

// undone are the deletions but for those that were made: without a lock, since the service hears its own facts, too.
func (s *Store) undone(ctx context.Context, told []record.Deletion) (todo []record.Deletion, err error) {
	for _, d := range told {
		done := false
		err := s.read.QueryRowContext(ctx, s.sql(`SELECT deleted <> 0 FROM messages WHERE epoch = ? AND sequence = ?`), d.ID.Epoch, d.ID.Sequence).Scan(&done)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, err
		}
		if !done {
			todo = append(todo, d)
		}
	}
	return todo, nil
}

func (s *Store) deletion(ctx context.Context, tx *sql.Tx, d record.Deletion) error {
	m, err := scan(tx.QueryRowContext(ctx, s.sql(`SELECT `+columns+` FROM messages m WHERE m.epoch = ? AND m.sequence = ?`), d.ID.Epoch, d.ID.Sequence))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		_, err = tx.ExecContext(ctx, s.sql(`INSERT INTO gone (epoch, sequence, author, time) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`),
			d.ID.Epoch, d.ID.Sequence, d.User, d.Time.UnixNano())
		return err
	case err != nil || !m.Deleted.IsZero() || !d.Of(m):
		return err
	}
	if m.Targets, err = s.targets(ctx, tx, m.Row); err != nil {
		return err
	}
	c, is := d.Change(m)
	return s.change(ctx, tx, c, m, is)
}

// gone deletes those of the new messages that were deleted before they came. Clients are not told: they have been, or
// have never seen them. The messages are in order.
func (a *appender) gone(ctx context.Context, messages []record.Message, fresh map[record.ID]int64) error {
	told, err := a.told(ctx, messages[0].ID, messages[len(messages)-1].ID)
	if err != nil || len(told) == 0 {
		return err
	}
	for _, m := range messages {
		d, found := told[m.ID]
		row, isNew := fresh[m.ID]
		if !found || !isNew || !d.Of(m) {
			continue
		}
		m.Row = row
		c, is := d.Change(m)
		if _, err := a.replace(ctx, a.tx, c, m, is); err != nil {
			return err
		}
		if _, err := a.tx.ExecContext(ctx, a.sql(`DELETE FROM gone WHERE epoch = ? AND sequence = ?`), m.ID.Epoch, m.ID.Sequence); err != nil {
			return err
		}
	}
	return nil
}

// told are the deletions of messages that were not there.
func (a *appender) told(ctx context.Context, first, last record.ID) (map[record.ID]record.Deletion, error) {
	rows, err := a.tx.QueryContext(ctx, a.sql(`SELECT epoch, sequence, author, time FROM gone WHERE (epoch, sequence) >= (?, ?) AND (epoch, sequence) <= (?, ?)`),
		first.Epoch, first.Sequence, last.Epoch, last.Sequence)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	told := make(map[record.ID]record.Deletion)
	for rows.Next() {
		var d record.Deletion
		var when int64
		if err := rows.Scan(&d.ID.Epoch, &d.ID.Sequence, &d.User, &when); err != nil {
			return nil, err
		}
		d.Time = time.Unix(0, when).UTC()
		told[d.ID] = d
	}
	return told, rows.Err()
}

// Forget forgets the deletions from before then of messages that have not come.
func (s *Store) Forget(ctx context.Context, before time.Time) (forgotten int, err error) {
	err = s.inTx(ctx, s.Shared, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, s.sql(`DELETE FROM gone WHERE time < ?`), before.UnixNano())
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		forgotten = int(n)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("forget deletions: %w", err)
	}
	return forgotten, nil
}

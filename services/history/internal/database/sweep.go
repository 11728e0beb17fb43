package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/natter-io/natter/services/history/internal/record"
)

// NextPlace is the place after another one, in no meaningful order; ok is false after the last. The first one comes
// after the zero [record.Place].
func (s *Store) NextPlace(ctx context.Context, after record.Place) (place record.Place, ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.ReadWait)
	defer cancel()
	err = s.read.QueryRowContext(ctx, s.sql(`SELECT namespace, target FROM places WHERE (namespace, target) > (?, ?) ORDER BY namespace, target LIMIT 1`),
		after.Namespace, after.Target).Scan(&place.Namespace, &place.Target)
	if errors.Is(err, sql.ErrNoRows) {
		return record.Place{}, false, nil
	}
	if err != nil {
		return record.Place{}, false, fmt.Errorf("list places: %w", err)
	}
	return place, true, nil
}

// Sweep takes a place's messages out that were said before then, in chunks, and says how many. One that is in other
// places too stays there. They are gone without a trace, but for what a backup has.
func (s *Store) Sweep(ctx context.Context, place record.Place, before time.Time) (swept int, err error) {
	for all := false; !all; {
		var old []int64
		err := s.inTx(ctx, s.Dialect.Sweep, func(tx *sql.Tx) (err error) {
			if s.Shared != "" { // nobody changes or redacts what is taken out
				if _, err := tx.ExecContext(ctx, s.Shared); err != nil {
					return err
				}
			}
			if old, err = s.old(ctx, tx, place, before); err != nil {
				return err
			}
			all = len(old) < s.MaxMessages
			left := s.MaxChanges
			for i, row := range old {
				if left, err = s.remove(ctx, tx, place, row, left); err != nil {
					return err
				}
				if left == 0 { // the next transaction begins with the rest of this one's
					old, all = old[:i], false
					break
				}
			}
			return nil
		})
		if err != nil {
			return swept, fmt.Errorf("take old messages out of %s in %s: %w", place.Target, place.Namespace, err)
		}
		swept += len(old)
	}
	if swept > 0 && s.Erased != "" {
		if _, err := s.write.ExecContext(ctx, s.Erased); err != nil {
			return swept, fmt.Errorf("after taking messages out: %w", err)
		}
	}
	return swept, nil
}

// young is how many messages in a row that are not too old end a look. Ids and times have one order, unless a clock was wrong.
const young = 64

// old lists the oldest messages of a place that are too old, as far as there are some. Those that are dated in the future hold up none behind them.
func (s *Store) old(ctx context.Context, tx *sql.Tx, place record.Place, before time.Time) (rows []int64, err error) {
	found, err := tx.QueryContext(ctx, s.sql(`SELECT m.id, m.time FROM places p JOIN messages m ON m.id = p.message
		WHERE p.namespace = ? AND p.target = ? AND m.time <= ? ORDER BY p.epoch, p.sequence LIMIT ?`), place.Namespace, place.Target, time.Now().UnixNano(), s.MaxMessages+young)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	for inRow := 0; inRow < young && len(rows) < s.MaxMessages && found.Next(); {
		var row, said int64
		if err := found.Scan(&row, &said); err != nil {
			return nil, err
		}
		if said >= before.UnixNano() {
			inRow++
			continue
		}
		inRow = 0
		rows = append(rows, row)
	}
	return rows, found.Err()
}

// remove takes a message out of a place, unless it has more changes than are left in the transaction: then it takes out those.
func (s *Store) remove(ctx context.Context, tx *sql.Tx, place record.Place, row, changes int64) (left int64, err error) {
	var elsewhere bool
	if err := tx.QueryRowContext(ctx, s.sql(`SELECT EXISTS (SELECT 1 FROM places WHERE message = ? AND (namespace, target) <> (?, ?))`),
		row, place.Namespace, place.Target).Scan(&elsewhere); err != nil {
		return 0, err
	}
	if !elsewhere {
		changes, err = s.some(ctx, tx, `DELETE FROM changes WHERE id IN (SELECT id FROM changes WHERE message = ? LIMIT ?)`, changes, row)
		if err != nil || changes == 0 {
			return 0, err
		}
	}
	if _, err := tx.ExecContext(ctx, s.sql(`DELETE FROM places WHERE namespace = ? AND target = ? AND message = ?`), place.Namespace, place.Target, row); err != nil || elsewhere {
		return changes, err
	}
	for _, statement := range []string{s.DropWords, `DELETE FROM messages WHERE id = ?`} {
		if _, err := tx.ExecContext(ctx, s.sql(statement), row); err != nil {
			return 0, err
		}
	}
	return changes, nil
}

// nanoseconds writes a time; the zero time is 0.
func nanoseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

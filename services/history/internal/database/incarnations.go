package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Epoch is the epoch noted for an incarnation of the main stream, if there is one.
func (s *Store) Epoch(ctx context.Context, identity string) (epoch int64, known bool, err error) {
	err = s.read.QueryRowContext(ctx, s.sql(`SELECT epoch FROM incarnations WHERE identity = ?`), identity).Scan(&epoch)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("look up an incarnation: %w", err)
	}
	return epoch, true, nil
}

// NoteEpoch notes the epoch of an incarnation and returns the one that holds: the one noted before, if there
// is one, or the next free one if another incarnation has it, since messages of two must not share a key.
func (s *Store) NoteEpoch(ctx context.Context, identity string, epoch int64) (held int64, err error) {
	err = s.inTx(ctx, s.Exclusive, func(tx *sql.Tx) error {
		for ; ; epoch++ {
			taken := false
			if err := tx.QueryRowContext(ctx, s.sql(`SELECT EXISTS (SELECT 1 FROM incarnations WHERE epoch = ? AND identity <> ?)`), epoch, identity).Scan(&taken); err != nil {
				return err
			}
			if !taken {
				break
			}
		}
		if _, err := tx.ExecContext(ctx, s.sql(`INSERT INTO incarnations (identity, epoch) VALUES (?, ?) ON CONFLICT DO NOTHING`), identity, epoch); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, s.sql(`SELECT epoch FROM incarnations WHERE identity = ?`), identity).Scan(&held)
	})
	if err != nil {
		return 0, fmt.Errorf("note an incarnation: %w", err)
	}
	return held, nil
}

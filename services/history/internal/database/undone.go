package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/natter-io/natter/services/history/internal/record"
)

// Undone lists the erasures that are not over, and how far they are: somebody is at work, or was killed, or the database failed.
func (s *Store) Undone(ctx context.Context) (all []record.Erasure, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.ReadWait)
	defer cancel()
	rows, err := s.read.QueryContext(ctx, `SELECT author, until FROM erased WHERE NOT done`)
	if err != nil {
		return nil, fmt.Errorf("list erasures: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var e record.Erasure
		if err := rows.Scan(&e.User, &e.Until); err != nil {
			return nil, fmt.Errorf("list erasures: %w", err)
		}
		all = append(all, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list erasures: %w", err)
	}
	for i := range all {
		e := &all[i]
		err := s.read.QueryRowContext(ctx, s.sql(`SELECT epoch, sequence FROM messages
			WHERE author = ? AND author <> '' AND NOT redacted AND time <= ? ORDER BY epoch, sequence LIMIT 1`), e.User, e.Until).Scan(&e.Left.Epoch, &e.Left.Sequence)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, fmt.Errorf("how far an erasure is: %w", err)
		}
	}
	return all, nil
}

// Resume ends an erasure that nobody is at work on.
func (s *Store) Resume(ctx context.Context, e record.Erasure) (redacted int, err error) {
	if redacted, err = s.redact(ctx, e.User, e.Until, e.Until != forGood); err != nil {
		err = fmt.Errorf("go on with an erasure: %w", err)
	}
	return redacted, err
}

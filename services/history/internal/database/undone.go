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
	if all, err = s.inPart(ctx); err != nil {
		return nil, fmt.Errorf("list erasures: %w", err)
	}
	for i := range all {
		if err := s.left(ctx, &all[i]); err != nil {
			return nil, fmt.Errorf("how far an erasure is: %w", err)
		}
	}
	return all, nil
}

func (s *Store) inPart(ctx context.Context) (all []record.Erasure, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.ReadWait)
	defer cancel()
	rows, err := s.read.QueryContext(ctx, `SELECT author, until FROM erased WHERE NOT done`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var e record.Erasure
		if err := rows.Scan(&e.User, &e.Until); err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, rows.Err()
}

// left looks how far an erasure is. After millions of messages that takes too long: then it does not know, and the erasure seems to stand
// still, which does no harm where somebody is at work.
func (s *Store) left(ctx context.Context, e *record.Erasure) error {
	looking, cancel := context.WithTimeout(ctx, s.ReadWait)
	defer cancel()
	err := s.read.QueryRowContext(looking, s.sql(`SELECT epoch, sequence FROM messages
		WHERE author = ? AND author <> '' AND NOT redacted AND time <= ? ORDER BY epoch, sequence LIMIT 1`), e.User, e.Until).Scan(&e.Left.Epoch, &e.Left.Sequence)
	if errors.Is(err, sql.ErrNoRows) || looking.Err() != nil && ctx.Err() == nil {
		return nil
	}
	return err
}

// Resume ends an erasure that nobody is at work on.
func (s *Store) Resume(ctx context.Context, e record.Erasure) (redacted int, err error) {
	if redacted, err = s.redact(ctx, e.User, e.Until, e.Until != forGood); err != nil {
		err = fmt.Errorf("go on with an erasure: %w", err)
	}
	return redacted, err
}

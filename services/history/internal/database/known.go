package database

import (
	"context"
	"fmt"
)

// Known says whether there is anything of a user, also if it is erased already.
func (s *Store) Known(ctx context.Context, user string) (known bool, err error) {
	err = s.read.QueryRowContext(ctx, s.sql(`SELECT EXISTS (SELECT 1 FROM messages WHERE author = ? AND author <> '')
		OR EXISTS (SELECT 1 FROM changes WHERE author = ? AND author <> '')
		OR EXISTS (SELECT 1 FROM marks WHERE author = ?)`), user, user, user).Scan(&known)
	if err != nil {
		return false, fmt.Errorf("look for user %s: %w", user, err)
	}
	return known, nil
}

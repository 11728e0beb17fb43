package database

import (
	"context"
	"fmt"

	"github.com/natter-io/natter/services/history/internal/record"
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

// Did hands to each what a user did to messages of others, oldest first, from behind the number on, until each returns false. Of the
// messages it has the ids and namespaces, of the changes not what was said.
func (s *Store) Did(ctx context.Context, user string, after int64, each func(record.Message, record.Trace) bool) error {
	rows, err := s.read.QueryContext(ctx, s.sql(`SELECT c.id, c.action, c.author, c.socket, c.name, c.time, m.namespace, m.epoch, m.sequence
		FROM changes c JOIN messages m ON m.id = c.message
		WHERE c.author = ? AND c.author <> '' AND c.id > ? AND m.author <> c.author ORDER BY c.id`), user, after)
	if err != nil {
		return fmt.Errorf("list what a user changed: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var m record.Message
		var t record.Trace
		var when int64
		if err := rows.Scan(&t.Number, &t.Action, &t.By.User, &t.By.Socket, &t.By.Name, &when, &m.Namespace, &m.ID.Epoch, &m.ID.Sequence); err != nil {
			return fmt.Errorf("list what a user changed: %w", err)
		}
		if t.Time = at(when); !each(m, t) {
			return nil
		}
	}
	return rows.Err()
}

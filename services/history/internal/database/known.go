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

// done is what a user did to a message.
type done struct {
	to record.Message
	it record.Trace
}

// Did hands to each what a user did to messages of others, oldest first, from behind the number on, until each returns false. Of the
// messages it has the ids and namespaces, of the changes not what was said.
func (s *Store) Did(ctx context.Context, user string, after int64, each func(record.Message, record.Trace) bool) error {
	for {
		all, err := s.did(ctx, user, after)
		if err != nil {
			return fmt.Errorf("list what a user changed: %w", err)
		}
		for _, d := range all {
			if after = d.it.Number; !each(d.to, d.it) {
				return nil
			}
		}
		if len(all) < atOnce {
			return nil
		}
	}
}

func (s *Store) did(ctx context.Context, user string, after int64) (all []done, err error) {
	rows, err := s.read.QueryContext(ctx, s.sql(`SELECT c.id, c.action, c.author, c.socket, c.name, c.time, m.namespace, m.epoch, m.sequence
		FROM changes c JOIN messages m ON m.id = c.message
		WHERE c.author = ? AND c.author <> '' AND c.id > ? AND m.author <> c.author ORDER BY c.id LIMIT ?`), user, after, atOnce)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var d done
		var when int64
		if err := rows.Scan(&d.it.Number, &d.it.Action, &d.it.By.User, &d.it.By.Socket, &d.it.By.Name, &when, &d.to.Namespace, &d.to.ID.Epoch, &d.to.ID.Sequence); err != nil {
			return nil, err
		}
		d.it.Time = at(when)
		all = append(all, d)
	}
	return all, rows.Err()
}

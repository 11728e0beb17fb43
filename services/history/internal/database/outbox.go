package database

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/natter-io/natter/services/history/internal/record"
)

// announce notes what clients must be told, in place of an older one on the same topic.
func (s *Store) announce(ctx context.Context, tx *sql.Tx, a record.Announcement) error {
	_, err := tx.ExecContext(ctx, s.sql(`
		INSERT INTO outbox (topic, epoch, sequence, namespace, target, event) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (topic) DO UPDATE SET epoch = excluded.epoch, sequence = excluded.sequence, event = excluded.event
		WHERE (excluded.epoch, excluded.sequence) > (outbox.epoch, outbox.sequence)`),
		a.Topic, a.Version.Epoch, a.Version.Sequence, a.Namespace, a.Target, a.Event)
	return err
}

// Announcements lists what clients must still be told, in the order of its versions.
func (s *Store) Announcements(ctx context.Context) ([]record.Announcement, error) {
	ctx, cancel := context.WithTimeout(ctx, s.ReadWait)
	defer cancel()
	rows, err := s.read.QueryContext(ctx, `SELECT topic, epoch, sequence, namespace, target, event FROM outbox ORDER BY epoch, sequence, topic`)
	if err != nil {
		return nil, fmt.Errorf("read announcements: %w", err)
	}
	defer rows.Close()
	var found []record.Announcement
	for rows.Next() {
		var a record.Announcement
		if err := rows.Scan(&a.Topic, &a.Version.Epoch, &a.Version.Sequence, &a.Namespace, &a.Target, &a.Event); err != nil {
			return nil, fmt.Errorf("read announcements: %w", err)
		}
		found = append(found, a)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read announcements: %w", err)
	}
	return found, nil
}

// Announced forgets an announcement, unless a newer one on its topic has come since it was read.
func (s *Store) Announced(ctx context.Context, a record.Announcement) error {
	ctx, cancel := context.WithTimeout(ctx, s.ReadWait)
	defer cancel()
	if _, err := s.write.ExecContext(ctx, s.sql(`DELETE FROM outbox WHERE topic = ? AND epoch = ? AND sequence = ?`), a.Topic, a.Version.Epoch, a.Version.Sequence); err != nil {
		return fmt.Errorf("forget an announcement: %w", err)
	}
	return nil
}

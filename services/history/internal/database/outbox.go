package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"

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

// toldAtOnce is how many announcements are listed at a time.
const toldAtOnce = 256

// Announcements hands what clients must still be told to each, in the order of its versions, until each returns false. It
// reads an announcement right before that: the ones before may have taken long, and what was erased meanwhile is not there any more.
func (s *Store) Announcements(ctx context.Context, each func(record.Announcement) bool) error {
	last := record.Announcement{Version: record.ID{Epoch: math.MinInt64}}
	for {
		listed, err := s.listed(ctx, last)
		if err != nil {
			return fmt.Errorf("read announcements: %w", err)
		}
		for _, a := range listed {
			err := s.noted(ctx, &a)
			if errors.Is(err, sql.ErrNoRows) {
				continue
			}
			if err != nil {
				return fmt.Errorf("read an announcement: %w", err)
			}
			if !each(a) {
				return nil
			}
		}
		if len(listed) < toldAtOnce {
			return nil
		}
		last = listed[len(listed)-1]
	}
}

// noted reads what is to be said.
func (s *Store) noted(ctx context.Context, a *record.Announcement) error {
	ctx, cancel := context.WithTimeout(ctx, s.ReadWait)
	defer cancel()
	return s.read.QueryRowContext(ctx, s.sql(`SELECT namespace, target, event FROM outbox WHERE topic = ? AND epoch = ? AND sequence = ?`),
		a.Topic, a.Version.Epoch, a.Version.Sequence).Scan(&a.Namespace, &a.Target, &a.Event)
}

// listed are the topics and versions of some announcements behind one.
func (s *Store) listed(ctx context.Context, last record.Announcement) (listed []record.Announcement, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.ReadWait)
	defer cancel()
	rows, err := s.read.QueryContext(ctx, s.sql(`SELECT topic, epoch, sequence FROM outbox WHERE (epoch, sequence, topic) > (?, ?, ?)
		ORDER BY epoch, sequence, topic LIMIT ?`), last.Version.Epoch, last.Version.Sequence, last.Topic, toldAtOnce)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var a record.Announcement
		if err := rows.Scan(&a.Topic, &a.Version.Epoch, &a.Version.Sequence); err != nil {
			return nil, err
		}
		listed = append(listed, a)
	}
	return listed, rows.Err()
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

package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/history/internal/record"
)

const olderQuery = `
	SELECT p.epoch, p.sequence, m.socket, m.user, m.name, m.time, m.payload, m.lengths, m.redacted
	FROM places p JOIN messages m ON m.id = p.message
	WHERE p.namespace = ? AND p.target = ? AND (p.epoch, p.sequence) < (?, ?)
	ORDER BY p.epoch DESC, p.sequence DESC`

// Older hands the messages of a place that are older than before to each, newest first, until each returns
// false. SQLite reads no further than that, so there is no limit to set.
func (s *Store) Older(ctx context.Context, place record.Place, before record.ID, each func(record.Message) bool) error {
	rows, err := s.read.QueryContext(ctx, olderQuery, place.Namespace, place.Target, before.Epoch, before.Sequence)
	if err != nil {
		return fmt.Errorf("read %s in %s: %w", place.Target, place.Namespace, err)
	}
	defer rows.Close()
	for rows.Next() {
		m := record.Message{Namespace: place.Namespace, Targets: []string{place.Target}}
		var nanoseconds int64
		var payload []byte
		var lengths string
		if err := rows.Scan(&m.ID.Epoch, &m.ID.Sequence, &m.Socket, &m.User, &m.Name, &nanoseconds, &payload, &lengths, &m.Redacted); err != nil {
			return fmt.Errorf("read %s in %s: %w", place.Target, place.Namespace, err)
		}
		m.Time = time.Unix(0, nanoseconds).UTC()
		if m.Event, m.Attachments, err = contract.SplitPayload(contract.Header{contract.HeaderAttachments: {lengths}}, payload); err != nil {
			return fmt.Errorf("message %s in the database: %w", m.ID, err)
		}
		if !each(m) {
			return nil
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read %s in %s: %w", place.Target, place.Namespace, err)
	}
	return nil
}

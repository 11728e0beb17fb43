package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/history/internal/record"
)

// redactChunk bounds a transaction, so that storing new messages never waits long for a redaction.
const redactChunk = 500

// Redact remembers that the user is deleted and redacts what the user said, in chunks. It says how many
// messages that were. Once it has returned nil, doing it again changes nothing.
func (s *Store) Redact(ctx context.Context, user string) (redacted int, err error) {
	for {
		n := 0
		err := s.inTx(ctx, func(tx *sql.Tx) error {
			// With the first chunk: from then on Append redacts what comes.
			if _, err := tx.ExecContext(ctx, `INSERT INTO deleted_users (user) VALUES (?) ON CONFLICT DO NOTHING`, user); err != nil {
				return err
			}
			n, err = redactSome(ctx, tx, user)
			return err
		})
		if err != nil {
			return redacted, fmt.Errorf("redact the messages of user %s: %w", user, err)
		}
		redacted += n
		if n < redactChunk {
			break
		}
	}
	if redacted > 0 {
		// The WAL still holds what was said. A reader may hold this up; the next checkpoint does it then.
		if _, err := s.write.ExecContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`); err != nil {
			return redacted, fmt.Errorf("checkpoint after redacting: %w", err)
		}
	}
	return redacted, nil
}

type remains struct {
	row       int64
	id        record.ID
	namespace string
	event     []byte
}

func redactSome(ctx context.Context, tx *sql.Tx, user string) (int, error) {
	found, err := unredacted(ctx, tx, user)
	if err != nil {
		return 0, err
	}
	newest := make(map[string]record.ID) // by namespace
	for _, r := range found {
		if _, err := tx.ExecContext(ctx, `UPDATE messages SET payload = ?, lengths = '', socket = '', name = '', redacted = 1 WHERE id = ?`, r.event, r.row); err != nil {
			return 0, err
		}
		if r.id.After(newest[r.namespace]) {
			newest[r.namespace] = r.id
		}
	}
	for namespace, id := range newest {
		if err := announce(ctx, tx, namespace, user, id); err != nil {
			return 0, err
		}
	}
	return len(found), nil
}

// unredacted reads a chunk of what the user said, already reduced to what will be left of it.
func unredacted(ctx context.Context, tx *sql.Tx, user string) ([]remains, error) {
	rows, err := tx.QueryContext(ctx, `
		SELECT id, epoch, sequence, namespace, payload, lengths FROM messages
		WHERE user = ? AND user <> '' AND redacted = 0 LIMIT ?`, user, redactChunk)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []remains
	for rows.Next() {
		var r remains
		var payload []byte
		var lengths string
		if err := rows.Scan(&r.row, &r.id.Epoch, &r.id.Sequence, &r.namespace, &payload, &lengths); err != nil {
			return nil, err
		}
		event, _, err := contract.SplitPayload(contract.Header{contract.HeaderAttachments: {lengths}}, payload)
		if err != nil {
			return nil, fmt.Errorf("message %s in the database: %w", r.id, err)
		}
		r.event = record.RedactEvent(event)
		found = append(found, r)
	}
	return found, rows.Err()
}

// announce notes that clients of the namespace must be told.
func announce(ctx context.Context, tx *sql.Tx, namespace, user string, newest record.ID) error {
	_, err := tx.ExecContext(ctx, `
		INSERT INTO announcements (namespace, user, epoch, sequence) VALUES (?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET epoch = excluded.epoch, sequence = excluded.sequence
		WHERE (excluded.epoch, excluded.sequence) > (announcements.epoch, announcements.sequence)`,
		namespace, user, newest.Epoch, newest.Sequence)
	return err
}

// Announcements lists what clients must still be told.
func (s *Store) Announcements(ctx context.Context) ([]record.Announcement, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT namespace, user, epoch, sequence FROM announcements`)
	if err != nil {
		return nil, fmt.Errorf("read announcements: %w", err)
	}
	defer rows.Close()
	var found []record.Announcement
	for rows.Next() {
		var a record.Announcement
		if err := rows.Scan(&a.Namespace, &a.User, &a.Newest.Epoch, &a.Newest.Sequence); err != nil {
			return nil, fmt.Errorf("read announcements: %w", err)
		}
		found = append(found, a)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read announcements: %w", err)
	}
	return found, nil
}

// Announced forgets an announcement, unless more has been redacted since it was read.
func (s *Store) Announced(ctx context.Context, a record.Announcement) error {
	_, err := s.write.ExecContext(ctx, `DELETE FROM announcements WHERE namespace = ? AND user = ? AND epoch = ? AND sequence = ?`,
		a.Namespace, a.User, a.Newest.Epoch, a.Newest.Sequence)
	if err != nil {
		return fmt.Errorf("forget an announcement: %w", err)
	}
	return nil
}

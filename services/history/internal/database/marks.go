package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/history/internal/record"
)

// Read notes that the user has read a place up to a message; moved is false if that was known already. Marks move
// forwards only.
func (s *Store) Read(ctx context.Context, place record.Place, user string, id record.ID) (moved bool, err error) {
	result, err := s.write.ExecContext(ctx, s.sql(`
		INSERT INTO marks (author, namespace, target, epoch, sequence) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (author, namespace, target) DO UPDATE SET epoch = excluded.epoch, sequence = excluded.sequence
		WHERE (excluded.epoch, excluded.sequence) > (marks.epoch, marks.sequence)`),
		user, place.Namespace, place.Target, id.Epoch, id.Sequence)
	if err != nil {
		return false, fmt.Errorf("note what was read: %w", err)
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// UnreadQuery counts along a range of the primary key of places, from the newest message back to the mark, until it has
// enough. It passes over what the user said itself and what is deleted, and looks at so many messages at most: a user who
// has said all of them would have it look at the whole place otherwise.
var UnreadQuery = fmt.Sprintf(`
	SELECT count(*) FROM (
		SELECT 1 FROM (
			SELECT m.author, m.deleted FROM places p JOIN messages m ON m.id = p.message
			WHERE p.namespace = ? AND p.target = ? AND (p.epoch, p.sequence) > (?, ?)
			ORDER BY p.epoch DESC, p.sequence DESC LIMIT %d) AS newest
		WHERE author <> ? AND deleted = 0 LIMIT ?) AS unread`, contract.MaxUnreadLook)

// Unread counts what the user has not read in a place, at most most: what others said and is not deleted, of the newest
// [contract.MaxUnreadLook] messages.
func (s *Store) Unread(ctx context.Context, place record.Place, user string, most int) (count int, mark record.ID, err error) {
	err = s.read.QueryRowContext(ctx, s.sql(`SELECT epoch, sequence FROM marks WHERE author = ? AND namespace = ? AND target = ?`),
		user, place.Namespace, place.Target).Scan(&mark.Epoch, &mark.Sequence)
	if err == nil || errors.Is(err, sql.ErrNoRows) {
		err = s.read.QueryRowContext(ctx, s.sql(UnreadQuery),
			place.Namespace, place.Target, mark.Epoch, mark.Sequence, user, most).Scan(&count)
	}
	if err != nil {
		return 0, mark, fmt.Errorf("count what is unread: %w", err)
	}
	return count, mark, nil
}

// Marks lists how far a user has read.
func (s *Store) Marks(ctx context.Context, user string) (marks []record.Mark, err error) {
	rows, err := s.read.QueryContext(ctx, s.sql(`SELECT namespace, target, epoch, sequence FROM marks WHERE author = ? ORDER BY namespace, target`), user)
	if err != nil {
		return nil, fmt.Errorf("list what was read: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var m record.Mark
		if err := rows.Scan(&m.Place.Namespace, &m.Place.Target, &m.ID.Epoch, &m.ID.Sequence); err != nil {
			return nil, fmt.Errorf("list what was read: %w", err)
		}
		marks = append(marks, m)
	}
	return marks, rows.Err()
}

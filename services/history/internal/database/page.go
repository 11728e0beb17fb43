package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/history/internal/record"
)

// columns are what scan reads.
const columns = `m.epoch, m.sequence, m.namespace, m.socket, m.author, m.name, m.time, m.payload, m.lengths, m.redacted, m.edited, m.deleted, m.id`

// targetsColumn is what handPlaced reads besides.
const targetsColumn = `(SELECT string_agg(p.target, ' ' ORDER BY p.target) FROM places p WHERE p.message = m.id)`

// OlderQuery and NewerQuery read a page: a range of the primary key of places, in its order, with one look at a
// message for each row. Their price does not depend on how many messages the place has.
const (
	OlderQuery = `
	SELECT ` + columns + ` FROM places p JOIN messages m ON m.id = p.message
	WHERE p.namespace = ? AND p.target = ? AND (p.epoch, p.sequence) < (?, ?)
	ORDER BY p.epoch DESC, p.sequence DESC LIMIT ?`
	NewerQuery = `
	SELECT ` + columns + ` FROM places p JOIN messages m ON m.id = p.message
	WHERE p.namespace = ? AND p.target = ? AND (p.epoch, p.sequence) > (?, ?)
	ORDER BY p.epoch, p.sequence LIMIT ?`
)

// Older hands the messages of a place that are older than before to each, newest first, until each returns false.
// It reads n at a time.
func (s *Store) Older(ctx context.Context, place record.Place, before record.ID, n int, each func(record.Message) bool) error {
	return s.walk(ctx, OlderQuery, place, before, n, each)
}

// Newer hands the messages of a place that are newer than after to each, oldest first, until each returns false.
func (s *Store) Newer(ctx context.Context, place record.Place, after record.ID, n int, each func(record.Message) bool) error {
	return s.walk(ctx, NewerQuery, place, after, n, each)
}

func (s *Store) walk(ctx context.Context, query string, place record.Place, from record.ID, n int, each func(record.Message) bool) error {
	err := s.steps(ctx, query, from, n, each, place.Namespace, place.Target)
	if err != nil {
		return fmt.Errorf("read %s in %s: %w", place.Target, place.Namespace, err)
	}
	return nil
}

// Last is the newest message of all; the zero ID if there is none.
func (s *Store) Last(ctx context.Context) (record.ID, error) {
	id, err := s.newest(ctx, record.Newest)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return id, fmt.Errorf("look up the newest message: %w", err)
	}
	return id, nil
}

// stride is how many messages a statement reads at most, where n are likely to be wanted.
func (s *Store) stride(n int) int {
	if s.Stride > 0 {
		n = min(n, s.Stride)
	}
	return n
}

// steps runs a query again and again, from where it ended, until it finds fewer than n, or the stride, or each has enough. Its last
// parameters are the id from which to read, and how many.
func (s *Store) steps(ctx context.Context, query string, from record.ID, n int, each func(record.Message) bool, args ...any) error {
	n = s.stride(n)
	for {
		rows, err := s.read.QueryContext(ctx, s.sql(query), append(args[:len(args):len(args)], from.Epoch, from.Sequence, n)...)
		if err != nil {
			return err
		}
		count, enough, err := hand(rows, func(m record.Message) bool {
			from = m.ID
			return each(m)
		})
		if err != nil || enough || count < n {
			return err
		}
	}
}

// hand reads rows to their end, or until each returns false.
func hand(rows *sql.Rows, each func(record.Message) bool) (count int, enough bool, err error) {
	defer rows.Close()
	for rows.Next() {
		m, err := scan(rows)
		if err != nil {
			return count, false, err
		}
		count++
		if !each(m) {
			return count, true, nil
		}
	}
	return count, false, rows.Err()
}

// handPlaced is hand for rows that have the places of a message, too.
func handPlaced(rows *sql.Rows, each func(record.Message) bool) (count int, enough bool, err error) {
	defer rows.Close()
	for rows.Next() {
		var targets sql.NullString
		m, err := scan(rows, &targets)
		if err != nil {
			return count, false, err
		}
		m.Targets = strings.Fields(targets.String)
		count++
		if !each(m) {
			return count, true, nil
		}
	}
	return count, false, rows.Err()
}

// scan reads the columns, and more behind them.
func scan(rows interface{ Scan(...any) error }, more ...any) (m record.Message, err error) {
	var said, edited, deleted int64
	var payload []byte
	var lengths string
	into := []any{&m.ID.Epoch, &m.ID.Sequence, &m.Namespace, &m.Socket, &m.User, &m.Name, &said, &payload, &lengths, &m.Redacted, &edited, &deleted, &m.Row}
	if err := rows.Scan(append(into, more...)...); err != nil {
		return m, err
	}
	m.Time, m.Edited, m.Deleted = at(said), at(edited), at(deleted)
	if m.Event, m.Attachments, err = contract.SplitPayload(contract.Header{contract.HeaderAttachments: {lengths}}, payload); err != nil {
		return m, fmt.Errorf("message %s in the database: %w", m.ID, err)
	}
	return m, nil
}

// at reads a time; 0 is the zero time.
func at(nanoseconds int64) time.Time {
	if nanoseconds == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanoseconds).UTC()
}

// Said hands what a user said to each, oldest first, with the places of each message.
func (s *Store) Said(ctx context.Context, user string, after record.ID, n int, each func(record.Message) bool) error {
	var failed error
	err := s.steps(ctx, `SELECT `+columns+` FROM messages m
		WHERE m.author = ? AND m.author <> '' AND (m.epoch, m.sequence) > (?, ?)
		ORDER BY m.epoch, m.sequence LIMIT ?`, after, n, func(m record.Message) bool {
		if m.Targets, failed = s.targets(ctx, s.read, m.Row); failed != nil {
			return false
		}
		return each(m)
	}, user)
	if err == nil {
		err = failed
	}
	if err != nil {
		return fmt.Errorf("read what %s said: %w", user, err)
	}
	return nil
}

// querier is a pool or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// targets lists the places of a message.
func (s *Store) targets(ctx context.Context, q querier, row int64) (targets []string, err error) {
	rows, err := q.QueryContext(ctx, s.sql(`SELECT target FROM places WHERE message = ? ORDER BY target`), row)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var target string
		if err := rows.Scan(&target); err != nil {
			return nil, err
		}
		targets = append(targets, target)
	}
	return targets, rows.Err()
}

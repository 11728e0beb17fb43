package database

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/history/internal/record"
)

// NamesQuery takes a user out of some of the changes that they made.
const NamesQuery = `UPDATE changes SET name = '', socket = '' WHERE id IN (SELECT id FROM changes
	WHERE author = ? AND author <> '' AND (name <> '' OR socket <> '') AND time <= ? LIMIT ?)`

// forGood is until when what a deleted user said is erased.
const forGood = math.MaxInt64

// exists says [record.ErrDeleted] of a user who is deleted: a request of theirs may come late. The transaction holds a lock
// against [Store.Redact].
func (s *Store) exists(ctx context.Context, tx *sql.Tx, user string) error {
	var deleted bool
	err := tx.QueryRowContext(ctx, s.sql(`SELECT EXISTS (SELECT 1 FROM erased WHERE author = ? AND until = ?)`), user, int64(forGood)).Scan(&deleted)
	if err == nil && deleted {
		err = record.ErrDeleted
	}
	return err
}

// Redact remembers that what the user said until then is erased (for good if it is the zero time: the user is
// deleted) and takes it out, in chunks: from the messages, from their trails, and from what can be searched. It says
// how many messages that were. Once it has returned nil, doing it again changes nothing; what is cut off before that
// is in [Store.Undone].
func (s *Store) Redact(ctx context.Context, user string, until time.Time) (redacted int, err error) {
	last := int64(forGood)
	if !until.IsZero() {
		last = until.UnixNano()
	}
	return s.redact(ctx, user, last, false)
}

// Erase is Redact by order of somebody here, of which other services must be told. All that is stored is taken out, also
// what another clock has dated later than until.
func (s *Store) Erase(ctx context.Context, user string, until time.Time) (redacted int, err error) {
	var newest int64
	looking, cancel := context.WithTimeout(ctx, s.ReadWait)
	defer cancel()
	err = s.read.QueryRowContext(looking, s.sql(`SELECT time FROM messages WHERE author = ? AND author <> '' ORDER BY epoch DESC, sequence DESC LIMIT 1`), user).Scan(&newest)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("look up the newest message of user %s: %w", user, err)
	}
	return s.redact(ctx, user, max(until.UnixNano(), newest), true)
}

func (s *Store) redact(ctx context.Context, user string, last int64, tell bool) (redacted int, err error) {
	var from record.ID
	for nameless, done := false, false; !done; {
		n, left := 0, s.MaxChanges
		err := s.inTx(ctx, s.Exclusive, func(tx *sql.Tx) (err error) {
			// With the first chunk: from then on Append redacts what comes.
			if done, err = s.forget(ctx, tx, user, last); err != nil || done {
				return err
			}
			if !nameless {
				if left, err = s.some(ctx, tx, NamesQuery, left, user, last); err != nil || left == 0 {
					return err
				}
				nameless = true
			}
			if n, from, done, err = s.redactSome(ctx, tx, user, last, from, left); err != nil || !done {
				return err
			}
			return s.redacted(ctx, tx, user, last, tell)
		})
		if err != nil {
			return redacted, fmt.Errorf("redact the messages of user %s: %w", user, err)
		}
		redacted += n
	}
	if redacted > 0 && s.Erased != "" {
		// A reader may hold this up; the next one does it then.
		if _, err := s.write.ExecContext(ctx, s.Erased); err != nil {
			return redacted, fmt.Errorf("after redacting: %w", err)
		}
	}
	return redacted, nil
}

// forget notes the erasure, and takes out what the user has read; done is true if there is nothing left to do. What
// the user has read since an erasure that was noted before stays.
func (s *Store) forget(ctx context.Context, tx *sql.Tx, user string, until int64) (done bool, err error) {
	var noted int64
	err = tx.QueryRowContext(ctx, s.sql(`SELECT until, done FROM erased WHERE author = ?`), user).Scan(&noted, &done)
	if err == nil && noted >= until {
		return done, nil
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return false, err
	}
	for _, statement := range []struct {
		text string
		args []any
	}{
		{`INSERT INTO erased (author, until, done) VALUES (?, ?, FALSE) ON CONFLICT (author) DO UPDATE SET until = excluded.until, done = FALSE`, []any{user, until}},
		{`DELETE FROM marks WHERE author = ?`, []any{user}},
	} {
		if _, err := tx.ExecContext(ctx, s.sql(statement.text), statement.args...); err != nil {
			return false, err
		}
	}
	return false, nil
}

// redacted notes that all of an erasure is done, unless it has been extended meanwhile.
func (s *Store) redacted(ctx context.Context, tx *sql.Tx, user string, until int64, tell bool) error {
	result, err := tx.ExecContext(ctx, s.sql(`UPDATE erased SET done = TRUE WHERE author = ? AND until = ? AND NOT done`), user, until)
	if err != nil || !tell {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return err
	}
	fact, err := record.ErasureFact(user, time.Unix(0, until).UTC())
	if err != nil {
		return err
	}
	return s.announce(ctx, tx, fact)
}

// some runs a statement for as many changes as are left in a transaction, its last parameter, and says how many are left then. If none are, it may
// have found more.
func (s *Store) some(ctx context.Context, tx *sql.Tx, statement string, left int64, args ...any) (int64, error) {
	result, err := tx.ExecContext(ctx, s.sql(statement), append(args, left)...)
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	return left - n, err
}

// redactSome redacts the messages behind one, as many as may be in a transaction. It says how many, the last of them, and whether these were all.
func (s *Store) redactSome(ctx context.Context, tx *sql.Tx, user string, until int64, from record.ID, left int64) (n int, last record.ID, all bool, err error) {
	rows, err := tx.QueryContext(ctx, s.sql(`SELECT `+columns+` FROM messages m
		WHERE m.author = ? AND m.author <> '' AND (m.epoch, m.sequence) > (?, ?) AND NOT m.redacted AND m.time <= ?
		ORDER BY m.epoch, m.sequence LIMIT ?`), user, from.Epoch, from.Sequence, until, s.MaxMessages)
	if err != nil {
		return 0, from, false, err
	}
	var found []record.Message
	if _, _, err := hand(rows, func(m record.Message) bool {
		m.Event, m.Attachments = record.RedactEvent(m.Event), nil // what was said may be large
		found = append(found, m)
		return true
	}); err != nil {
		return 0, from, false, err
	}
	all = len(found) < s.MaxMessages
	newest := make(map[string]record.ID) // by namespace
	for i, m := range found {
		left, err = s.some(ctx, tx, `UPDATE changes SET payload = ?, lengths = '' WHERE id IN (SELECT id FROM changes
			WHERE message = ? AND (payload <> ? OR lengths <> '') LIMIT ?)`, left, m.Event, m.Row, m.Event)
		if err != nil {
			return 0, from, false, err
		}
		if left == 0 { // the next transaction begins with the rest of this one's
			found, all = found[:i], false
			break
		}
		for _, statement := range []struct {
			text string
			args []any
		}{
			{`UPDATE messages SET payload = ?, lengths = '', socket = '', name = '', redacted = TRUE WHERE id = ?`, []any{m.Event, m.Row}},
			{s.DropWords, []any{m.Row}},
			{`DELETE FROM outbox WHERE topic >= ? AND topic < ?`, []any{changedTopic(m.ID) + ":", changedTopic(m.ID) + ";"}}, // ; comes after :
		} {
			if _, err := tx.ExecContext(ctx, s.sql(statement.text), statement.args...); err != nil {
				return 0, from, false, err
			}
		}
		newest[m.Namespace], from = m.ID, m.ID
	}
	for namespace, id := range newest {
		if err := s.announceRedaction(ctx, tx, namespace, user, until, id); err != nil {
			return 0, from, false, err
		}
	}
	return len(found), from, all, nil
}

// announceRedaction notes that clients of the namespace must be told. Each erasure is told for itself: of two, the one that
// took out the newer message need not be the one that reaches further.
func (s *Store) announceRedaction(ctx context.Context, tx *sql.Tx, namespace, user string, until int64, newest record.ID) error {
	topic, fact := "redacted:", contract.Redacted{User: user}
	if until != forGood {
		topic, fact.Until = fmt.Sprintf("erased:%d:", until), time.Unix(0, until).UTC()
	}
	event, err := json.Marshal([]any{contract.EventRedacted, fact})
	if err != nil {
		return err
	}
	return s.announce(ctx, tx, record.Announcement{Topic: topic + namespace + ":" + user, Version: newest,
		Namespace: namespace, Target: contract.TargetAll, Event: event})
}

// Package database keeps history in an SQL database. It has the statements that SQLite and PostgreSQL have in
// common; what differs is a [Dialect], and the packages sqlite and postgres open a [Store] with theirs.
//
// It knows nothing of NATS. The store satisfies the interfaces that the packages ingest, query, redact and sweep
// declare for themselves.
package database

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/natter-io/natter/services/history/internal/record"
)

// Dialect is what one kind of database does in its own way.
type Dialect struct {
	Name   string // "sqlite" or "postgres"
	Goose  goose.Dialect
	Dollar bool // parameters are $1, $2, … instead of ?
	// Isolation of transactions. They must see what was committed before they had their lock, not before they began.
	Isolation sql.IsolationLevel

	// Shared and Exclusive are said at the beginning of a transaction, if not "". Those that store messages share a
	// lock, as those that sweep do; what must see every stored message, and be seen by those that store afterwards, has it
	// alone. Sweep keeps instances from sweeping at once, and is taken before Shared. Lock is for a session, while it
	// changes the schema.
	Shared, Exclusive, Sweep, Lock string

	// PutWords begins a statement that goes on with one WordsRow or more, whose parameters are message, places, words, and
	// ends with WordsEnd. DropWords has message.
	PutWords, WordsRow, WordsEnd, DropWords string
	// Find makes a search for messages that are in one of the places and have all words.
	Find func(places []string, words []record.Word) Finder
	// Windows are further tokens of a message, for Find. It may be nil.
	Windows func(id record.ID) []string

	// Stride bounds the messages that one statement reads, where a result is read to its end even if few of them are wanted; 0: no bound.
	Stride int

	// Refused says whether an error is due to the values in a statement, so that the same statement fails for ever.
	Refused func(error) bool

	// Erased is run after something was taken out, outside of a transaction, if not "".
	Erased string
}

// Store is an open database. Its methods may be called concurrently.
type Store struct {
	Dialect
	write, read *sql.DB
	id          string

	OnClose func() error // called when the database is closed, if not nil

	// A connection to a machine that has died may say nothing. TxWait bounds a transaction that is not bounded otherwise: the longest
	// are those that take out many messages, one by one. ReadWait bounds a read of a row or a few for which nobody waits.
	TxWait, ReadWait time.Duration

	// MaxMessages and MaxChanges bound what a transaction takes out, so that storing new messages never waits long for it: one user,
	// or one message, may have millions of changes.
	MaxMessages int
	MaxChanges  int64
}

// Open brings the schema up to date and returns a store that writes by one pool and reads by another, which may be
// the same one. It closes them if it fails.
func Open(ctx context.Context, d Dialect, write, read *sql.DB, migrations fs.FS) (*Store, error) {
	s := &Store{Dialect: d, write: write, read: read, TxWait: time.Minute, ReadWait: 5 * time.Second, MaxMessages: 500, MaxChanges: 10_000}
	if err := s.prepare(ctx, migrations); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Store) prepare(ctx context.Context, migrations fs.FS) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	if err := s.migrate(ctx, files); err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	if _, err := s.write.ExecContext(ctx, s.sql(`INSERT INTO facts (name, value) VALUES ('id', ?) ON CONFLICT DO NOTHING`), rand.Text()); err != nil {
		return err
	}
	return s.read.QueryRowContext(ctx, `SELECT value FROM facts WHERE name = 'id'`).Scan(&s.id)
}

// migrate brings the schema up to date. Instances that start at once take turns.
func (s *Store) migrate(ctx context.Context, files fs.FS) (err error) {
	if s.Lock != "" {
		conn, err := s.write.Conn(ctx)
		if err != nil {
			return err
		}
		defer func() {
			// The lock is the session's: database/sql ends a session that is said to be bad.
			_ = conn.Raw(func(any) error { return driver.ErrBadConn })
		}()
		if _, err := conn.ExecContext(ctx, s.Lock); err != nil {
			return err
		}
	}
	p, err := goose.NewProvider(s.Goose, s.write, files)
	if err != nil {
		return err
	}
	there, known, err := p.GetVersions(ctx)
	if err == nil && there > known {
		err = fmt.Errorf("the database is of version %d, and this service knows those up to %d: use a newer one", there, known)
	}
	if err == nil {
		_, err = p.Up(ctx)
	}
	return err
}

// ID names the database for as long as it lives: made at random with it.
func (s *Store) ID() string { return s.id }

// Fact is what was noted under a name last; "" if nothing was.
func (s *Store) Fact(ctx context.Context, name string) (value string, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.ReadWait)
	defer cancel()
	err = s.read.QueryRowContext(ctx, s.sql(`SELECT value FROM facts WHERE name = ?`), name).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return value, err
}

// NoteFact notes a fact, unless something else than what it was read to be is noted under its name by then: took is false.
func (s *Store) NoteFact(ctx context.Context, name, was, value string) (took bool, err error) {
	err = s.inTx(ctx, s.Shared, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, s.sql(`INSERT INTO facts (name, value) VALUES (?, ?)
			ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE facts.value = ?`), name, value, was)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		took = n > 0
		return err
	})
	return took && err == nil, err
}

// Kind is the dialect's name.
func (s *Store) Kind() string { return s.Name }

// Ping says whether the database can be read.
func (s *Store) Ping(ctx context.Context) error {
	var one int
	if err := s.read.QueryRowContext(ctx, `SELECT 1 FROM facts LIMIT 1`).Scan(&one); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	return nil
}

// Close waits for what is running and closes the database.
func (s *Store) Close() error {
	var errs []error
	if s.read != s.write {
		errs = append(errs, s.read.Close())
	}
	errs = append(errs, s.write.Close()) // last: SQLite checkpoints its WAL
	if s.OnClose != nil {
		errs = append(errs, s.OnClose())
	}
	return errors.Join(errs...)
}

// DB is the pool that writes, for tests and benchmarks.
func (s *Store) DB() *sql.DB { return s.write }

// inTx runs do in a write transaction that holds the lock.
func (s *Store) inTx(ctx context.Context, lock string, do func(tx *sql.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.TxWait)
	defer cancel()
	tx, err := s.write.BeginTx(ctx, &sql.TxOptions{Isolation: s.Isolation})
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if lock != "" {
		_, err = tx.ExecContext(ctx, lock)
	}
	if err == nil {
		err = do(tx)
	}
	if err != nil {
		if rerr := tx.Rollback(); rerr != nil && !errors.Is(rerr, sql.ErrTxDone) {
			err = errors.Join(err, rerr)
		}
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// sql writes the parameters of a statement, each of which is a ?, as the database wants them.
func (s *Store) sql(statement string) string {
	if !s.Dollar {
		return statement
	}
	var b strings.Builder
	for n := 1; ; n++ {
		before, after, found := strings.Cut(statement, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(n))
		statement = after
	}
}

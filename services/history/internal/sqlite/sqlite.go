// Package sqlite keeps history in one SQLite file: WAL, one writer, several readers that neither wait for
// the writer nor hold it up.
//
// It knows nothing of NATS. Its [Store] satisfies the interfaces that the packages ingest, query and redact
// declare for themselves; another database needs a package like this one and nothing else.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/pressly/goose/v3"
	driver "modernc.org/sqlite" // registers itself as "sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Sync says when SQLite waits until the disk has what was written (PRAGMA synchronous).
type Sync string

const (
	// SyncFull waits at every commit: what is committed, and so acknowledged to JetStream, survives a power
	// failure.
	SyncFull Sync = "full"
	// SyncNormal waits at checkpoints only. Commits are faster; a killed process loses nothing, but a power
	// failure may take back the last commits, and since they were acknowledged JetStream does not deliver
	// them again. The file stays sound.
	SyncNormal Sync = "normal"
)

// busyTimeout is how long a transaction waits for the lock of another process.
const busyTimeout = 5 * time.Second

// maxReaders bounds the pages that are read at once.
const maxReaders = 8

//go:embed migrations/*.sql
var migrations embed.FS

// Store is an open database. Its methods may be called concurrently; those that write take turns.
type Store struct {
	write *sql.DB // one connection
	read  *sql.DB
}

// Open opens the file, makes it and its directory if they are missing, and brings the schema up to date. It
// fails at once if another process holds the lock for longer than a few seconds; try again then.
func Open(ctx context.Context, path string, sync Sync) (*Store, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("database %s: %w", path, err)
	}
	s := &Store{}
	var err error
	// secure_delete overwrites what is redacted instead of leaving it in free pages.
	if s.write, err = open(path, 1, "journal_mode(WAL)", "synchronous("+string(sync)+")", "secure_delete(ON)", "foreign_keys(ON)"); err != nil {
		return nil, err
	}
	if s.read, err = open(path, maxReaders, "query_only(ON)"); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.migrate(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("database %s: %w", path, err), s.Close())
	}
	return s, nil
}

func open(path string, connections int, pragmas ...string) (*sql.DB, error) {
	q := url.Values{"_txlock": {"immediate"}, "_pragma": {"busy_timeout(" + strconv.FormatInt(busyTimeout.Milliseconds(), 10) + ")", "cache_size(-16000)"}}
	q["_pragma"] = append(q["_pragma"], pragmas...)
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: filepath.ToSlash(path)}).EscapedPath()+"?"+q.Encode())
	if err != nil {
		return nil, fmt.Errorf("database %s: %w", path, err)
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

func (s *Store) migrate(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, s.write, files)
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	return nil
}

// Ping says whether the database can be read.
func (s *Store) Ping(ctx context.Context) error {
	var one int
	if err := s.read.QueryRowContext(ctx, "SELECT 1 FROM messages UNION ALL SELECT 1 LIMIT 1").Scan(&one); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	return nil
}

// Close waits for what is running and closes the file.
func (s *Store) Close() error {
	var errs []error
	if s.read != nil {
		errs = append(errs, s.read.Close())
	}
	errs = append(errs, s.write.Close()) // last: it checkpoints the WAL
	return errors.Join(errs...)
}

// inTx runs do in a write transaction.
func (s *Store) inTx(ctx context.Context, do func(tx *sql.Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := do(tx); err != nil {
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

// IsBusy says whether an error comes from a lock that another process holds.
func IsBusy(err error) bool {
	var e *driver.Error
	return errors.As(err, &e) && (e.Code()&0xff == sqlite3.SQLITE_BUSY || e.Code()&0xff == sqlite3.SQLITE_LOCKED)
}

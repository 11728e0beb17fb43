// Package sqlite opens history in one SQLite file: WAL, one writer, several readers that neither wait for the writer
// nor hold it up.
//
// It knows nothing of NATS, nor of messages: the statements are those of package database.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/pressly/goose/v3"
	driver "modernc.org/sqlite" // registers itself as "sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/natter-io/natter/services/history/internal/database"
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

// maxReaders bounds what is read at once: pages, and beside them searches and counts of what is unread.
const maxReaders = 14

//go:embed migrations/*.sql
var migrations embed.FS

var dialect = database.Dialect{
	Name: "sqlite", Goose: goose.DialectSQLite3,
	PutWords:  `INSERT INTO words (rowid, places, text) SELECT ` + wordsKey + `, w.column2, w.column3 FROM (VALUES `,
	WordsRow:  `(?, ?, ?)`,
	WordsEnd:  `) w CROSS JOIN messages m ON m.id = w.column1 CROSS JOIN epochs e ON e.epoch = m.epoch`,
	DropWords: `DELETE FROM words WHERE rowid = (SELECT ` + wordsKey + ` FROM messages m JOIN epochs e ON e.epoch = m.epoch WHERE m.id = ?)`,
	Find:      find,
	Refused:   refused,
	// The WAL still holds what was taken out.
	Erased: `PRAGMA wal_checkpoint(TRUNCATE)`,
}

// Open opens the file, makes it and its directory if they are missing, and brings the schema up to date. It
// fails if another instance has it open ([ErrInUse]), or if something else holds a lock for longer than a few seconds
// ([IsBusy]); try again then.
func Open(ctx context.Context, path string, sync Sync) (*database.Store, error) {
	store, err := openAlone(ctx, path, sync)
	if err != nil {
		return nil, fmt.Errorf("database %s: %w", path, err)
	}
	return store, nil
}

func openAlone(ctx context.Context, path string, sync Sync) (*database.Store, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	release, err := hold(ctx, path)
	if err != nil {
		return nil, err
	}
	store, err := openFile(ctx, path, sync)
	if err != nil {
		return nil, errors.Join(err, release())
	}
	store.OnClose = release
	return store, nil
}

func openFile(ctx context.Context, path string, sync Sync) (*database.Store, error) {
	// secure_delete overwrites what is redacted instead of leaving it in free pages.
	write, err := open(path, 1, "journal_mode(WAL)", "synchronous("+string(sync)+")", "secure_delete(ON)", "foreign_keys(ON)")
	if err != nil {
		return nil, err
	}
	read, err := open(path, maxReaders, "query_only(ON)")
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	return database.Open(ctx, dialect, write, read, migrations)
}

func open(path string, connections int, pragmas ...string) (*sql.DB, error) {
	q := url.Values{"_txlock": {"immediate"}, "_pragma": {"busy_timeout(" + strconv.FormatInt(busyTimeout.Milliseconds(), 10) + ")", "cache_size(-16000)"}}
	q["_pragma"] = append(q["_pragma"], pragmas...)
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: filepath.ToSlash(path)}).EscapedPath()+"?"+q.Encode())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

// refused goes by the primary result code: too big, a violated constraint, a wrong type
// (https://www.sqlite.org/rescode.html).
func refused(err error) bool {
	var e *driver.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH:
		return true
	}
	return false
}

// IsBusy says whether an error comes from a lock that another process holds.
func IsBusy(err error) bool {
	var e *driver.Error
	return errors.As(err, &e) && (e.Code()&0xff == sqlite3.SQLITE_BUSY || e.Code()&0xff == sqlite3.SQLITE_LOCKED)
}

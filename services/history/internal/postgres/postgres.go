// Package postgres opens history in a PostgreSQL database, which several instances of the service may share.
//
// It knows nothing of NATS, nor of messages: the statements are those of package database.
package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"embed"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/history/internal/database"
)

//go:embed migrations/*.sql
var migrations embed.FS

const (
	// maxConnections of one instance: what is read at once, and those who write.
	maxConnections = 18
	connectTimeout = 5 * time.Second
	// stride is a third of the messages that a page of the usual size looks at: the driver reads what a statement gives to its end, and
	// messages may be so large that a page has two of them.
	stride = contract.DefaultHistoryPage/3 + 1
	// lockStore, lockSweep and lockTable are advisory locks (https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS).
	lockStore = 0x6e740001
	lockSweep = 0x6e740002
	lockTable = 0x6e740003
)

var dialect = database.Dialect{
	Name: "postgres", Goose: goose.DialectPostgres, Dollar: true, Isolation: sql.LevelReadCommitted,
	Shared:    lock("pg_advisory_xact_lock_shared", lockStore),
	Exclusive: lock("pg_advisory_xact_lock", lockStore),
	Sweep:     lock("pg_advisory_xact_lock", lockSweep),
	Lock:      lock("pg_advisory_lock", lockTable),
	// The words are told apart already: no text search configuration has a say in it. Those of places begin with @.
	PutWords: `INSERT INTO words (message, words) VALUES `,
	WordsRow: `(CAST(? AS bigint), array_to_tsvector(regexp_split_to_array(
		regexp_replace(CAST(? AS text), '(^| )', '\1@', 'g') || ' ' || CAST(? AS text), ' ')))`,
	DropWords: `DELETE FROM words WHERE message = ?`,
	Find:      find,
	Windows:   windows,
	Refused:   refused,
	Stride:    stride,
}

// refused goes by the class of a SQLSTATE: data exceptions, violated constraints, exceeded program limits such as the
// size of an index row (https://www.postgresql.org/docs/current/errcodes-appendix.html).
func refused(err error) bool {
	var e *pgconn.PgError
	if !errors.As(err, &e) || len(e.Code) != 5 {
		return false
	}
	switch e.Code[:2] {
	case "22", "23", "54":
		return true
	}
	return false
}

func lock(function string, key int) string {
	return "SELECT " + function + "(" + strconv.Itoa(key) + ")"
}

// Scheme says whether a setting names a PostgreSQL database.
func Scheme(database string) bool {
	return strings.HasPrefix(database, "postgres://") || strings.HasPrefix(database, "postgresql://")
}

// Check says what is wrong with a connection string. The error does not hold its password.
func Check(url string) error {
	_, err := parse(url)
	return err
}

func parse(url string) (*pgx.ConnConfig, error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("not a PostgreSQL connection string, such as postgres://user@host/database: %w", err)
	}
	return cfg, nil
}

// Open connects and brings the schema up to date. If the database cannot be reached now ([IsAway]), try again.
// The password, if there is one, takes the place of the URL's.
func Open(ctx context.Context, url, password string) (*database.Store, error) {
	return open(ctx, url, password, AbandonedAfter)
}

func open(ctx context.Context, url, password string, abandoned time.Duration) (*database.Store, error) {
	cfg, err := parse(url)
	if err != nil {
		return nil, err
	}
	if password != "" {
		cfg.Password = password
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = connectTimeout
	}
	cfg.DialFunc = dial(cfg.ConnectTimeout)
	session := prepare(settings(cfg.RuntimeParams, abandoned))
	if cfg.RuntimeParams["application_name"] == "" {
		cfg.RuntimeParams["application_name"] = "natter-history"
	}
	db := sql.OpenDB(connector{stdlib.GetConnector(*cfg, stdlib.OptionAfterConnect(session)), cfg.User})
	db.SetMaxOpenConns(maxConnections)
	db.SetMaxIdleConns(maxConnections)
	db.SetConnMaxIdleTime(time.Minute)
	store, err := database.Open(ctx, dialect, db, db, migrations)
	if err != nil {
		return nil, fmt.Errorf("database %s on %s: %w", cfg.Database, cfg.Host, err)
	}
	return store, nil
}

// IsAway says whether an error may pass by itself: the server is down, starts, stops, or has no place for another
// connection.
func IsAway(err error) bool {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		switch refused.Code[:2] {
		case "08", "53", "57", "40": // connection, resources, operator intervention, rolled back
			return true
		}
		return false
	}
	for _, broken := range []error{context.DeadlineExceeded, driver.ErrBadConn, io.EOF, io.ErrUnexpectedEOF} {
		if errors.Is(err, broken) {
			return true
		}
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network)
}

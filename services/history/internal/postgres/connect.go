package postgres

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// connector says in one line why it could not connect. The driver's error has a line for each attempt: with TLS and without
// it, unless sslmode says which, and for each address of the host.
type connector struct {
	driver.Connector
	user string
}

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	var failed *pgconn.ConnectError
	if errors.As(err, &failed) {
		err = &connectError{c.user, failed}
	}
	return conn, err
}

// connectError words a failed connection.
type connectError struct {
	user   string
	failed *pgconn.ConnectError
}

func (e *connectError) Unwrap() error { return e.failed }

func (e *connectError) Error() string {
	return fmt.Sprintf("cannot connect to PostgreSQL as %s: %s", e.user, strings.Join(reasons(e.failed.Unwrap()), "; "))
}

// reasons are those of the attempts, each once. If the server has answered one of them, that is the reason: the others
// failed on their way to it.
func reasons(err error) []string {
	attempts := []error{err}
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		attempts = several.Unwrap()
	}
	var answers, others []string
	for _, attempt := range attempts {
		var answer *pgconn.PgError
		var network *net.OpError
		switch {
		case errors.As(attempt, &answer):
			answers = append(answers, answer.Error())
		case errors.As(attempt, &network): // it names the address
			others = append(others, network.Error())
		default:
			others = append(others, strings.ReplaceAll(attempt.Error(), "\n", " "))
		}
	}
	if len(answers) > 0 {
		others = answers
	}
	slices.Sort(others)
	return slices.Compact(others)
}

package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// AbandonedAfter is after how long PostgreSQL ends a transaction in which nothing comes from an instance of the service: that
// was stopped, or its machine or the link to it has died. Other instances wait for its locks and rows until then, so
// it is less than the time after which JetStream gives them what that one had in its hands.
const AbandonedAfter = 15 * time.Second

// A connection over which nothing comes any more is given up after as long: idle, so many times every.
const (
	keepIdle  = 6 * time.Second
	keepEvery = 3 * time.Second
	keepTimes = 3
)

// settings are those of every session, by name (https://www.postgresql.org/docs/current/runtime-config-client.html,
// https://www.postgresql.org/docs/current/runtime-config-connection.html). Those that the connection string gives are left to it.
func settings(given map[string]string, abandoned time.Duration) map[string]string {
	all := map[string]string{
		"idle_in_transaction_session_timeout": fmt.Sprint(abandoned.Milliseconds()),
		// For those who are cut off in the middle of a statement: the server hears nothing, or cannot get rid of its answer.
		"tcp_keepalives_idle":              fmt.Sprint(keepIdle.Seconds()),
		"tcp_keepalives_interval":          fmt.Sprint(keepEvery.Seconds()),
		"tcp_keepalives_count":             fmt.Sprint(keepTimes),
		"tcp_user_timeout":                 fmt.Sprint(AbandonedAfter.Milliseconds()),
		"client_connection_check_interval": fmt.Sprint(keepIdle.Milliseconds()), // while a statement waits for a lock
		// A page of an empty room and of one with millions of messages want different plans only if they are made
		// without looking at the place: always look.
		"plan_cache_mode": "force_custom_plan",
		// Nothing here is faster by reading a whole table, whatever is thought of how many rows match.
		"enable_seqscan": "off",
		// Where it must, the price is said to be so high that the statement would be compiled first, however small the table is.
		"jit": "off",
	}
	maps.DeleteFunc(all, func(name, _ string) bool { _, is := given[name]; return is })
	return all
}

// prepare makes the settings of a session. Not as startup parameters: poolers refuse these, and servers those of later versions. Each by
// itself: a server refuses the check of connections where its system has no means for it.
func prepare(settings map[string]string) func(context.Context, *pgx.Conn) error {
	return func(ctx context.Context, conn *pgx.Conn) error {
		ctx, cancel := context.WithTimeout(ctx, connectTimeout)
		defer cancel()
		for name, value := range settings {
			statement := fmt.Sprintf(`SELECT set_config('%[1]s', '%[2]s', FALSE) WHERE current_setting('%[1]s', TRUE) IS NOT NULL`, name, value)
			_, err := conn.Exec(ctx, statement)
			var refused *pgconn.PgError
			if err != nil && (!errors.As(err, &refused) || refused.Code != invalidValue) {
				return errors.Join(fmt.Errorf("settings of a session: %w", err), conn.Close(ctx))
			}
		}
		return nil
	}
}

// invalidValue is a SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html).
const invalidValue = "22023"

// dial has this side, too, find out that the other one is gone: of connections that wait for their next use.
func dial(timeout time.Duration) func(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: timeout, KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: keepIdle, Interval: keepEvery, Count: keepTimes}}
	return d.DialContext
}

package database_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/natter-io/natter/services/history/internal/database"
	"github.com/natter-io/natter/services/history/internal/record"
)

// most is how many changes a transaction goes through.
const most = 1000

// withTrails stores messages of ann, each of which she has edited that often. PostgreSQL fails where a transaction goes through too many.
func withTrails(t *testing.T, s *database.Store, lengths ...int) {
	t.Helper()
	s.MaxChanges = most
	for i, n := range lengths {
		appendAll(t, s, said(int64(i+1), "ann", "secret", "room.red", "room.blue"))
		if _, err := s.DB().Exec(fmt.Sprintf(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
			INSERT INTO changes (message, action, author, socket, name, time, payload, lengths)
			SELECT m.id, 'edit', 'ann', 'socket', 'Ann', 1, m.payload, '' FROM n, messages m WHERE m.sequence = %d`, n, i+1)); err != nil {
			t.Fatal(err)
		}
	}
	if s.Kind() != "postgres" {
		return
	}
	for _, statement := range []string{
		`CREATE TABLE counted (tx xid8 PRIMARY KEY, n bigint NOT NULL)`,
		fmt.Sprintf(`CREATE FUNCTION bounded() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN
			INSERT INTO counted SELECT pg_current_xact_id(), count(*) FROM was ON CONFLICT (tx) DO UPDATE SET n = counted.n + excluded.n;
			IF (SELECT n FROM counted WHERE tx = pg_current_xact_id()) > %d THEN RAISE EXCEPTION ''too many at once''; END IF;
			RETURN NULL; END'`, most),
		`CREATE TRIGGER bounded AFTER UPDATE ON changes REFERENCING OLD TABLE AS was FOR EACH STATEMENT EXECUTE FUNCTION bounded()`,
		`CREATE TRIGGER bounded_too AFTER DELETE ON changes REFERENCING OLD TABLE AS was FOR EACH STATEMENT EXECUTE FUNCTION bounded()`,
	} {
		if _, err := s.DB().Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
}

var trails = []int{1, most + 1, most - 1, 2}

func count(t *testing.T, s *database.Store, what string) (n int) {
	t.Helper()
	if err := s.DB().QueryRow(`SELECT count(*) FROM ` + what).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestLongTrailsAreRedactedInParts(t *testing.T) {
	both(t, func(t *testing.T, s *database.Store, _ func() *database.Store) {
		withTrails(t, s, trails...)
		if n, err := s.Redact(t.Context(), "ann", time.Time{}); err != nil || n != len(trails) {
			t.Fatalf("redacted %d, %v; want %d", n, err, len(trails))
		}
		if n := count(t, s, `changes WHERE payload <> CAST('["m"]' AS `+map[string]string{"sqlite": "BLOB", "postgres": "BYTEA"}[s.Kind()]+`) OR name <> '' OR socket <> ''`); n != 0 {
			t.Errorf("%d changes hold something", n)
		}
		if n := count(t, s, `messages WHERE NOT redacted`); n != 0 {
			t.Errorf("%d messages are as they were", n)
		}
	})
}

func TestLongTrailsAreSweptInParts(t *testing.T) {
	both(t, func(t *testing.T, s *database.Store, _ func() *database.Store) {
		withTrails(t, s, trails...)
		all := count(t, s, "changes")
		for i, target := range []string{"room.red", "room.blue"} {
			n, err := s.Sweep(t.Context(), record.Place{Namespace: "_", Target: target}, noon.Add(time.Hour))
			if err != nil || n != len(trails) {
				t.Fatalf("swept %d out of %s, %v; want %d", n, target, err, len(trails))
			}
			if left := count(t, s, "changes"); left != all*(1-i) {
				t.Errorf("%d of %d changes are left after %s", left, all, target)
			}
		}
		if n := count(t, s, "messages") + count(t, s, "places") + count(t, s, "words"); n != 0 {
			t.Errorf("%d rows are left", n)
		}
	})
}

// TestTheChangesOfAUserAreFoundByAnIndex has an index that is for those who were signed in.
func TestTheChangesOfAUserAreFoundByAnIndex(t *testing.T) {
	s := sqliteIn(t)()
	plan := explain(t, s, "EXPLAIN QUERY PLAN "+database.NamesQuery, 3, "ann", 1, most)
	if !slices.Contains(plan, "SEARCH changes USING INDEX changes_of_author (author=?)") {
		t.Errorf("plan:\n%s", strings.Join(plan, "\n"))
	}
}

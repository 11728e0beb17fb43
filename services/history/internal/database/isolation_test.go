package database_test

import (
	"math"
	"testing"

	"github.com/natter-io/natter/services/history/internal/record"
)

// TestAnErasureIsSeenByThoseWhoWaitedForIt stores in a PostgreSQL that gives transactions a snapshot of when they began,
// unless they ask for another one.
func TestAnErasureIsSeenByThoseWhoWaitedForIt(t *testing.T) {
	t.Parallel()
	open := postgresIn(t)
	s := open()
	if _, err := s.DB().ExecContext(t.Context(), `DO $$ BEGIN
		EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = ''repeatable read''', current_database());
	END $$`); err != nil {
		t.Fatal(err)
	}
	other := open()
	erasing, err := s.DB().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := erasing.ExecContext(t.Context(), s.Exclusive); err != nil {
		t.Fatal(err)
	}
	type result struct {
		redacted int
		err      error
	}
	done := make(chan result, 1)
	go func() {
		_, redacted, err := other.Append(t.Context(), []record.Message{said(1, "ann", "secret", "room.red")})
		done <- result{redacted, err}
	}()
	waiting(t, s, 1)
	if _, err := erasing.ExecContext(t.Context(), `INSERT INTO erased (author, until, done) VALUES ('ann', $1, TRUE)`, int64(math.MaxInt64)); err != nil {
		t.Fatal(err)
	}
	if err := erasing.Commit(); err != nil {
		t.Fatal(err)
	}
	if r := <-done; r.err != nil || r.redacted != 1 {
		t.Errorf("stored in clear after an erasure: %d redacted, %v", r.redacted, r.err)
	}
}

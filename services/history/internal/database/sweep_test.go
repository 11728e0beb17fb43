package database_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/natter-io/natter/services/history/internal/database"
	"github.com/natter-io/natter/services/history/internal/record"
)

// waiting waits until so many transactions of a PostgreSQL wait for locks.
func waiting(t *testing.T, s *database.Store, n int) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		var now int
		if err := s.DB().QueryRowContext(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&now); err != nil {
			t.Fatal(err)
		}
		if now == n {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d transactions wait; want %d", now, n)
		}
	}
}

// TestSweepWaitsForWhatIsUnderWay sweeps a message by one instance of PostgreSQL's while another one is in the midst of changing
// it, since somebody holds its row. SQLite has one writer.
func TestSweepWaitsForWhatIsUnderWay(t *testing.T) {
	for what, do := range map[string]func(*testing.T, *database.Store) error{
		"edit": func(t *testing.T, s *database.Store) error {
			return change(t, s, 1, record.By{User: "ann"}, `"edited secret"`)
		},
		"redaction": func(t *testing.T, s *database.Store) error {
			_, err := s.Redact(t.Context(), "ann", time.Time{})
			return err
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			open := postgresIn(t)
			s, other := open(), open()
			m := said(1, "ann", "secret", "room.red")
			m.Time = noon
			appendAll(t, s, m)
			if err := change(t, s, 1, record.By{User: "ann"}, `"another secret"`); err != nil {
				t.Fatal(err)
			}
			held, err := s.DB().BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := held.ExecContext(t.Context(), "SELECT 1 FROM messages FOR UPDATE"); err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 2)
			go func() { done <- do(t, s) }()
			waiting(t, s, 1)
			go func() {
				n, err := other.Sweep(t.Context(), red, noon.Add(time.Hour))
				if err == nil && n != 1 {
					err = fmt.Errorf("swept %d messages", n)
				}
				done <- err
			}()
			waiting(t, s, 2)
			if err := held.Commit(); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
			for _, table := range []string{"messages", "places", "changes", "words"} {
				var left int
				if err := s.DB().QueryRowContext(t.Context(), "SELECT count(*) FROM "+table).Scan(&left); err != nil || left != 0 {
					t.Errorf("%d rows left in %s, %v", left, table, err)
				}
			}
		})
	}
}

// TestAWrongClockHoldsUpNoSweep has messages that are dated too late in front of old ones: in the future, which many are, and later
// than those behind them.
func TestAWrongClockHoldsUpNoSweep(t *testing.T) {
	both(t, func(t *testing.T, s *database.Store, _ func() *database.Store) {
		var all []record.Message
		add := func(n int, when time.Time) {
			for range n {
				m := said(int64(len(all)+1), "ann", "hello", "room.red")
				m.Time = when
				all = append(all, m)
			}
		}
		s.MaxMessages = 50
		now := time.Now()
		add(1, now.Add(-48*time.Hour))
		add(130, now.Add(24*time.Hour))
		add(10, now.Add(-time.Hour))
		add(60, now.Add(-48*time.Hour))
		add(5, now)
		appendAll(t, s, all...)
		if n, err := s.Sweep(t.Context(), red, now.Add(-24*time.Hour)); err != nil || n != 61 {
			t.Errorf("swept %d messages, %v; 61 are old", n, err)
		}
	})
}

// TestAnErasureTakesAllThatIsStored has the clock of those who order it behind NATS's.
func TestAnErasureTakesAllThatIsStored(t *testing.T) {
	both(t, func(t *testing.T, s *database.Store, _ func() *database.Store) {
		first, last := said(1, "ann", "hello", "room.red"), said(2, "ann", "secret", "room.red")
		first.Time, last.Time = noon, noon.Add(2*time.Minute)
		appendAll(t, s, first, last)
		if n, err := s.Erase(t.Context(), "ann", noon.Add(time.Minute)); err != nil || n != 2 {
			t.Errorf("erased %d messages, %v; want 2", n, err)
		}
		next := said(3, "ann", "back again", "room.red")
		next.Time = noon.Add(3 * time.Minute)
		if _, redacted, err := s.Append(t.Context(), []record.Message{next}); err != nil || redacted != 0 {
			t.Errorf("%d redacted of what is said later, %v", redacted, err)
		}
	})
}

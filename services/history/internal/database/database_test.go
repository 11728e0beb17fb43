package database_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/natter-io/natter/services/history/internal/database"
	"github.com/natter-io/natter/services/history/internal/pgtest"
	"github.com/natter-io/natter/services/history/internal/postgres"
	"github.com/natter-io/natter/services/history/internal/record"
	"github.com/natter-io/natter/services/history/internal/sqlite"
)

func TestMain(m *testing.M) {
	os.Exit(pgtest.Run(m, func() error { return goleak.Find() }))
}

// both runs a test with an empty database of each kind; again opens the same one once more, unless it is
// an SQLite file, which is for one instance: then it is the same store.
func both(t *testing.T, test func(t *testing.T, s *database.Store, again func() *database.Store)) {
	t.Helper()
	for kind, open := range map[string]func(t testing.TB) func() *database.Store{"sqlite": sqliteIn, "postgres": postgresIn} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			again := open(t)
			test(t, again(), again)
		})
	}
}

func sqliteIn(t testing.TB) func() *database.Store {
	path := filepath.Join(t.TempDir(), "a b%20?c#d", "history.db") // made, and escaped
	return sync.OnceValue(func() *database.Store {
		return opened(t)(sqlite.Open(context.Background(), path, sqlite.SyncNormal))
	})
}

func postgresIn(t testing.TB) func() *database.Store {
	url := pgtest.New(t)
	return func() *database.Store { return opened(t)(postgres.Open(context.Background(), url, "")) }
}

func opened(t testing.TB) func(*database.Store, error) *database.Store {
	return func(s *database.Store, err error) *database.Store {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return s
	}
}

func message(epoch, sequence int64, targets ...string) record.Message {
	return record.Message{ID: record.ID{Epoch: epoch, Sequence: sequence}, Namespace: "_", Targets: targets, User: "u", Name: "n", Socket: "s",
		Time: time.Unix(0, epoch*1000+sequence), Event: fmt.Appendf(nil, `["m",%d,%d]`, epoch, sequence), Attachments: [][]byte{{}, {1, 2}}}
}

func appendAll(t testing.TB, s *database.Store, messages ...record.Message) (stored, redacted int) {
	t.Helper()
	stored, redacted, err := s.Append(context.Background(), messages)
	if err != nil {
		t.Fatal(err)
	}
	return stored, redacted
}

func older(t testing.TB, s *database.Store, target string, before record.ID, limit int) (found []record.Message) {
	t.Helper()
	err := s.Older(context.Background(), record.Place{Namespace: "_", Target: target}, before, 3, func(m record.Message) bool {
		found = append(found, m)
		return len(found) < limit
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func ids(messages []record.Message) string {
	var b strings.Builder
	for _, m := range messages {
		fmt.Fprintf(&b, "%d/%d ", m.ID.Epoch, m.ID.Sequence)
	}
	return strings.TrimSpace(b.String())
}

func TestOrderIsByEpochThenSequence(t *testing.T) {
	both(t, func(t *testing.T, s *database.Store, _ func() *database.Store) {
		appendAll(t, s, message(20, 1, "all"), message(9, 5, "all"), message(9, 10, "all", "room.red"), message(100, 2, "room.red"))
		for _, c := range []struct {
			target string
			before record.ID
			want   string
		}{
			{"all", record.Newest, "20/1 9/10 9/5"},
			{"all", record.ID{Epoch: 20, Sequence: 1}, "9/10 9/5"},
			{"all", record.ID{Epoch: 9, Sequence: 7}, "9/5"}, // no message has this id
			{"all", record.ID{}, ""},
			{"room.red", record.Newest, "100/2 9/10"},
			{"room.blue", record.Newest, ""},
		} {
			if got := ids(older(t, s, c.target, c.before, 10)); got != c.want {
				t.Errorf("%s before %v: %s; want %s", c.target, c.before, got, c.want)
			}
		}
		for _, c := range []struct {
			after record.ID
			want  string
		}{
			{record.ID{}, "9/5 9/10 20/1"},
			{record.ID{Epoch: 9, Sequence: 5}, "9/10 20/1"},
			{record.ID{Epoch: 9, Sequence: 11}, "20/1"},
			{record.Newest, ""},
		} {
			var found []record.Message
			if err := s.Newer(t.Context(), record.Place{Namespace: "_", Target: "all"}, c.after, 1, func(m record.Message) bool {
				found = append(found, m)
				return true
			}); err != nil || ids(found) != c.want {
				t.Errorf("after %v: %s, %v; want %s", c.after, ids(found), err, c.want)
			}
		}
	})
}

func TestASecondDeliveryChangesNothing(t *testing.T) {
	both(t, func(t *testing.T, s *database.Store, again func() *database.Store) {
		if stored, _ := appendAll(t, s, message(1, 1, "all"), message(1, 2, "all"), message(1, 1, "all")); stored != 2 {
			t.Errorf("stored %d; want 2", stored)
		}
		other := message(1, 1, "all", "room.red")
		other.Event = []byte(`["other"]`)
		if stored, _ := appendAll(t, s, other, message(1, 3, "all")); stored != 1 {
			t.Errorf("stored %d; want 1", stored)
		}
		second := again() // and the schema is there already
		if second.ID() != s.ID() || s.ID() == "" {
			t.Errorf("the database is %q and %q", s.ID(), second.ID())
		}
		got := older(t, second, "all", record.Newest, 10)
		want := message(1, 1, "all")
		if ids(got) != "1/3 1/2 1/1" || !got[2].Time.Equal(want.Time) || string(got[2].Event) != string(want.Event) ||
			fmt.Sprint(got[2].Attachments) != fmt.Sprint(want.Attachments) || got[2].User != "u" || got[2].Name != "n" || got[2].Socket != "s" {
			t.Errorf("%+v", got)
		}
		if n := len(older(t, s, "room.red", record.Newest, 10)); n != 0 {
			t.Errorf("%d messages in red; want none", n)
		}
	})
}

// TestInstancesStoreTheSameOnce has several stores append overlapping batches at once.
func TestInstancesStoreTheSameOnce(t *testing.T) {
	both(t, func(t *testing.T, s *database.Store, again func() *database.Store) {
		const instances, n = 4, 300
		var running sync.WaitGroup
		var total atomic.Int64
		for i := range instances {
			store := again()
			running.Go(func() {
				var batch []record.Message
				for j := range int64(n) { // each in an order of its own
					batch = append(batch, message(1, (j*7+int64(i)*41)%n+1, "all"))
				}
				for part := range slices.Chunk(batch, 50) {
					stored, _, err := store.Append(context.Background(), part)
					if err != nil {
						t.Error(err)
					}
					total.Add(int64(stored))
				}
			})
		}
		running.Wait()
		if got := older(t, s, "all", record.Newest, 2*n); total.Load() != n || len(got) != n {
			t.Errorf("stored %d, there are %d; want %d", total.Load(), len(got), n)
		}
	})
}

func TestRedactionInChunks(t *testing.T) {
	both(t, func(t *testing.T, s *database.Store, _ func() *database.Store) {
		const n = 107
		s.MaxMessages = 50
		var all []record.Message
		for i := range int64(n) {
			all = append(all, message(1, i+1, "all"))
		}
		other := message(1, n+1, "all")
		other.User = "v"
		appendAll(t, s, append(all, other)...)
		if redacted, err := s.Redact(t.Context(), "u", time.Time{}); err != nil || redacted != n {
			t.Errorf("redacted %d, %v; want %d", redacted, err, n)
		}
		got := older(t, s, "all", record.Newest, n+1)
		if got[0].Redacted || !got[1].Redacted || string(got[1].Event) != `["m"]` || got[1].Attachments != nil || got[1].User != "u" {
			t.Errorf("newest: %+v, %+v", got[0], got[1])
		}
		if stored, redacted := appendAll(t, s, message(1, n, "all"), message(1, n+2, "all")); stored != 1 || redacted != 1 {
			t.Errorf("later: stored %d, redacted %d; want 1 and 1", stored, redacted)
		}
		if redacted, err := s.Redact(t.Context(), "u", time.Time{}); err != nil || redacted != 0 {
			t.Errorf("again: redacted %d, %v; want none", redacted, err)
		}
		for range 2 {
			a, err := announcements(t, s)
			if err != nil || len(a) != 1 || a[0].Topic != "redacted:_:u" || string(a[0].Event) != `["redacted",{"user":"u"}]` ||
				a[0].Namespace != "_" || a[0].Target != "all" || a[0].Version != (record.ID{Epoch: 1, Sequence: n + 2}) {
				t.Fatalf("announcements %+v, %v", a, err)
			}
			a[0].Version.Sequence-- // what was read before the later one came
			if err := s.Announced(t.Context(), a[0]); err != nil {
				t.Fatal(err)
			}
		}
		a, err := announcements(t, s)
		if err != nil || len(a) != 1 || s.Announced(t.Context(), a[0]) != nil {
			t.Fatalf("announcements %+v, %v", a, err)
		}
		if a, err = announcements(t, s); err != nil || len(a) != 0 {
			t.Errorf("announcements %+v, %v; want none", a, err)
		}
	})
}

// TestClientsHearUntilWhenWordsWereErased has a user erased twice, then deleted, before anybody is told.
func TestClientsHearUntilWhenWordsWereErased(t *testing.T) {
	both(t, func(t *testing.T, s *database.Store, _ func() *database.Store) {
		first, second, third := message(1, 1, "all"), message(1, 2, "all"), message(1, 3, "all")
		first.Time = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
		second.Time, third.Time = first.Time.Add(time.Hour), first.Time.Add(2*time.Hour)
		appendAll(t, s, first) // an erasure reaches to the newest message at least
		tells := func(want ...string) {
			t.Helper()
			a, err := announcements(t, s)
			var got []string
			for _, a := range a {
				if a.Namespace != "" {
					got = append(got, string(a.Event))
				}
			}
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("announcements %q, %v; want %q", got, err, want)
			}
		}
		if n, err := s.Erase(t.Context(), "u", first.Time.Add(1500*time.Millisecond)); err != nil || n != 1 {
			t.Fatalf("erased %d, %v", n, err)
		}
		tells(`["redacted",{"user":"u","until":"2026-01-02T12:00:01.5Z"}]`)
		appendAll(t, s, second)
		if n, err := s.Erase(t.Context(), "u", second.Time); err != nil || n != 1 {
			t.Fatalf("erased %d, %v", n, err)
		}
		tells(`["redacted",{"user":"u","until":"2026-01-02T12:00:01.5Z"}]`, `["redacted",{"user":"u","until":"2026-01-02T13:00:00Z"}]`)
		late := message(1, 4, "all")
		late.Time = first.Time
		appendAll(t, s, third, late)
		if n, err := s.Redact(t.Context(), "u", time.Time{}); err != nil || n != 1 {
			t.Fatalf("redacted %d, %v", n, err)
		}
		tells(`["redacted",{"user":"u","until":"2026-01-02T12:00:01.5Z"}]`, `["redacted",{"user":"u"}]`, `["redacted",{"user":"u","until":"2026-01-02T13:00:00Z"}]`)
	})
}

// TestNothingSlipsPastARedaction stores a user's messages while the user is redacted: none may stay as it was.
func TestNothingSlipsPastARedaction(t *testing.T) {
	both(t, func(t *testing.T, s *database.Store, again func() *database.Store) {
		const n = 200
		other := again()
		var storing sync.WaitGroup
		storing.Go(func() {
			for i := range int64(n) {
				if _, _, err := other.Append(context.Background(), []record.Message{message(1, i+1, "all")}); err != nil {
					t.Error(err)
				}
			}
		})
		if _, err := s.Redact(t.Context(), "u", time.Time{}); err != nil {
			t.Error(err)
		}
		storing.Wait()
		for _, m := range older(t, s, "all", record.Newest, n) {
			if !m.Redacted {
				t.Fatalf("message %s is not redacted", m.ID)
			}
		}
	})
}

func TestIncarnationsShareNoEpoch(t *testing.T) {
	both(t, func(t *testing.T, s *database.Store, _ func() *database.Store) {
		for _, c := range []struct {
			name         string
			epoch, first int64
			identity     string
			want         []record.Incarnation
		}{
			{"a", 5, 1, "a", []record.Incarnation{{Epoch: 5, First: 1}}},
			{"b", 5, 1, "b", []record.Incarnation{{Epoch: 6, First: 1}}},
			{"c", 5, 1, "c", []record.Incarnation{{Epoch: 7, First: 1}}},
			{"a", 9, 1, "a", []record.Incarnation{{Epoch: 5, First: 1}}},
			{"d", 9, 1, "d", []record.Incarnation{{Epoch: 9, First: 1}}},
			{"a/x", 20, 4, "a", []record.Incarnation{{Epoch: 5, First: 1}, {Epoch: 20, First: 4}}},
			{"a/y", 20, 3, "a", []record.Incarnation{{Epoch: 5, First: 1}, {Epoch: 20, First: 4}, {Epoch: 21, First: 3}}},
			{"aa/y", 30, 3, "a", []record.Incarnation{{Epoch: 5, First: 1}, {Epoch: 20, First: 4}, {Epoch: 21, First: 3}}},
		} {
			if err := s.NoteIncarnation(t.Context(), c.name, record.Incarnation{Epoch: c.epoch, First: c.first}); err != nil {
				t.Error(err)
			}
			if got, err := s.Incarnations(t.Context(), c.identity); err != nil || !slices.Equal(got, c.want) {
				t.Errorf("after %s: incarnations of %s: %v, %v; want %v", c.name, c.identity, got, err, c.want)
			}
		}
		if got, err := s.Incarnations(t.Context(), "x"); err != nil || len(got) > 0 {
			t.Errorf("an unknown incarnation: %v, %v", got, err)
		}
	})
}

// TestReadersDoNotWaitForTheWriter reads while a write transaction is open.
func TestReadersDoNotWaitForTheWriter(t *testing.T) {
	both(t, func(t *testing.T, s *database.Store, _ func() *database.Store) {
		appendAll(t, s, message(1, 1, "all"))
		tx, err := s.DB().Begin()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(`DELETE FROM places`); err != nil {
			t.Fatal(err)
		}
		var readers sync.WaitGroup
		for range 16 {
			readers.Go(func() {
				if n := len(older(t, s, "all", record.Newest, 10)); n != 1 {
					t.Errorf("a reader met %d messages; want 1", n)
				}
			})
		}
		readers.Wait()
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestADatabaseOfANewerVersionIsRefused has one that a later version of the service has brought up to date.
func TestADatabaseOfANewerVersionIsRefused(t *testing.T) {
	path, url := filepath.Join(t.TempDir(), "history.db"), pgtest.New(t)
	for kind, open := range map[string]func() (*database.Store, error){
		"sqlite":   func() (*database.Store, error) { return sqlite.Open(t.Context(), path, sqlite.SyncNormal) },
		"postgres": func() (*database.Store, error) { return postgres.Open(t.Context(), url, "") },
	} {
		s, err := open()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.DB().Exec(`INSERT INTO goose_db_version (version_id, is_applied) SELECT max(version_id) + 1, TRUE FROM goose_db_version`); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if s, err = open(); err == nil || !strings.Contains(err.Error(), "use a newer one") || postgres.IsAway(err) {
			t.Errorf("%s: %v", kind, err)
			if err == nil {
				t.Error(s.Close())
			}
		}
	}
}

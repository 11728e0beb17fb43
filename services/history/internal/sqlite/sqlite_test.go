package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/natter-io/natter/services/history/internal/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open1(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(context.Background(), path, SyncNormal)
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

func newStore(t testing.TB) *Store {
	t.Helper()
	return open1(t, filepath.Join(t.TempDir(), "a b%20?c#d", "history.db")) // made, and escaped
}

func message(epoch, sequence int64, targets ...string) record.Message {
	return record.Message{ID: record.ID{Epoch: epoch, Sequence: sequence}, Namespace: "_", Targets: targets, User: "u", Name: "n", Socket: "s",
		Time: time.Unix(0, epoch*1000+sequence), Event: fmt.Appendf(nil, `["m",%d,%d]`, epoch, sequence), Attachments: [][]byte{{}, {1, 2}}}
}

func appendAll(t testing.TB, s *Store, messages ...record.Message) (stored, redacted int) {
	t.Helper()
	stored, redacted, err := s.Append(context.Background(), messages)
	if err != nil {
		t.Fatal(err)
	}
	return stored, redacted
}

func older(t testing.TB, s *Store, target string, before record.ID, limit int) (found []record.Message) {
	t.Helper()
	err := s.Older(context.Background(), record.Place{Namespace: "_", Target: target}, before, func(m record.Message) bool {
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
	s := newStore(t)
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
}

func TestASecondDeliveryChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	s := open1(t, path)
	if stored, _ := appendAll(t, s, message(1, 1, "all"), message(1, 2, "all"), message(1, 1, "all")); stored != 2 {
		t.Errorf("stored %d; want 2", stored)
	}
	again := message(1, 1, "all", "room.red")
	again.Event = []byte(`["other"]`)
	if stored, _ := appendAll(t, s, again, message(1, 3, "all")); stored != 1 {
		t.Errorf("stored %d; want 1", stored)
	}
	s = open1(t, path) // and the schema is there already
	got := older(t, s, "all", record.Newest, 10)
	if want := message(1, 1, "all"); ids(got) != "1/3 1/2 1/1" || fmt.Sprint(got[2]) != fmt.Sprint(want) && !got[2].Time.Equal(want.Time) || string(got[2].Event) != string(want.Event) {
		t.Errorf("%+v", got)
	}
	if n := len(older(t, s, "room.red", record.Newest, 10)); n != 0 {
		t.Errorf("%d messages in red; want none", n)
	}
}

// TestPageIsAnIndexRange asks SQLite how it reads a page: without looking at other rooms, without sorting.
func TestPageIsAnIndexRange(t *testing.T) {
	s := newStore(t)
	rows, err := s.read.Query("EXPLAIN QUERY PLAN "+olderQuery, "_", "all", 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var plan []string
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		plan = append(plan, detail)
	}
	want := []string{
		"SEARCH p USING PRIMARY KEY (namespace=? AND target=? AND (epoch,sequence)<(?,?))",
		"SEARCH m USING INTEGER PRIMARY KEY (rowid=?)",
	}
	if strings.Join(plan, "\n") != strings.Join(want, "\n") {
		t.Errorf("plan:\n%s\nwant:\n%s", strings.Join(plan, "\n"), strings.Join(want, "\n"))
	}
}

func TestRedactionInChunks(t *testing.T) {
	s := newStore(t)
	const n = 2*redactChunk + 7
	var all []record.Message
	for i := range int64(n) {
		all = append(all, message(1, i+1, "all"))
	}
	other := message(1, n+1, "all")
	other.User = "v"
	appendAll(t, s, append(all, other)...)
	if redacted, err := s.Redact(t.Context(), "u"); err != nil || redacted != n {
		t.Errorf("redacted %d, %v; want %d", redacted, err, n)
	}
	got := older(t, s, "all", record.Newest, n+1)
	if got[0].Redacted || !got[1].Redacted || string(got[1].Event) != `["m"]` || got[1].Attachments != nil || got[1].User != "u" {
		t.Errorf("newest: %+v, %+v", got[0], got[1])
	}
	if stored, redacted := appendAll(t, s, message(1, n, "all"), message(1, n+2, "all")); stored != 1 || redacted != 1 {
		t.Errorf("later: stored %d, redacted %d; want 1 and 1", stored, redacted)
	}
	if redacted, err := s.Redact(t.Context(), "u"); err != nil || redacted != 0 {
		t.Errorf("again: redacted %d, %v; want none", redacted, err)
	}
	for range 2 {
		a, err := s.Announcements(t.Context())
		if err != nil || len(a) != 1 || a[0] != (record.Announcement{Namespace: "_", User: "u", Newest: record.ID{Epoch: 1, Sequence: n + 2}}) {
			t.Fatalf("announcements %+v, %v", a, err)
		}
		a[0].Newest.Sequence-- // what was read before the later one came
		if err := s.Announced(t.Context(), a[0]); err != nil {
			t.Fatal(err)
		}
	}
	a, err := s.Announcements(t.Context())
	if err != nil || len(a) != 1 || s.Announced(t.Context(), a[0]) != nil {
		t.Fatalf("announcements %+v, %v", a, err)
	}
	if a, err = s.Announcements(t.Context()); err != nil || len(a) != 0 {
		t.Errorf("announcements %+v, %v; want none", a, err)
	}
}

func TestIncarnationsShareNoEpoch(t *testing.T) {
	s := newStore(t)
	for _, c := range []struct {
		identity    string
		epoch, want int64
	}{{"a", 5, 5}, {"b", 5, 6}, {"c", 5, 7}, {"a", 9, 5}, {"d", 9, 9}} {
		if got, err := s.NoteEpoch(t.Context(), c.identity, c.epoch); err != nil || got != c.want {
			t.Errorf("NoteEpoch(%s, %d) = %d, %v; want %d", c.identity, c.epoch, got, err, c.want)
		}
		if got, known, err := s.Epoch(t.Context(), c.identity); err != nil || !known || got != c.want {
			t.Errorf("Epoch(%s) = %d, %t, %v; want %d", c.identity, got, known, err, c.want)
		}
	}
	if _, known, err := s.Epoch(t.Context(), "x"); err != nil || known {
		t.Errorf("an unknown incarnation: %t, %v", known, err)
	}
}

// TestReadersDoNotWaitForTheWriter reads while a write transaction is open.
func TestReadersDoNotWaitForTheWriter(t *testing.T) {
	s := newStore(t)
	appendAll(t, s, message(1, 1, "all"))
	err := s.inTx(t.Context(), func(tx *sql.Tx) error {
		if _, err := tx.Exec(`DELETE FROM places`); err != nil {
			return err
		}
		var readers sync.WaitGroup
		for range 2 * maxReaders {
			readers.Go(func() {
				if n := len(older(t, s, "all", record.Newest, 10)); n != 1 {
					t.Errorf("a reader met %d messages; want 1", n)
				}
			})
		}
		readers.Wait()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestBusy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	open1(t, path)
	other, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	other.SetMaxOpenConns(1)
	if _, err := other.Exec("BEGIN EXCLUSIVE"); err != nil {
		t.Fatal(err)
	}
	second := open1(t, path) // nothing to migrate, so nothing to write
	if _, _, err := second.Append(t.Context(), []record.Message{message(1, 1)}); !IsBusy(err) {
		t.Errorf("Append = %v; want a busy error", err)
	}
	if IsBusy(nil) || IsBusy(sql.ErrNoRows) {
		t.Error("other errors are busy errors")
	}
	if _, err := other.Exec("ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	appendAll(t, second, message(1, 1))
}

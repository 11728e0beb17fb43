package database_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/natter-io/natter/services/history/internal/database"
	"github.com/natter-io/natter/services/history/internal/record"
)

// facts are those that other services must still be told.
func facts(t *testing.T, s *database.Store) string {
	t.Helper()
	all, err := announcements(t, s)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, a := range all {
		if a.Namespace == "" {
			found = append(found, a.Target+string(a.Event))
		}
	}
	return strings.Join(found, " ")
}

func TestDeletionsAreMadeBeforeAndAfterTheirMessageComes(t *testing.T) {
	both(t, func(t *testing.T, s *database.Store, _ func() *database.Store) {
		deletion := func(sequence int64, at time.Time) record.Deletion {
			return record.Deletion{ID: record.ID{Epoch: 1, Sequence: sequence}, User: "root", Time: at}
		}
		told := []record.Deletion{deletion(1, noon), deletion(2, noon), deletion(3, time.Unix(0, 0)), deletion(4, noon), deletion(9, noon)}
		there, later, again, erased, after := said(1, "ann", "was there", "room.red"), said(2, "ann", "comes later", "room.red", "room.blue"), said(3, "ann", "has the id again", "room.red"), said(4, "bob", "erased", "room.red"), said(5, "ann", "stays", "room.red")
		again.Time = noon
		for _, user := range []string{"bob", "carl"} {
			if _, err := s.Redact(t.Context(), user, noon); err != nil {
				t.Fatal(err)
			}
		}
		appendAll(t, s, there)
		for range 2 {
			if err := s.Deletions(t.Context(), told); err != nil {
				t.Fatal(err)
			}
			appendAll(t, s, later, again, erased, after)
		}
		for sequence, want := range map[int64]string{1: "deleted [was there]", 2: "deleted [comes later]", 3: "there []", 4: "deleted []", 5: "there []"} {
			m, trail, err := trailOf(t, s, record.ID{Epoch: 1, Sequence: sequence})
			if err != nil {
				t.Fatal(err)
			}
			got := "there ["
			if m.Deleted.Equal(noon) && string(m.Event) == `["m"]` && len(trail) == 1 && trail[0].By.User == "root" && trail[0].Action == record.Delete {
				got = "deleted ["
				if _, text, found := strings.Cut(string(trail[0].Event), `"red" , "`); found {
					got += strings.TrimSuffix(text, `"]`)
				}
			}
			if got+"]" != want {
				t.Errorf("%d: %s]; want %s; %s %+v", sequence, got, want, m.Event, trail)
			}
		}
		if got := find(t, s, nil, record.Word{Text: "was"}) + find(t, s, nil, record.Word{Text: "later"}); got != "" {
			t.Errorf("found %s", got)
		}
		if got := facts(t, s); got != "" {
			t.Errorf("facts that were heard are stated again: %s", got)
		}
	})
}

func TestWhatIsTakenOutIsStatedAsFactsWithoutItsText(t *testing.T) {
	both(t, func(t *testing.T, s *database.Store, _ func() *database.Store) {
		appendAll(t, s, said(1, "ann", "secret", "room.red"), said(2, "ann", "secret", "room.red"))
		root := record.By{User: "root", Name: "Root", Socket: "secret socket", Admin: true}
		if err := change(t, s, 1, root, `"another secret"`); err != nil {
			t.Fatal(err)
		}
		if err := change(t, s, 1, root, ""); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := s.Erase(t.Context(), "ann", noon.Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		m, _, err := trailOf(t, s, record.ID{Epoch: 1, Sequence: 1})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := facts(t, s), `message.deleted{"id":"1-1","user":"root","time":"`+m.Deleted.Format(time.RFC3339Nano)+`"} user.erased{"user":"ann","time":"2026-01-02T13:00:00.000000005Z"}`; got != want {
			t.Errorf("facts %s; want %s", got, want)
		}
	})
}

// TestAnErasureThatWasCutOffGoesOn has the database fail at a message of the second chunk.
func TestAnErasureThatWasCutOffGoesOn(t *testing.T) {
	both(t, func(t *testing.T, s *database.Store, again func() *database.Store) {
		var all []record.Message
		s.MaxMessages = 50
		for i := range int64(120) {
			all = append(all, said(i+1, "ann", "x", "room.red"))
		}
		appendAll(t, s, all...)
		spoil := func(lengths string) {
			t.Helper()
			if _, err := s.DB().Exec(fmt.Sprintf("UPDATE messages SET lengths = '%s' WHERE sequence = 70", lengths)); err != nil {
				t.Fatal(err)
			}
		}
		spoil("what?")
		if n, err := s.Erase(t.Context(), "ann", noon); err == nil || n != 50 {
			t.Fatalf("erased %d, %v; want 50 and an error", n, err)
		}
		left := func(s *database.Store, sequence int64) record.Erasure {
			t.Helper()
			undone, err := s.Undone(t.Context())
			if err != nil || len(undone) != 1 || undone[0].User != "ann" || undone[0].Left.Sequence != sequence {
				t.Fatalf("undone: %+v, %v; want what ann said from %d on", undone, err, sequence)
			}
			return undone[0]
		}
		if n, err := s.Resume(t.Context(), left(s, 51)); err == nil || n != 0 {
			t.Errorf("went on with %d, %v", n, err)
		}
		if got := facts(t, s); got != "" {
			t.Errorf("stated before it is done: %s", got)
		}
		spoil("")
		next := again()
		undone := left(next, 51)
		if n, err := next.Resume(t.Context(), undone); err != nil || n != 70 {
			t.Errorf("went on with %d, %v; want 70", n, err)
		}
		if n, err := next.Resume(t.Context(), undone); err != nil || n != 0 {
			t.Errorf("went on once more with %d, %v", n, err)
		}
		if undone, err := next.Undone(t.Context()); err != nil || len(undone) != 0 {
			t.Errorf("undone in the end: %+v, %v", undone, err)
		}
		if got := facts(t, next); !strings.HasPrefix(got, `user.erased{"user":"ann"`) {
			t.Errorf("facts %s", got)
		}
	})
}

// TestAnErasureThatIsSlowToLookAtGoesOn has a look at one take as long as it may, since PostgreSQL's table of messages is locked.
func TestAnErasureThatIsSlowToLookAtGoesOn(t *testing.T) {
	s := postgresIn(t)()
	appendAll(t, s, said(1, "ann", "x", "room.red"))
	if _, err := s.DB().Exec(fmt.Sprintf("INSERT INTO erased (author, until, done) VALUES ('ann', %d, FALSE)", noon.UnixNano())); err != nil {
		t.Fatal(err)
	}
	tx, err := s.DB().Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec("LOCK TABLE messages IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	s.ReadWait = time.Second
	undone, err := s.Undone(t.Context())
	if err != nil || len(undone) != 1 || undone[0] != (record.Erasure{User: "ann", Until: noon.UnixNano()}) {
		t.Errorf("undone: %+v, %v", undone, err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	for _, e := range undone {
		if n, err := s.Resume(t.Context(), e); err != nil || n != 1 {
			t.Errorf("went on with %d, %v", n, err)
		}
	}
}

// TestAnErasureHeardAgainTakesNothingNew has a fact of long ago come again.
func TestAnErasureHeardAgainTakesNothingNew(t *testing.T) {
	both(t, func(t *testing.T, s *database.Store, _ func() *database.Store) {
		old, young := said(1, "ann", "old", "room.red"), said(2, "ann", "young", "room.red")
		young.Time = noon
		appendAll(t, s, old, young)
		erase := func(want int) {
			t.Helper()
			if n, err := s.Redact(t.Context(), "ann", noon.Add(-1)); err != nil || n != want {
				t.Errorf("redacted %d, %v; want %d", n, err, want)
			}
		}
		erase(1)
		if _, err := s.Read(t.Context(), red, "ann", young.ID); err != nil {
			t.Fatal(err)
		}
		if err := change(t, s, 2, record.By{User: "ann", Name: "Ann"}, `"younger"`); err != nil {
			t.Fatal(err)
		}
		erase(0)
		marks, err := marksOf(t, s, "ann")
		_, trail, terr := trailOf(t, s, young.ID)
		if err != nil || terr != nil || len(marks) != 1 || len(trail) != 1 || trail[0].By.Name != "Ann" {
			t.Errorf("marks %+v, trail %+v, %v, %v", marks, trail, err, terr)
		}
	})
}

package database_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/natter-io/natter/services/history/internal/database"
	"github.com/natter-io/natter/services/history/internal/record"
)

var (
	red  = record.Place{Namespace: "_", Target: "room.red"}
	noon = time.Date(2026, 1, 2, 12, 0, 0, 5, time.UTC)
)

func said(sequence int64, user, text string, targets ...string) record.Message {
	m := message(1, sequence, targets...)
	m.User, m.Socket, m.Attachments = user, "socket of "+user, nil
	words, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string always is JSON
	}
	m.Event = fmt.Appendf(nil, `["m", "red" , %s]`, words)
	return m
}

func change(t *testing.T, s *database.Store, sequence int64, by record.By, value string) error {
	t.Helper()
	c := record.Change{Place: red, ID: record.ID{Epoch: 1, Sequence: sequence}, By: by, Action: record.Edit, Value: []byte(value)}
	if value == "" {
		c.Action, c.Value = record.Delete, nil
	}
	_, err := s.Change(t.Context(), c)
	return err
}

// trailOf is a message of the room red with its trail.
func trailOf(t *testing.T, s *database.Store, id record.ID) (m record.Message, trail []record.Trace, err error) {
	t.Helper()
	if m, err = s.Get(t.Context(), red, id); err == nil {
		err = s.Traces(t.Context(), m.Row, 0, func(trace record.Trace) bool { trail = append(trail, trace); return true })
	}
	return m, trail, err
}

func marksOf(t *testing.T, s *database.Store, user string) (marks []record.Mark, err error) {
	t.Helper()
	err = s.Marks(t.Context(), user, record.Place{}, func(m record.Mark) bool { marks = append(marks, m); return true })
	return marks, err
}

func TestChangesLeaveATrail(t *testing.T) {
	both(t, func(t *testing.T, s *database.Store, _ func() *database.Store) {
		attached := message(1, 4, "room.red")
		guest := said(5, "", "a guest's", "room.red")
		appendAll(t, s, said(1, "ann", "first", "room.red", "room.blue"), said(2, "bob", "second", "room.red"), said(3, "ann", "third", "all"), attached, guest)
		ann, admin := record.By{User: "ann", Name: "Ann", Socket: "a"}, record.By{User: "root", Name: "Root", Admin: true}
		for _, c := range []struct {
			sequence int64
			by       record.By
			value    string
			want     error
		}{
			{2, ann, `"mine now"`, record.ErrNotYours},
			{2, ann, ``, record.ErrNotYours},
			{2, record.By{Socket: "socket of bob"}, ``, record.ErrNotYours}, // bob was signed in
			{5, record.By{User: "ann", Socket: "a"}, ``, record.ErrNotYours},
			{3, ann, `"elsewhere"`, record.ErrNotFound},
			{9, ann, `"nowhere"`, record.ErrNotFound},
			{4, admin, `"no"`, record.ErrUnfitting},
			{1, ann, `{`, record.ErrUnfitting},
			{1, ann, `"first, <better>"`, nil},
			{1, ann, `"first, <better>"`, nil}, // changes nothing
			{1, admin, `{"b":1,"a":2}`, nil},
			{2, admin, ``, nil},
			{2, admin, ``, record.ErrGone},
			{2, admin, `"back"`, record.ErrGone},
			{5, record.By{Socket: "socket of "}, `"still a guest's"`, nil},
		} {
			if err := change(t, s, c.sequence, c.by, c.value); !errors.Is(err, c.want) || c.want == nil && err != nil {
				t.Errorf("%d by %+v to %s: %v; want %v", c.sequence, c.by, c.value, err, c.want)
			}
		}
		m, trail, err := trailOf(t, s, record.ID{Epoch: 1, Sequence: 1})
		if err != nil || string(m.Event) != `["m","red",{"b":1,"a":2}]` || time.Since(m.Edited) > time.Hour || len(trail) != 2 {
			t.Fatalf("%s %+v, trail %+v, %v", m.Event, m, trail, err)
		}
		if string(trail[0].Event) != `["m", "red" , "first"]` || trail[0].By.Name != "Ann" || string(trail[1].Event) != `["m","red","first, <better>"]` || trail[1].By.User != "root" || !trail[1].Time.Equal(m.Edited) || trail[1].Action != record.Edit {
			t.Errorf("trail %+v", trail)
		}
		latest := m.Edited
		m, trail, err = trailOf(t, s, record.ID{Epoch: 1, Sequence: 2})
		if err != nil || string(m.Event) != `["m"]` || len(trail) != 1 || !trail[0].Time.Equal(m.Deleted) || string(trail[0].Event) != `["m", "red" , "second"]` {
			t.Errorf("%s, trail %+v, %v", m.Event, trail, err)
		}
		// Both rooms of the first message hear of its latest state, once.
		announced := make(map[string]string)
		all, err := announcements(t, s)
		for _, a := range all {
			announced[a.Target+" "+string(a.Event)[:16]] += string(a.Event)
		}
		want := `["message edited",{"id":"1-1","room":"blue","user":"root","name":"Root","time":"` + latest.Format(time.RFC3339Nano) + `","event":["m","red",{"b":1,"a":2}]}]`
		if err != nil || len(all) != 5 || announced[`room.blue ["message edited`] != want || !strings.Contains(announced[`room.red ["message delete`], `"id":"1-2","room":"red"`) {
			t.Errorf("announcements %q, %v", announced, err)
		}
		// What a deleted user said and did leaves nothing.
		if n, err := s.Redact(t.Context(), "ann", time.Time{}); err != nil || n != 2 {
			t.Errorf("redacted %d, %v", n, err)
		}
		if m, trail, err = trailOf(t, s, record.ID{Epoch: 1, Sequence: 1}); err != nil || !m.Redacted || string(m.Event) != `["m"]` ||
			string(trail[0].Event) != `["m"]` || string(trail[1].Event) != `["m"]` || trail[0].By.Name != "" || trail[1].By.Name != "Root" {
			t.Errorf("%+v, trail %+v, %v", m, trail, err)
		}
		if all, err = announcements(t, s); err != nil || len(all) != 4 || strings.Contains(fmt.Sprintf("%s", all), `"b":1`) {
			t.Errorf("what was not said yet of a redacted message: %s, %v", all, err)
		}
		if err := change(t, s, 1, admin, `"again"`); !errors.Is(err, record.ErrGone) {
			t.Errorf("a redacted message: %v", err)
		}
	})
}

func find(t *testing.T, s *database.Store, targets []string, words ...record.Word) string {
	t.Helper()
	var found []record.Message
	if err := s.Search(t.Context(), "_", targets, words, record.Newest, 2, func(m record.Message) bool { found = append(found, m); return true }); err != nil {
		t.Fatal(err)
	}
	return ids(found)
}

func TestSearch(t *testing.T) {
	both(t, func(t *testing.T, s *database.Store, _ func() *database.Store) {
		other := said(7, "ann", "hello", "room.red")
		other.Namespace = "admin"
		many := said(8, "ann", "Ünïcode 日本語 hello's", "room.red", "room.blue")
		structured := said(9, "ann", "", "all")
		structured.Event = []byte(`["m",{"title":"Hello","lines":["one well-known",["two"]],"n":3}]`)
		appendAll(t, s, said(10, "ann", "हिन्दी भाषा, é\u0301 \U00010D4Ax", "room.hindi"), said(1, "ann", "hello world", "room.red"), said(2, "ann", "hello blue world", "room.blue"), said(3, "ann", "Hello, WORLD!", "room.red"),
			said(4, "ann", "help", "room.red"), said(5, "ann", "'; DROP TABLE words; -- \" ' & | ! :* \\", "room.red"), said(6, "ann", "", "room.red"), other, many, structured)
		w := func(text string) record.Word {
			prefix := strings.HasSuffix(text, "*")
			return record.Word{Text: strings.TrimSuffix(text, "*"), Prefix: prefix}
		}
		for _, c := range []struct {
			targets []string
			words   []record.Word
			want    string
		}{
			{nil, []record.Word{w("hello")}, "1/9 1/8 1/3 1/2 1/1"},
			{[]string{"room.red"}, []record.Word{w("hello")}, "1/8 1/3 1/1"},
			{[]string{"room.red"}, []record.Word{w("world"), w("hello")}, "1/3 1/1"},
			{[]string{"room.blue", "all"}, []record.Word{w("hello")}, "1/9 1/8 1/2"},
			{[]string{"room.red"}, []record.Word{w("hel*")}, "1/8 1/4 1/3 1/1"},
			{[]string{"room.red"}, []record.Word{w("hel")}, ""},
			{nil, []record.Word{w("ünïcode")}, "1/8"},
			{nil, []record.Word{w("日本"), w("本語")}, "1/8"},
			{nil, []record.Word{w("known"), w("two")}, "1/9"},
			{nil, []record.Word{w("हिन्दी")}, "1/10"},
			{nil, []record.Word{w("हिन*")}, "1/10"},
			{nil, []record.Word{w("é\u0301")}, "1/10"},
			{[]string{"room.red"}, []record.Word{w("\U00010D4A")}, ""}, // a letter that older tables do not have
			{nil, []record.Word{w("drop"), w("table")}, "1/5"},
			{nil, []record.Word{w("room")}, ""}, // where it was said is no word
			{[]string{"room.nowhere"}, []record.Word{w("hello")}, ""},
		} {
			if got := find(t, s, c.targets, c.words...); got != c.want {
				t.Errorf("%v in %v: %s; want %s", c.words, c.targets, got, c.want)
			}
		}
		admin := record.By{Admin: true}
		if err := errors.Join(change(t, s, 1, admin, `"goodbye"`), change(t, s, 3, admin, "")); err != nil {
			t.Fatal(err)
		}
		if hello, goodbye := find(t, s, []string{"room.red"}, w("hello")), find(t, s, nil, w("goodbye")); hello != "1/8" || goodbye != "1/1" {
			t.Errorf("after changes: %s, %s", hello, goodbye)
		}
		if _, err := s.Redact(t.Context(), "ann", time.Time{}); err != nil {
			t.Fatal(err)
		}
		if got := find(t, s, nil, w("hello")); got != "" {
			t.Errorf("after redaction: %s", got)
		}
	})
}

func TestErasureHasAnEnd(t *testing.T) {
	both(t, func(t *testing.T, s *database.Store, _ func() *database.Store) {
		now := time.Unix(0, 1500)
		appendAll(t, s, message(1, 1, "all")) // said at 1001
		if n, err := s.Redact(t.Context(), "u", now); err != nil || n != 1 {
			t.Errorf("redacted %d, %v", n, err)
		}
		late, after := message(1, 2, "all"), message(1, 3, "all")
		after.Time = now.Add(1)
		if stored, redacted := appendAll(t, s, late, after); stored != 2 || redacted != 1 {
			t.Errorf("stored %d, redacted %d; want 2 and 1", stored, redacted)
		}
		if got := older(t, s, "all", record.Newest, 3); got[0].Redacted || !got[1].Redacted || !got[2].Redacted {
			t.Errorf("%+v", got)
		}
	})
}

func TestUnread(t *testing.T) {
	both(t, func(t *testing.T, s *database.Store, _ func() *database.Store) {
		appendAll(t, s, said(1, "bob", "a", "room.red"), said(2, "ann", "b", "room.red"), said(3, "bob", "c", "room.red"), said(4, "", "d", "room.red"), said(5, "bob", "e", "room.blue"))
		count := func(most, want int) {
			t.Helper()
			if n, _, err := s.Unread(t.Context(), red, "ann", most); err != nil || n != want {
				t.Errorf("%d unread, %v; want %d", n, err, want)
			}
		}
		mark := func(sequence int64, want bool) {
			t.Helper()
			if moved, err := s.Read(t.Context(), red, "ann", record.ID{Epoch: 1, Sequence: sequence}); err != nil || moved != want {
				t.Errorf("Read(%d) moved %t, %v; want %t", sequence, moved, err, want)
			}
		}
		count(10, 3)
		count(2, 2)
		mark(1, true)
		count(10, 2)
		mark(1, false)
		if err := change(t, s, 4, record.By{Admin: true}, ""); err != nil {
			t.Fatal(err)
		}
		count(10, 1)
		mark(3, true)
		mark(2, false)
		count(10, 0)
		marks, err := marksOf(t, s, "ann")
		if err != nil || len(marks) != 1 || marks[0] != (record.Mark{Place: red, ID: record.ID{Epoch: 1, Sequence: 3}}) {
			t.Errorf("marks %+v, %v", marks, err)
		}
		if _, err := s.Redact(t.Context(), "ann", time.Time{}); err != nil {
			t.Fatal(err)
		}
		if marks, err = marksOf(t, s, "ann"); err != nil || len(marks) != 0 {
			t.Errorf("marks of a deleted user: %+v, %v", marks, err)
		}
	})
}

func TestSweep(t *testing.T) {
	both(t, func(t *testing.T, s *database.Store, _ func() *database.Store) {
		var all []record.Message
		s.MaxMessages = 50
		for i := range int64(120) {
			m := said(i+1, "ann", "old", "room.red")
			if i%10 == 0 {
				m.Targets = append(m.Targets, "room.blue")
			}
			m.Time = noon.Add(time.Duration(i))
			all = append(all, m)
		}
		alone := said(2000, "ann", "to one socket")
		appendAll(t, s, append(all, alone)...)
		if err := change(t, s, 1, record.By{Admin: true}, `"edited"`); err != nil {
			t.Fatal(err)
		}
		var places []record.Place
		for place, ok, err := s.NextPlace(t.Context(), record.Place{}); ok || err != nil; place, ok, err = s.NextPlace(t.Context(), place) {
			if err != nil {
				t.Fatal(err)
			}
			places = append(places, place)
		}
		if fmt.Sprint(places) != "[{_ room.blue} {_ room.red} {_ socket}]" {
			t.Errorf("places %v", places)
		}
		if n, err := s.Sweep(t.Context(), red, noon.Add(110)); err != nil || n != 110 {
			t.Errorf("swept %d, %v; want 110", n, err)
		}
		if got := older(t, s, "room.red", record.Newest, 2000); len(got) != 10 || got[9].ID.Sequence != 111 {
			t.Errorf("%d messages left", len(got))
		}
		if got := older(t, s, "room.blue", record.Newest, 2000); len(got) != 12 || string(got[11].Event) != `["m","red","edited"]` {
			t.Errorf("%d messages left in the other room", len(got))
		}
		if n, err := s.Sweep(t.Context(), record.Place{Namespace: "_", Target: "room.blue"}, noon.Add(time.Hour)); err != nil || n != 12 {
			t.Errorf("swept %d, %v; want 12", n, err)
		}
		for table, want := range map[string]int{"messages": 11, "words": 11, "changes": 0} {
			var n int
			if err := s.DB().QueryRow("SELECT count(*) FROM " + table).Scan(&n); err != nil || n != want {
				t.Errorf("%d rows in %s, %v; want %d", n, table, err, want)
			}
		}
	})
}

func TestExport(t *testing.T) {
	both(t, func(t *testing.T, s *database.Store, _ func() *database.Store) {
		appendAll(t, s, said(1, "ann", "a", "room.red", "room.blue"), said(2, "bob", "b", "room.red"), said(3, "ann", "c"), said(4, "ann", "d", "all"), said(5, "", "e", "all"))
		var got []string
		if err := s.Said(t.Context(), "ann", record.ID{}, 1, func(m record.Message) bool {
			got = append(got, fmt.Sprint(m.ID.Sequence, m.Targets))
			return true
		}); err != nil || strings.Join(got, " ") != "1 [room.blue room.red] 3 [socket] 4 [all]" {
			t.Errorf("%s, %v", got, err)
		}
		if err := s.Said(t.Context(), "", record.ID{}, 1, func(m record.Message) bool { t.Errorf("nobody said %+v", m); return true }); err != nil {
			t.Error(err)
		}
	})
}

package database_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/history/internal/database"
	"github.com/natter-io/natter/services/history/internal/record"
)

// TestTheLastChangeHasTheLatestTime changes one message by two instances at once, after one whose clock is ahead. What is
// said of it last by time is what it is.
func TestTheLastChangeHasTheLatestTime(t *testing.T) {
	both(t, func(t *testing.T, s *database.Store, again func() *database.Store) {
		appendAll(t, s, said(1, "ann", "first", "room.red"))
		admin := record.By{User: "root", Admin: true}
		if err := change(t, s, 1, admin, `"by a clock that is ahead"`); err != nil {
			t.Fatal(err)
		}
		ahead := time.Now().Add(time.Hour)
		if _, err := s.DB().ExecContext(t.Context(), fmt.Sprintf("UPDATE messages SET edited = %d", ahead.UnixNano())); err != nil {
			t.Fatal(err)
		}
		other := s // an SQLite file is for one
		if s.Kind() == "postgres" {
			other = again()
		}
		var changing sync.WaitGroup
		for i, store := range []*database.Store{s, other, s, other} {
			changing.Go(func() {
				for n := range 10 {
					if err := change(t, store, 1, admin, fmt.Sprint(100*i+n)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		changing.Wait()
		m, trail, err := trailOf(t, s, record.ID{Epoch: 1, Sequence: 1})
		if err != nil || len(trail) != 41 {
			t.Fatalf("%d changes, %v", len(trail), err)
		}
		last := ahead
		for i, c := range trail[1:] {
			if c.Time.UnixMilli() <= last.UnixMilli() {
				t.Errorf("change %d at %v, after one at %v", i, c.Time, last)
			}
			last = c.Time
		}
		all, err := announcements(t, s)
		if err != nil || len(all) != 1 || !m.Edited.Equal(last) {
			t.Fatalf("edited %v, %d announcements, %v; the last change was at %v", m.Edited, len(all), err, last)
		}
		if said := changed(t, all[0]); !said.Time.Equal(last) || string(said.Event) != string(m.Event) {
			t.Errorf("clients hear %s at %v; history has %s", said.Event, said.Time, m.Event)
		}
	})
}

// changed is what clients hear of a change.
func changed(t *testing.T, a record.Announcement) (c contract.HistoryChanged) {
	t.Helper()
	var event []json.RawMessage
	err := json.Unmarshal(a.Event, &event)
	if err == nil && len(event) != 2 {
		err = errors.New("not an event with one argument")
	}
	if err == nil {
		err = json.Unmarshal(event[1], &c)
	}
	if err != nil {
		t.Fatalf("%s: %v", a.Event, err)
	}
	return c
}

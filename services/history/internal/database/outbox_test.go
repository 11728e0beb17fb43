package database_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/natter-io/natter/services/history/internal/database"
	"github.com/natter-io/natter/services/history/internal/record"
)

func announcements(t *testing.T, s *database.Store) (all []record.Announcement, err error) {
	err = s.Announcements(t.Context(), func(a record.Announcement) bool {
		all = append(all, a)
		return true
	})
	return all, err
}

// TestWhatIsErasedMeanwhileIsNotAnnounced has more announcements than are listed at a time, the first of which takes so long
// that a user is erased before the others are made.
func TestWhatIsErasedMeanwhileIsNotAnnounced(t *testing.T) {
	both(t, func(t *testing.T, s *database.Store, _ func() *database.Store) {
		const n = 300
		author := func(i int64) string { return []string{"ann", "bob"}[i%2] }
		var all []record.Message
		for i := range int64(n) {
			all = append(all, said(i+1, author(i), "hello", "room.red"))
		}
		appendAll(t, s, all...)
		for i := range int64(n) {
			user := author(i)
			if err := change(t, s, i+1, record.By{User: user}, fmt.Sprintf(`"edited by %s"`, user)); err != nil {
				t.Fatal(err)
			}
		}
		edits, last := 0, record.ID{}
		err := s.Announcements(t.Context(), func(a record.Announcement) bool {
			if a.Version.Compare(last) <= 0 && last != (record.ID{}) {
				t.Errorf("%v comes after %v", a.Version, last)
			}
			last = a.Version
			if edits == 0 {
				if _, err := s.Redact(t.Context(), "bob", time.Time{}); err != nil {
					t.Error(err)
				}
			}
			if bytes.Contains(a.Event, []byte("edited by bob")) {
				t.Fatalf("announced after an erasure: %s", a.Event)
			}
			if bytes.Contains(a.Event, []byte("edited by ann")) {
				edits++
			}
			return true
		})
		if err != nil || edits != n/2 {
			t.Errorf("%d of %d edits announced, %v", edits, n/2, err)
		}
	})
}

package database_test

import (
	"errors"
	"testing"
	"time"

	"github.com/natter-io/natter/services/history/internal/database"
	"github.com/natter-io/natter/services/history/internal/record"
)

// TestADeletedUserLeavesNothingBehind has requests of the user come late. One whose words were erased goes on.
func TestADeletedUserLeavesNothingBehind(t *testing.T) {
	both(t, func(t *testing.T, s *database.Store, _ func() *database.Store) {
		appendAll(t, s, said(1, "bob", "first", "room.red"), said(2, "ann", "second", "room.red"))
		ann := record.By{User: "ann", Name: "Ann", Socket: "socket of ann", Admin: true}
		for sequence := range int64(2) {
			if err := change(t, s, sequence+1, ann, `"edited"`); err != nil {
				t.Fatal(err)
			}
		}
		mark := func() error {
			_, err := s.Read(t.Context(), red, "ann", record.ID{Epoch: 1, Sequence: 1})
			return err
		}
		for _, erasure := range []struct {
			until time.Time
			want  error // of what comes later
		}{{time.Now(), nil}, {time.Time{}, record.ErrDeleted}} {
			if err := mark(); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Redact(t.Context(), "ann", erasure.until); err != nil {
				t.Fatal(err)
			}
			for sequence := range int64(2) {
				_, trail, err := trailOf(t, s, record.ID{Epoch: 1, Sequence: sequence + 1})
				if err != nil || len(trail) == 0 {
					t.Fatal(trail, err)
				}
				for _, c := range trail {
					if c.By != (record.By{User: "ann"}) {
						t.Errorf("trail %+v", c.By)
					}
				}
			}
			if err := mark(); !errors.Is(err, erasure.want) {
				t.Errorf("a mark: %v; want %v", err, erasure.want)
			}
			if err := change(t, s, 1, ann, `"edited later"`); !errors.Is(err, erasure.want) {
				t.Errorf("an edit: %v; want %v", err, erasure.want)
			}
		}
		if marks, err := marksOf(t, s, "ann"); err != nil || len(marks) != 0 {
			t.Errorf("marks of a deleted user: %+v, %v", marks, err)
		}
	})
}

package database_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/natter-io/natter/services/history/internal/database"
	"github.com/natter-io/natter/services/history/internal/record"
)

// TestSequenceRepeats stores messages whose main stream went back, so that others have their sequences.
func TestSequenceRepeats(t *testing.T) {
	start := time.Now()
	at := func(second int) time.Time { return start.Add(time.Duration(second) * time.Second) }
	said := func(epoch int64, text string, second int, copied int, epochs ...int64) record.Message {
		return record.Message{ID: record.ID{Epoch: epoch, Sequence: 7}, Namespace: "_", Targets: []string{"all"}, User: "ann", Time: at(second), Copied: at(copied),
			Exact: second != copied, Event: fmt.Appendf(nil, `["m",%q]`, text), Attachments: [][]byte{{1}}, Epochs: epochs}
	}
	for name, c := range map[string]struct {
		second record.Message
		want   int   // messages that are there then
		epoch  int64 // of the newest
		taken  bool
	}{
		"delivered again": {said(5, "ok", 1, 2), 1, 5, false},
		"delivered again, gone from the main stream": {said(5, "ok", 2, 2), 1, 5, false},
		"copied again": {said(5, "ok", 1, 9), 1, 5, false},
		"copied again, gone from the main stream": {said(5, "ok", 9, 9), 1, 5, false},
		"another one":                                      {said(5, "no", 8, 9), 1, 5, true},
		"another one, gone from the main stream":           {said(5, "no", 9, 9), 1, 5, true},
		"another one of the same words":                    {said(5, "ok", 8, 9), 1, 5, true},
		"another one, of an incarnation that is known":     {said(5, "no", 8, 9, 5, 6), 2, 6, false},
		"delivered again as if of a later incarnation":     {said(6, "ok", 1, 2, 5, 6), 1, 5, false},
		"another one of a later incarnation":               {said(6, "ok", 8, 9, 5, 6), 2, 6, false},
		"another one, which must not be of an earlier one": {said(5, "no", 8, 9, 4, 5), 1, 5, true},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, s *database.Store, _ func() *database.Store) {
				appendAll(t, s, said(5, "ok", 1, 2))
				var taken *record.TakenError
				if _, _, err := s.Append(t.Context(), []record.Message{c.second}); errors.As(err, &taken) != c.taken || err != nil && !c.taken {
					t.Errorf("error %v", err)
				}
				if all := older(t, s, "all", record.Newest, 5); len(all) != c.want || all[len(all)-1].ID.Epoch != c.epoch && all[0].ID.Epoch != c.epoch {
					t.Errorf("there are %+v", all)
				}
			})
		})
	}
	t.Run("in one batch", func(t *testing.T) {
		both(t, func(t *testing.T, s *database.Store, _ func() *database.Store) {
			var taken *record.TakenError
			_, _, err := s.Append(t.Context(), []record.Message{said(5, "ok", 1, 2), said(5, "ok", 1, 2), said(5, "no", 8, 9)})
			if !errors.As(err, &taken) || len(taken.Messages) != 1 || taken.Messages[0] != 2 {
				t.Errorf("%+v, %v", taken, err)
			}
			stored, _, err := s.Append(t.Context(), []record.Message{said(5, "ok", 1, 2, 5, 6), said(5, "ok", 1, 2, 5, 6), said(5, "no", 8, 9, 5, 6)})
			if err != nil || stored != 2 {
				t.Errorf("stored %d, %v", stored, err)
			}
		})
	})
	t.Run("one that was deleted", func(t *testing.T) {
		both(t, func(t *testing.T, s *database.Store, _ func() *database.Store) {
			first := said(5, "ok", 1, 2)
			appendAll(t, s, first)
			if err := s.Deletions(t.Context(), []record.Deletion{{ID: first.ID, Time: at(3)}}); err != nil {
				t.Fatal(err)
			}
			other := said(9, "no", 9, 9, 5, 9)
			other.Targets, other.Socket = []string{"room.red"}, "s2"
			if stored, _, err := s.Append(t.Context(), []record.Message{other}); err != nil || stored != 1 {
				t.Errorf("stored %d, %v", stored, err)
			}
		})
	})
}

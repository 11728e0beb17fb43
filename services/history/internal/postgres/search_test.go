package postgres

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/natter-io/natter/services/history/internal/pgtest"
	"github.com/natter-io/natter/services/history/internal/record"
)

// TestASearchReadsNoMoreThanItTakes asks how what is found is read: by the index of words, unsorted, and not much of
// what is there, of a word that all have.
func TestASearchReadsNoMoreThanItTakes(t *testing.T) {
	s, err := Open(t.Context(), pgtest.New(t), "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const n = 20_000
	var all []record.Message
	for i := range int64(n) {
		all = append(all, record.Message{ID: record.ID{Epoch: 1, Sequence: i + 1}, Namespace: "_", Targets: []string{"all"}, Time: time.Unix(1, 0), Event: []byte(`["m","common"]`)})
	}
	if _, _, err := s.Append(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	for _, analyzed := range []bool{false, true} {
		if analyzed {
			if _, err := s.DB().Exec("ANALYZE"); err != nil {
				t.Fatal(err)
			}
		}
		for _, r := range reaches {
			query := "'common' & (" + row(1, r.level, max(0, n>>r.level-r.windows+1), n>>r.level) + ")"
			rows, err := s.DB().Query("EXPLAIN "+foundQuery, query, most+1)
			if err != nil {
				t.Fatal(err)
			}
			var plan strings.Builder
			for rows.Next() {
				var line string
				if err := rows.Scan(&line); err != nil {
					t.Fatal(err)
				}
				fmt.Fprintln(&plan, line)
			}
			rows.Close()
			if !strings.Contains(plan.String(), "words_of_messages") || strings.Contains(plan.String(), "Sort") || strings.Contains(plan.String(), "Seq Scan") {
				t.Errorf("%d windows of level %d, analyzed %t: plan\n%s", r.windows, r.level, analyzed, plan.String())
			}
		}
	}
	var found []record.ID
	find := find([]string{"n5f"}, []record.Word{{Text: "common"}})
	for top := (record.ID{Epoch: 1, Sequence: n}); top.Sequence > 0 && len(found) < 3*most; {
		some, down, err := find(t.Context(), s.DB(), top, 10)
		if err != nil || len(some) > most {
			t.Fatalf("%d at once, %v", len(some), err)
		}
		found, top = append(found, some...), record.ID{Epoch: 1, Sequence: down.Sequence - 1}
	}
	for i, id := range found {
		if want := int64(n - i); id.Sequence != want {
			t.Fatalf("number %d is %s; want sequence %d", i, id, want)
		}
	}
}

package database_test

import (
	"fmt"
	"testing"

	"github.com/natter-io/natter/services/history/internal/database"
	"github.com/natter-io/natter/services/history/internal/record"
)

// TestAllThatAUserDid lists more marks, and more changes of what others said, than are read at once.
func TestAllThatAUserDid(t *testing.T) {
	both(t, func(t *testing.T, s *database.Store, _ func() *database.Store) {
		const n = 9000
		ann := said(2, "ann", "hers", "room.red")
		appendAll(t, s, said(1, "bob", "his", "room.red"), ann)
		numbers := fmt.Sprintf("WITH RECURSIVE t (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM t WHERE i < %d)", n)
		for _, statement := range []string{
			"INSERT INTO marks (author, namespace, target, epoch, sequence) " + numbers + " SELECT 'ann', '_', 'room.' || (100000 + i), 1, i FROM t",
			"INSERT INTO changes (message, action, author, socket, name, time, payload, lengths) " + numbers + ` SELECT m.id, 'delete', 'ann', '', 'Ann', i, m.payload, m.lengths
				FROM t CROSS JOIN messages m ORDER BY i`,
		} {
			if _, err := s.DB().Exec(statement); err != nil {
				t.Fatal(err)
			}
		}
		marks, err := marksOf(t, s, "ann")
		if err != nil || len(marks) != n {
			t.Fatalf("%d marks, %v; want %d", len(marks), err, n)
		}
		for i, m := range marks {
			if m.ID.Sequence != int64(i+1) {
				t.Fatalf("mark %d is %+v", i, m)
			}
		}
		count, last := 0, int64(0)
		err = s.Did(t.Context(), "ann", 0, func(m record.Message, trace record.Trace) bool {
			if count++; m.ID.Sequence != 1 || trace.Time.UnixNano() != int64(count) || trace.Number <= last {
				t.Fatalf("change %d: %+v of %+v, after %d", count, trace, m, last)
			}
			last = trace.Number
			return true
		})
		if err != nil || count != n {
			t.Errorf("%d changes, %v; want %d", count, err, n)
		}
	})
}

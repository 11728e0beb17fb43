package sqlite

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestASearchIsNotSorted asks how what is found is read: from the index, in its order, as far as it is wanted.
func TestASearchIsNotSorted(t *testing.T) {
	s := open1(t, filepath.Join(t.TempDir(), "history.db"))
	rows, err := s.DB().Query("EXPLAIN QUERY PLAN "+foundQuery, "text : x", 0, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var plan []string
	for rows.Next() {
		var a, b, c int
		var step string
		if err := rows.Scan(&a, &b, &c, &step); err != nil {
			t.Fatal(err)
		}
		plan = append(plan, step)
	}
	if len(plan) != 1 || !strings.HasPrefix(plan[0], "SCAN words VIRTUAL TABLE INDEX") {
		t.Errorf("plan %q; want a scan of the virtual table, and nothing else", plan)
	}
}

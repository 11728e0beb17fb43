package database_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/natter-io/natter/services/history/internal/database"
	"github.com/natter-io/natter/services/history/internal/pgtest"
	"github.com/natter-io/natter/services/history/internal/postgres"
	"github.com/natter-io/natter/services/history/internal/record"
)

// TestAPageIsARangeOfAnIndex asks both databases how they read a page of a large room: without looking at other rooms,
// without looking at the rest of this one, without sorting.
func TestAPageIsARangeOfAnIndex(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		s := sqliteIn(t)()
		for query, sign := range map[string]string{database.OlderQuery: "<", database.NewerQuery: ">"} {
			want := []string{
				"SEARCH p USING PRIMARY KEY (namespace=? AND target=? AND (epoch,sequence)" + sign + "(?,?))",
				"SEARCH m USING INTEGER PRIMARY KEY (rowid=?)",
			}
			if plan := explain(t, s, "EXPLAIN QUERY PLAN "+query, 3, "_", "all", 1, 1, 50); !slices.Equal(plan, want) {
				t.Errorf("plan:\n%s\nwant:\n%s", strings.Join(plan, "\n"), strings.Join(want, "\n"))
			}
		}
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		s := opened(t)(postgres.Open(t.Context(), pgtest.New(t), ""))
		const n = 20_000
		for from := int64(0); from < n; from += 1000 {
			var batch []record.Message
			for i := range int64(1000) {
				target := "room.large"
				if i%10 == 0 {
					target = fmt.Sprintf("room.small%d", i%500)
				}
				batch = append(batch, message(1, from+i+1, target))
			}
			appendAll(t, s, batch...)
		}
		if _, err := s.DB().Exec("ANALYZE"); err != nil {
			t.Fatal(err)
		}
		for _, query := range []string{database.OlderQuery, database.NewerQuery} {
			for _, at := range []int64{1, 100, n / 2, n, 2 * n} {
				for i := range 5 {
					query = strings.Replace(query, "?", fmt.Sprintf("$%d", i+1), 1)
				}
				plan := strings.Join(explain(t, s, "EXPLAIN "+query, 0, "_", "room.large", 1, at, 51), "\n")
				for _, want := range []string{"places_pkey", "messages_pkey", "(ROW(epoch, sequence) "} {
					if !strings.Contains(plan, want) {
						t.Errorf("at %d the plan lacks %q:\n%s", at, want, plan)
					}
				}
				for _, never := range []string{"Seq Scan", "Sort", "Hash", "Merge"} {
					if strings.Contains(plan, never) {
						t.Errorf("at %d the plan has %q:\n%s", at, never, plan)
					}
				}
			}
		}
	})
}

// explain is a plan: of each row the column.
func explain(t *testing.T, s *database.Store, query string, column int, args ...any) (plan []string) {
	t.Helper()
	rows, err := s.DB().Query(query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			t.Fatal(err)
		}
		plan = append(plan, fmt.Sprint(*values[column].(*any)))
	}
	return plan
}

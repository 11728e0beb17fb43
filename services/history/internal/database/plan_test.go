package database_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/history/internal/database"
	"github.com/natter-io/natter/services/history/internal/pgtest"
	"github.com/natter-io/natter/services/history/internal/postgres"
	"github.com/natter-io/natter/services/history/internal/record"
)

// reading is a statement that reads a part of a room, and the most rows of it that it looks at.
type reading struct {
	what, query, sign string // of the comparison with the id from which on it reads
	args              []any  // after that id
	rows              int
}

var readings = []reading{
	{"older", database.OlderQuery, "<", []any{51}, 51},
	{"newer", database.NewerQuery, ">", []any{51}, 51},
	{"unread", database.UnreadQuery, ">", []any{"somebody else", 500}, 500},
	{"unread where all is one's own", database.UnreadQuery, ">", []any{"u", 500}, contract.MaxUnreadLook},
}

// TestAPageIsARangeOfAnIndex asks both databases how they read a part of a large room: without looking at other rooms,
// without looking at the rest of this one, without sorting. PostgreSQL says how many rows it has looked at, wherever in
// the room it begins.
func TestAPageIsARangeOfAnIndex(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		s := sqliteIn(t)()
		for _, r := range readings {
			want := []string{
				"SEARCH p USING PRIMARY KEY (namespace=? AND target=? AND (epoch,sequence)" + r.sign + "(?,?))",
				"SEARCH m USING INTEGER PRIMARY KEY (rowid=?)",
			}
			if r.query == database.UnreadQuery { // what it counts is itself one by one what the others hand out
				want = append(append([]string{"CO-ROUTINE unread", "CO-ROUTINE newest"}, want...), "SCAN newest", "SCAN unread")
			}
			if plan := explain(t, s, "EXPLAIN QUERY PLAN "+r.query, 3, append([]any{"_", "all", 1, 1}, r.args...)...); !slices.Equal(plan, want) {
				t.Errorf("%s: plan:\n%s\nwant:\n%s", r.what, strings.Join(plan, "\n"), strings.Join(want, "\n"))
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
		for _, r := range readings {
			query := r.query
			for i := range strings.Count(query, "?") {
				query = strings.Replace(query, "?", fmt.Sprintf("$%d", i+1), 1)
			}
			for _, at := range []int64{1, 100, n / 2, n, 2 * n} {
				args := append([]any{"_", "room.large", 1, at}, r.args...)
				plan := strings.Join(explain(t, s, "EXPLAIN "+query, 0, args...), "\n")
				for _, want := range []string{"places_pkey", "messages_pkey", "(ROW(epoch, sequence) "} {
					if !strings.Contains(plan, want) {
						t.Errorf("%s at %d: the plan lacks %q:\n%s", r.what, at, want, plan)
					}
				}
				for _, never := range []string{"Seq Scan", "Sort", "Hash", "Merge"} {
					if strings.Contains(plan, never) {
						t.Errorf("%s at %d: the plan has %q:\n%s", r.what, at, never, plan)
					}
				}
				places, messages := rowsRead(t, s, query, args...)
				if places > r.rows || messages > r.rows {
					t.Errorf("%s at %d looks at %d rows of places and %d of messages; want at most %d", r.what, at, places, messages, r.rows)
				}
				if at == n/2 && (places != r.rows || messages != r.rows) { // else the numbers are not what they seem
					t.Errorf("%s at %d looks at %d rows of places and %d of messages; want %d", r.what, at, places, messages, r.rows)
				}
			}
		}
	})
}

// rowsRead runs a statement in PostgreSQL and returns how many rows it has looked at, those too that it did not take.
func rowsRead(t *testing.T, s *database.Store, query string, args ...any) (places, messages int) {
	t.Helper()
	type node struct {
		Relation string  `json:"Relation Name"`
		Rows     float64 `json:"Actual Rows"`
		Loops    float64 `json:"Actual Loops"`
		Filtered float64 `json:"Rows Removed by Filter"`
		Checked  float64 `json:"Rows Removed by Index Recheck"`
		Plans    []node
	}
	var text string
	if err := s.DB().QueryRow("EXPLAIN (ANALYZE, FORMAT JSON) "+query, args...).Scan(&text); err != nil {
		t.Fatal(err)
	}
	var plans []struct{ Plan node }
	if err := json.Unmarshal([]byte(text), &plans); err != nil || len(plans) != 1 {
		t.Fatalf("%s: %v", text, err)
	}
	var count func(n node)
	count = func(n node) {
		rows := int((n.Rows + n.Filtered + n.Checked) * n.Loops)
		switch n.Relation {
		case "places":
			places += rows
		case "messages":
			messages += rows
		}
		for _, below := range n.Plans {
			count(below)
		}
	}
	count(plans[0].Plan)
	return places, messages
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

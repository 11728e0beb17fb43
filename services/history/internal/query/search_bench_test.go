package query

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/history/internal/database"
	"github.com/natter-io/natter/services/history/internal/pgtest"
	"github.com/natter-io/natter/services/history/internal/postgres"
	"github.com/natter-io/natter/services/history/internal/record"
	"github.com/natter-io/natter/services/history/internal/sqlite"
)

// BenchmarkSearchOf searches a room of 20,000 messages, or of as many as the environment variable NATTER_BENCH_MESSAGES
// says, for words that all of them have, that one has, that none has, and that only the older half has; and a small room
// for what all have.
func BenchmarkSearchOf(b *testing.B) {
	size := benchMessages(b)
	path := filepath.Join(b.TempDir(), "history.db")
	for kind, open := range map[string]func(url string) (*database.Store, error){
		"sqlite":   func(string) (*database.Store, error) { return sqlite.Open(b.Context(), path, sqlite.SyncNormal) },
		"postgres": func(url string) (*database.Store, error) { return postgres.Open(b.Context(), url, "") },
	} {
		b.Run(kind, func(b *testing.B) {
			url := ""
			if kind == "postgres" {
				url = pgtest.New(b)
			}
			store, err := open(url)
			if err != nil {
				b.Fatal(err)
			}
			fillText(b, store, size)
			defer store.Close()
			start := time.Now()
			for left := int64(1); left > 0; {
				if left, err = store.Index(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			b.Logf("indexed %d messages in %s", size, time.Since(start).Round(time.Second))
			rare := fmt.Sprintf("%07d", size/3)
			for _, c := range []struct {
				name, room, text string
				found            int
			}{
				{"all", "large", "people", contract.DefaultHistoryPage},
				{"all-of-two", "large", "people message", contract.DefaultHistoryPage},
				{"all-by-beginning", "large", "peop*", contract.DefaultHistoryPage},
				{"one", "large", "people " + rare, 1},
				{"one-by-beginning", "large", rare + "*", 1},
				{"none", "large", "nowhere", 0},
				{"older-half", "large", "formerly", contract.DefaultHistoryPage},
				{"small-room", "small", "people", min(size/1000, contract.DefaultHistoryPage)},
			} {
				words, err := parseWords(c.text)
				if err != nil {
					b.Fatal(err)
				}
				b.Run(c.name, func(b *testing.B) {
					for b.Loop() {
						found := 0
						err := store.Search(context.Background(), "_", []string{"room." + c.room}, words, record.Newest, contract.DefaultHistoryPage, func(record.Message) bool {
							found++
							return found < contract.DefaultHistoryPage
						})
						if err != nil || found != c.found {
							b.Fatalf("%d found, want %d: %v", found, c.found, err)
						}
					}
				})
			}
		})
	}
}

// fillText says so many messages, each thousandth in the room small, the others in the room large.
func fillText(b testing.TB, s *database.Store, size int) {
	b.Helper()
	numbers, zero, bytes := "generate_series(1, %d) AS t(i)", "FALSE", "convert_to(%s, 'UTF8')"
	number := "lpad(CAST(i AS text), 7, '0')"
	if s.Kind() == "sqlite" {
		numbers, zero, bytes = "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) SELECT i FROM n)", "0", "CAST(%s AS BLOB)"
		number = "printf('%07d', i)"
	}
	event := fmt.Sprintf(bytes, `'["room message","red","message number ' || `+number+` || ' of a hundred bytes or so, as people '
		|| CASE WHEN i < `+fmt.Sprint(size/2)+` THEN 'formerly wrote' ELSE 'write' END || ' them"]'`)
	for _, statement := range []string{
		fmt.Sprintf(`INSERT INTO messages (epoch, sequence, namespace, socket, author, name, time, payload, lengths, redacted)
			SELECT 1, i, '_', 'gw1.abcdefghijABCDEFGH_-', 'u1', 'A name', i, %s, '', %s FROM `+numbers, event, zero, size),
		`INSERT INTO places (namespace, target, epoch, sequence, message)
			SELECT '_', CASE sequence % 1000 WHEN 0 THEN 'room.small' ELSE 'room.large' END, epoch, sequence, id FROM messages`,
		fmt.Sprintf(`INSERT INTO facts (name, value) VALUES ('unindexed', '%d')`, size),
		"ANALYZE",
	} {
		if _, err := s.DB().Exec(statement); err != nil {
			b.Fatal(err)
		}
	}
}

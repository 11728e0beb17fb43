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
	var batch []record.Message
	for i := 1; i <= size; i++ {
		room, wrote := "room.large", "write"
		if i%1000 == 0 {
			room = "room.small"
		}
		if i < size/2 {
			wrote = "formerly wrote"
		}
		batch = append(batch, record.Message{ID: record.ID{Epoch: 1, Sequence: int64(i)}, Namespace: "_", Targets: []string{room},
			Socket: "gw1.abcdefghijABCDEFGH_-", User: "u1", Name: "A name", Time: time.Unix(0, int64(i)),
			Event: fmt.Appendf(nil, `["room message","red","message number %07d of a hundred bytes or so, as people %s them"]`, i, wrote)})
		if len(batch) == 1000 || i == size {
			if _, _, err := s.Append(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
			batch = batch[:0]
		}
	}
	if _, err := s.DB().Exec("ANALYZE"); err != nil {
		b.Fatal(err)
	}
}

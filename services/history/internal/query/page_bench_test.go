package query

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/history/internal/database"
	"github.com/natter-io/natter/services/history/internal/pgtest"
	"github.com/natter-io/natter/services/history/internal/postgres"
	"github.com/natter-io/natter/services/history/internal/record"
	"github.com/natter-io/natter/services/history/internal/sqlite"
)

const benchSize = "NATTER_BENCH_MESSAGES"

// BenchmarkPageOf reads pages of 50 from anywhere in a room with 100 messages and in one with many more: 20,000, or as
// many as the environment variable NATTER_BENCH_MESSAGES says, in one database. "ratio" is the large room's time over
// the small one's; it is about 1, since a page is a range of an index whatever the room's size: what the tests say that
// look at what is read (TestAPageReadsAsMuchInAnyRoom, and TestAPageIsARangeOfAnIndex of package database).
func BenchmarkPageOf(b *testing.B) {
	large := benchMessages(b)
	for kind, open := range map[string]func() (*database.Store, error){
		"sqlite": func() (*database.Store, error) {
			return sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "history.db"), sqlite.SyncNormal)
		},
		"postgres": func() (*database.Store, error) { return postgres.Open(b.Context(), pgtest.New(b), "") },
	} {
		b.Run(kind, func(b *testing.B) {
			store, err := open()
			if err != nil {
				b.Fatal(err)
			}
			defer store.Close()
			base := make(map[string]float64)
			for _, size := range []int{100, large} {
				fill(b, store, size)
				for _, way := range []string{"before", "after", "around"} {
					b.Run(fmt.Sprintf("%s/room=%d", way, size), func(b *testing.B) {
						perPage := measure(b, store, way, size)
						if size == 100 {
							base[way] = perPage
						} else if base[way] > 0 { // not if -bench selects this one alone
							b.ReportMetric(perPage/base[way], "ratio")
						}
					})
				}
			}
		})
	}
}

// benchMessages is how many messages there are to be.
func benchMessages(b *testing.B) int {
	n := 20_000
	if text := os.Getenv(benchSize); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 100 {
			b.Fatalf("%s: %q is not a number of at least 100", benchSize, text)
		}
	}
	return n
}

// fill says so many messages in the room of that size, in an epoch of that number.
func fill(b testing.TB, s *database.Store, size int) {
	b.Helper()
	numbers, zero := "generate_series(1, %d) AS t(i)", "FALSE"
	event := `convert_to('["room message","red","message number ' || i || ' of a hundred bytes or so, as people write them"]', 'UTF8')`
	if s.Kind() == "sqlite" {
		numbers, zero = "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) SELECT i FROM n)", "0"
		event = `CAST('["room message","red","message number ' || i || ' of a hundred bytes or so, as people write them"]' AS BLOB)`
	}
	for _, statement := range []string{
		fmt.Sprintf(`INSERT INTO messages (epoch, sequence, namespace, socket, author, name, time, payload, lengths, redacted)
			SELECT %d, i, '_', 'gw1.abcdefghijABCDEFGH_-', 'u1', 'A name', i, %s, '', %s FROM `+numbers, size, event, zero, size),
		fmt.Sprintf(`INSERT INTO places (namespace, target, epoch, sequence, message)
			SELECT '_', 'room.%d', epoch, sequence, id FROM messages WHERE epoch = %d`, size, size),
		"ANALYZE",
	} {
		if _, err := s.DB().Exec(statement); err != nil {
			b.Fatal(err)
		}
	}
}

func measure(b *testing.B, s *database.Store, way string, size int) float64 {
	place := record.Place{Namespace: "_", Target: fmt.Sprintf("room.%d", size)}
	for b.Loop() {
		// 50 are always there, on either side.
		id := record.ID{Epoch: int64(size), Sequence: int64(51 + rand.IntN(size-99))}
		p := span{place: place, limit: contract.DefaultHistoryPage}
		switch way {
		case "before":
			p.before = &id
		case "after":
			id.Sequence = max(0, id.Sequence-51)
			p.after = &id
		case "around":
			id.Sequence -= 25
			p.around = &id
		}
		if reply, _, err := p.read(context.Background(), s, 1<<20); err != nil || len(reply) < 9000 {
			b.Fatalf("%d bytes, %v", len(reply), err)
		}
	}
	return float64(b.Elapsed()) / float64(b.N)
}

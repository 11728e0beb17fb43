package query

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/history/internal/record"
	"github.com/natter-io/natter/services/history/internal/sqlite"
)

// BenchmarkPage reads pages of 50 from the middle of a room with 100 messages and from all over one with
// 200,000, in a database that holds both and 100,000 messages of other rooms between them. The price of a
// page does not depend on the room's size; "ratio" is the large room's time over the small one's. It is below
// 1 at times, since the small room's messages stand further apart in the file.
func BenchmarkPage(b *testing.B) {
	const small, large, other = 100, 200_000, 100_000
	store, err := sqlite.Open(context.Background(), filepath.Join(b.TempDir(), "history.db"), sqlite.SyncNormal)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := store.Close(); err != nil {
			b.Error(err)
		}
	})
	const total = small + large + other
	var batch []record.Message
	smallIDs, largeIDs := []int64{}, []int64{}
	for i := range int64(total) {
		room := "room.large"
		switch {
		case i%(total/small) == 0:
			room = "room.small"
			smallIDs = append(smallIDs, i+1)
		case i%3 == 0:
			room = fmt.Sprintf("room.other%d", i%1000)
		default:
			largeIDs = append(largeIDs, i+1)
		}
		batch = append(batch, record.Message{ID: record.ID{Epoch: 1, Sequence: i + 1}, Namespace: "_", Targets: []string{room},
			User: "u1", Name: "A name", Socket: "gw1.abcdefghijABCDEFGH_-", Time: time.Unix(0, i),
			Event: fmt.Appendf(nil, `["room message","red","message number %d of a hundred bytes or so, as people write them"]`, i)})
		if len(batch) == 5000 || i == total-1 {
			if _, _, err := store.Append(context.Background(), batch); err != nil {
				b.Fatal(err)
			}
			batch = batch[:0]
		}
	}
	measure := func(b *testing.B, target string, ids []int64) float64 {
		for b.Loop() {
			at := len(ids)/2 + rand.IntN(len(ids)/2) // 50 older ones are always there
			p := span{place: record.Place{Namespace: "_", Target: target}, before: &record.ID{Epoch: 1, Sequence: ids[at]}, limit: contract.DefaultHistoryPage}
			if reply, _, err := p.read(context.Background(), store, 1<<20); err != nil || len(reply) < 1000 {
				b.Fatalf("%d bytes, %v", len(reply), err)
			}
		}
		return float64(b.Elapsed()) / float64(b.N)
	}
	var base float64
	b.Run(fmt.Sprintf("room=%d", small), func(b *testing.B) { base = measure(b, "room.small", smallIDs) })
	b.Run(fmt.Sprintf("room=%d", len(largeIDs)), func(b *testing.B) {
		d := measure(b, "room.large", largeIDs)
		if base > 0 { // not if -bench selects this one alone
			b.ReportMetric(d/base, "ratio")
		}
	})
}

package query

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/natter-io/natter/services/history/internal/database"
	"github.com/natter-io/natter/services/history/internal/pgtest"
	"github.com/natter-io/natter/services/history/internal/postgres"
	"github.com/natter-io/natter/services/history/internal/record"
	"github.com/natter-io/natter/services/history/internal/sqlite"
)

// reads counts what a page takes from the database: statements, and messages that they hand out.
type reads struct {
	*database.Store
	statements, messages int
}

func (r *reads) counted(each func(record.Message) bool) func(record.Message) bool {
	r.statements++
	return func(m record.Message) bool { r.messages++; return each(m) }
}

func (r *reads) Older(ctx context.Context, place record.Place, before record.ID, n int, each func(record.Message) bool) error {
	return r.Store.Older(ctx, place, before, n, r.counted(each))
}

func (r *reads) Newer(ctx context.Context, place record.Place, after record.ID, n int, each func(record.Message) bool) error {
	return r.Store.Newer(ctx, place, after, n, r.counted(each))
}

// TestAPageReadsAsMuchInAnyRoom reads pages in all directions from a room with a hundred messages and from one with five
// thousand: the same number of statements, each of which is a range of an index (TestAPageIsARangeOfAnIndex of package
// database), and of messages, no more than the page has but for those that tell whether there are more.
func TestAPageReadsAsMuchInAnyRoom(t *testing.T) {
	const small, large, limit = 100, 5000, 20
	for kind, open := range map[string]func() (*database.Store, error){
		"sqlite": func() (*database.Store, error) {
			return sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "history.db"), sqlite.SyncNormal)
		},
		"postgres": func() (*database.Store, error) { return postgres.Open(t.Context(), pgtest.New(t), "") },
	} {
		t.Run(kind, func(t *testing.T) {
			store, err := open()
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			for _, size := range []int{small, large} {
				fill(t, store, size)
			}
			for way, set := range map[string]func(p *span, middle *record.ID){
				"newest": func(*span, *record.ID) {},
				"before": func(p *span, middle *record.ID) { p.before = middle },
				"after":  func(p *span, middle *record.ID) { p.after = middle },
				"around": func(p *span, middle *record.ID) { p.around = middle },
			} {
				took := map[int]reads{}
				for _, size := range []int{small, large} {
					r := reads{Store: store}
					p := span{place: record.Place{Namespace: "_", Target: fmt.Sprintf("room.%d", size)}, limit: limit}
					set(&p, &record.ID{Epoch: int64(size), Sequence: int64(size / 2)})
					if reply, _, err := p.read(t.Context(), &r, 1<<20); err != nil || len(reply) < limit*100 {
						t.Fatalf("%s in a room of %d: %d bytes, %v", way, size, len(reply), err)
					}
					took[size] = r
				}
				if took[small] != took[large] {
					t.Errorf("%s reads %d messages with %d statements from %d, and %d with %d from %d", way, took[small].messages,
						took[small].statements, small, took[large].messages, took[large].statements, large)
				}
				if n := took[large]; n.messages < limit || n.messages > limit+2 || n.statements > 2 {
					t.Errorf("%s reads %d messages with %d statements for %d", way, n.messages, n.statements, limit)
				}
			}
		})
	}
}

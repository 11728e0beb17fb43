package ingest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/provision"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/services/history/internal/database"
	"github.com/natter-io/natter/services/history/internal/queue"
	"github.com/natter-io/natter/services/history/internal/record"
	"github.com/natter-io/natter/services/history/internal/sqlite"
)

// overtaken is a store that has something happen between the commit and the acks.
type overtaken struct {
	*database.Store
	meanwhile func() error
}

func (o overtaken) Append(ctx context.Context, messages []record.Message) (stored, redacted int, err error) {
	if stored, redacted, err = o.Store.Append(ctx, messages); err == nil {
		err = o.meanwhile()
	}
	return stored, redacted, err
}

// TestLateAcksOfAnotherDatabase has the queue become another database's while a batch is stored in the one that had it: the same posts
// are in the hands of an instance of the other one, which may yet be killed.
func TestLateAcksOfAnotherDatabase(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), testWait)
	defer cancel()
	nc := natstest.Run(t).Connect(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provision.Main(ctx, js, contract.Subjects{}, time.Hour, time.Minute, provision.Storage{Replicas: 1, MaxBytes: -1}); err != nil {
		t.Fatal(err)
	}
	store, err := sqlite.Open(ctx, filepath.Join(t.TempDir(), "history.db"), sqlite.SyncFull)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	var in *Ingester
	var other jetstream.Consumer
	take := func() (err error) {
		if err = js.DeleteConsumer(ctx, "NATTER_POSTS", "history"); err != nil {
			return err
		}
		other, err = js.CreateConsumer(ctx, "NATTER_POSTS", jetstream.ConsumerConfig{
			Durable: "history", AckPolicy: jetstream.AckExplicitPolicy, Metadata: map[string]string{"natter.database": "OTHER"},
		})
		if err != nil {
			return err
		}
		held, err := other.Fetch(1, jetstream.FetchMaxWait(testWait/2))
		if err != nil {
			return err
		}
		if msg := <-held.Messages(); msg == nil {
			return fmt.Errorf("nothing in the hands of the other one: %w", held.Error())
		}
		in.asked = time.Time{} // the database takes its time
		return nil
	}
	if in, err = newIngester(nc, overtaken{store, take}, prometheus.NewRegistry()); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(ctx, "natter.post._.all", []byte(`["m"]`)); err != nil {
		t.Fatal(err)
	}
	if err := in.Run(ctx); !errors.Is(err, queue.ErrOtherDatabase) {
		t.Fatalf("Run: %v; want %v", err, queue.ErrOtherDatabase)
	}
	if info, err := other.Info(ctx); err != nil || info.NumAckPending != 1 || info.AckFloor.Stream != 0 {
		t.Errorf("another's posts were acknowledged: %+v, %v", info, err)
	}
}

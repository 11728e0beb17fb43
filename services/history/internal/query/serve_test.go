package query

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/services/history/internal/database"
	"github.com/natter-io/natter/services/history/internal/sqlite"
)

// away is a database that may be out of reach.
type away struct {
	*database.Store
	is     atomic.Bool
	looked atomic.Int64 // in vain
}

func (a *away) Ping(ctx context.Context) error {
	if a.is.Load() {
		a.looked.Add(1)
		return errors.New("out of reach")
	}
	return a.Store.Ping(ctx)
}

// TestLeavesTheGroupWhoseServerIsAway has an instance lose NATS and its database at once, as a machine does that is cut off. While its
// database is away, it must get no requests.
func TestLeavesTheGroupWhoseServerIsAway(t *testing.T) {
	t.Parallel()
	srv := natstest.Run(t)
	link := natstest.Proxy(t, srv.URL())
	nc, err := nats.Connect(link.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "history.db"), sqlite.SyncNormal)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	db := &away{Store: store}
	service := New(nc, db, Options{Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(prometheus.NewRegistry())})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- service.Run(ctx) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	until := func(what string, cond func() bool) {
		t.Helper()
		for end := time.Now().Add(wait); !cond(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("waited in vain for %s", what)
			}
		}
	}
	listeners := func(subject string) (n int) {
		for _, s := range srv.Subscriptions() {
			if s == subject {
				n++
			}
		}
		return n
	}
	const page, stats = "natter.history.page", "natter.history.stats"
	until("an instance", func() bool { return listeners(page) == 1 })

	link.Cut()
	db.is.Store(true)
	until("looks in vain", func() bool { return db.looked.Load() > awayAfter })
	link.Heal()
	until("the connection", func() bool { return nc.IsConnected() && nc.Flush() == nil })
	until("nobody who is asked for pages", func() bool { return listeners(page) == 0 && listeners(stats) == 1 })
	db.is.Store(false)
	until("one who is asked for pages, once", func() bool { return listeners(page) == 1 })
	if msg, err := srv.Connect(t).Request(page, []byte(`{"namespace":"/","room":"red"}`), wait); err != nil || msg.Header.Get("Nats-Service-Error") != "" {
		t.Errorf("a page: %v, %v", msg, err)
	}
}

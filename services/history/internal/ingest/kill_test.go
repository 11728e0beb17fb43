package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/provision"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/services/history/internal/database"
	"github.com/natter-io/natter/services/history/internal/record"
	"github.com/natter-io/natter/services/history/internal/sqlite"
)

const (
	childNATS     = "NATTER_TEST_INGEST_NATS"
	childDatabase = "NATTER_TEST_INGEST_DATABASE"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(childNATS); url != "" {
		if err := child(url, os.Getenv(childDatabase)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m,
		// A server that is shut down while it looks for a missing source gives up only when its timeout comes.
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*stream).trySetupSourceConsumer.func3"))
}

// child ingests until it kills itself.
func child(url, database string) error {
	nc, err := nats.Connect(url)
	if err != nil {
		return err
	}
	store, err := sqlite.Open(context.Background(), database, sqlite.SyncFull)
	if err != nil {
		return err
	}
	in, err := newIngester(nc, deadly{store}, prometheus.NewRegistry())
	if err != nil {
		return err
	}
	return in.Run(context.Background())
}

// deadly is a store whose process is killed between the second commit and its acks.
type deadly struct{ *database.Store }

func (d deadly) Append(ctx context.Context, messages []record.Message) (stored, redacted int, err error) {
	if stored, redacted, err = d.Store.Append(ctx, messages); err != nil {
		return stored, redacted, err
	}
	there := 0
	err = d.Older(ctx, record.Place{Namespace: "_", Target: "all"}, record.Newest, 100, func(record.Message) bool { there++; return true })
	if there >= 2*testBatch {
		if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
			return 0, 0, err
		}
		select {} // until the signal comes
	}
	return stored, redacted, err
}

const (
	testBatch = 10
	testWait  = 60 * time.Second
)

func newIngester(nc *nats.Conn, store Store, r *prometheus.Registry) (*Ingester, error) {
	return New(nc, store, Options{
		Batch: testBatch, Age: time.Hour, AckWait: time.Second, Storage: provision.Storage{Replicas: 1, MaxBytes: -1},
		Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(r), Redacted: func() {},
	})
}

// TestKilledBetweenCommitAndAck runs the ingester in a process of its own, which is killed with SIGKILL when
// a batch is committed and not acknowledged.
func TestKilledBetweenCommitAndAck(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), testWait)
	defer cancel()
	srv := natstest.Run(t)
	nc := srv.Connect(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	var subjects contract.Subjects
	if _, err := provision.Main(ctx, js, subjects, time.Hour, time.Minute, provision.Storage{Replicas: 1, MaxBytes: -1}); err != nil {
		t.Fatal(err)
	}
	const n = 5 * testBatch
	for i := range n {
		if _, err := js.Publish(ctx, "natter.post._.all", fmt.Appendf(nil, `["m",%d]`, i)); err != nil {
			t.Fatal(err)
		}
	}
	database := filepath.Join(t.TempDir(), "history.db")
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), childNATS+"="+srv.URL(), childDatabase+"="+database)
	cmd.Stderr = os.Stderr
	err = cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the child ended with %v; want SIGKILL", err)
	}

	store, err := sqlite.Open(ctx, database, sqlite.SyncFull)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	before := events(t, store)
	if len(before) < 2*testBatch || len(before) == n {
		t.Fatalf("%d messages after the kill; want a part of them", len(before))
	}
	registry := prometheus.NewRegistry()
	in, err := newIngester(nc, store, registry)
	if err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- in.Run(running) }()
	for {
		c, err := js.Consumer(ctx, "NATTER_POSTS", "history")
		if err != nil {
			t.Fatal(err)
		}
		if i := c.CachedInfo(); i.NumPending == 0 && i.NumAckPending == 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	after := events(t, store)
	if len(after) != n {
		t.Fatalf("%d messages; want %d", len(after), n)
	}
	for i, event := range after {
		if want := fmt.Sprintf(`["m",%d]`, n-1-i); event != want {
			t.Errorf("%s; want %s", event, want)
		}
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	duplicates := 0.0
	for _, f := range families {
		if f.GetName() == "natter_history_duplicates_total" {
			duplicates = f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	if duplicates < testBatch {
		t.Errorf("%v delivered again; want at least the batch of %d that was not acknowledged", duplicates, testBatch)
	}
}

func events(t *testing.T, store *database.Store) (events []string) {
	t.Helper()
	err := store.Older(t.Context(), record.Place{Namespace: "_", Target: "all"}, record.Newest, 100, func(m record.Message) bool {
		events = append(events, string(m.Event))
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return events
}

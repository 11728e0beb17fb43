package bridge

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/services/gateway/internal/hub"
	"github.com/natter-io/natter/services/gateway/internal/session"
)

// The stream may lose its leader at the very end of the preparations, which are then made once more.
func TestPreparationsThatFailAtTheirEndLeaveNoFollowers(t *testing.T) {
	t.Parallel()
	server := natstest.Run(t)
	h := hub.New[*session.Socket](1, 1)
	t.Cleanup(h.Close)
	b, err := New(server.Connect(t), h, nil, gatewayOptions())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	fence := b.fence.subject
	b.fence.subject = "nobody.answers"
	for range 2 {
		if err := b.provisionOnce(ctx, &wg); err == nil {
			t.Fatal("prepared without a fence")
		}
	}
	b.fence.subject = fence
	if err := b.provisionOnce(ctx, &wg); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(server.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	names := b.opts.Subjects.Names()
	for _, bucket := range []string{names.Namespaces, names.Gateways} {
		until(t, "one follower of "+bucket, func() bool {
			stream, err := js.Stream(t.Context(), "KV_"+bucket)
			return err == nil && stream.CachedInfo().State.Consumers == 1
		})
	}
	kv, err := js.KeyValue(t.Context(), names.Namespaces)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 20 {
		if _, err := kv.Put(t.Context(), fmt.Sprint("n", n), []byte(`{}`)); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "the last namespace", func() bool { _, _, ok := b.Namespace("/n19"); return ok })
}

package bridge

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/provision"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/services/gateway/internal/session"
)

// A gateway that has just reconnected does not know yet whether the stream is still the same. The client of a socket that
// ends at this moment goes on all the same: what was stored of it is of the stream that was there before.
func TestSessionKeptWhileTheStreamIsNotKnownGoesOn(t *testing.T) {
	nc := natstest.Run(t).Connect(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	o := options(&counters{})
	o.Gateway, o.Window = "g1", time.Minute
	bucket, err := provision.Sessions(t.Context(), js, o.Subjects, provision.Storage{})
	if err != nil {
		t.Fatal(err)
	}
	b := &Bridge{nc: nc, js: js, opts: o, epoch: newEpoch(), gateways: newGateways(o)}
	b.sessions = newSessions(b)
	sub, err := nc.ChanSubscribe(b.sessions.stores.inbox+".*", b.sessions.stores.in)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Unsubscribe() //nolint:errcheck // fails only on a closed connection
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	wg.Go(func() { b.sessions.stores.run(ctx) })
	b.sessions.open(bucket)

	const pid = "abcdefghijklmnopqrst"
	const epoch = "mib8k3yz"
	b.epoch.set(epoch)
	b.epoch.forget()
	done := make(chan error, 1)
	b.Keep(session.Claim{PID: pid, Number: 1}, session.Saved{ID: "g1." + pid, Namespace: "/"}, session.Left, func(_ uint64, err error) { done <- err })
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(patience):
		t.Fatal("the session was not stored")
	}
	b.epoch.set(epoch)
	found, err := b.Find(t.Context(), "/", pid, contract.MessageID(epoch, 7))
	if err != nil || found == nil {
		t.Fatalf("found %v, %v", found, err)
	}
	b.epoch.set("mib8k400") // the stream was made anew
	if found, err := b.Find(t.Context(), "/", pid, contract.MessageID(epoch, 7)); err != nil || found != nil {
		t.Fatalf("found %v, %v for a stream that is gone", found, err)
	}
}

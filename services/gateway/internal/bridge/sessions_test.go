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
	"github.com/natter-io/natter/services/gateway/internal/hub"
	"github.com/natter-io/natter/services/gateway/internal/session"
)

const (
	testPID   = "abcdefghijklmnopqrstABCDEFGHIJKLMNOPQRST"
	testEpoch = "mib8k3yz"
)

// keeper is a gateway that can keep sessions, and nothing else.
func keeper(t *testing.T) *Bridge {
	t.Helper()
	return keeperAt(t, natstest.Run(t), "g1", 0)
}

// keeperAt is one of several on a server, of a machine whose clock is ahead of the others'.
func keeperAt(t *testing.T, server *natstest.Server, gateway string, ahead time.Duration) *Bridge {
	t.Helper()
	nc := server.Connect(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	o := options(&counters{})
	o.Gateway, o.Window, o.StreamAge = gateway, time.Minute, 2*time.Minute
	bucket, err := provision.Sessions(t.Context(), js, o.Subjects, provision.Storage{})
	if err != nil {
		t.Fatal(err)
	}
	h := hub.New[*session.Socket](1, 1)
	t.Cleanup(h.Close)
	b, err := New(nc, h, nil, o)
	if err != nil {
		t.Fatal(err)
	}
	b.sessions.clock.local = func() time.Time { return time.Now().Add(ahead) }
	if err := b.sessions.open(t.Context(), bucket); err != nil {
		t.Fatal(err)
	}
	sub, err := nc.ChanSubscribe(b.sessions.stores.inbox+".*", b.sessions.stores.in)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { b.sessions.stores.run(ctx) })
	t.Cleanup(func() {
		stop()
		wg.Wait()
		sub.Unsubscribe() //nolint:errcheck // fails only on a closed connection
	})
	b.position.begin(testEpoch)
	b.epoch.set(testEpoch)
	return b
}

// testSaved is the session that a keeper keeps.
func testSaved(rooms map[string]uint64) session.Saved {
	return session.Saved{ID: "g1." + testPID[:contract.SocketIDLength], Namespace: "/", Epoch: testEpoch, Rooms: rooms}
}

// keep stores a session as its first holder does.
func (b *Bridge) keep(t *testing.T, fate session.Fate) {
	t.Helper()
	if _, err := b.keepAs(t, session.Claim{PID: testPID, Number: 1}, nil, fate); err != nil {
		t.Fatal(err)
	}
}

// find finds it, or not.
func (b *Bridge) find(t *testing.T) *session.Found {
	t.Helper()
	found, err := b.FindSession(t.Context(), "/", testPID, contract.MessageID(testEpoch, 7))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// A gateway that has just reconnected does not know yet whether the stream is still the same. The client of a socket that
// ends at this moment goes on all the same: what was stored of it is of the stream that was there before.
func TestSessionKeptWhileTheStreamIsNotKnownGoesOn(t *testing.T) {
	b := keeper(t)
	b.epoch.forget()
	b.keep(t, session.Left)
	b.epoch.set(testEpoch)
	if b.find(t) == nil {
		t.Fatal("the session was not found")
	}
	b.epoch.set("mib8k400") // the stream was made anew
	b.position.startOver("mib8k400")
	if found := b.find(t); found != nil {
		t.Fatalf("found %v for a stream that is gone", found)
	}
}

// A connection that breaks while the client is coming back may claim the session after the next one has found it.
func TestLaterClaimTakesTheSessionFromTheEarlier(t *testing.T) {
	b := keeper(t)
	b.keep(t, session.Left)
	first, second := b.find(t), b.find(t)
	for i, found := range []*session.Found{first, second} {
		if claim, err := b.ClaimSession(t.Context(), found); err != nil || claim.Number != i+2 {
			t.Fatalf("claimed as %+v, %v; want number %d", claim, err, i+2)
		}
	}
}

package bridge

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/services/gateway/internal/hub"
	"github.com/natter-io/natter/services/gateway/internal/parser"
	"github.com/natter-io/natter/services/gateway/internal/session"
)

// doubts counts why the reader looked for what was missed.
type doubts struct {
	counters
	reasons chan string
}

func (d *doubts) Doubted(reason string) { d.reasons <- reason }

// What comes over a new connection may follow on what was lost with the old one: the reader looks for it before it hands on
// the first message, whether or not anybody else has noticed that there is another connection.
func TestReaderNoticesANewConnectionByItself(t *testing.T) {
	server := natstest.Run(t)
	nc := server.Connect(t)
	m := &doubts{reasons: make(chan string, 16)}
	h := hub.New[*session.Socket](1, 1)
	t.Cleanup(h.Close)
	o := options(m)
	o.Parser = parser.Default
	b, err := New(nc, h, nil, o)
	if err != nil {
		t.Fatal(err)
	}
	b.epoch.set(testEpoch)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() { b.readLive(ctx) })
	server.Restart()
	for deadline := time.Now().Add(patience); nc.Stats().Reconnects == 0 || !nc.IsConnected(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not connected again")
		}
	}
	b.live <- storedMessage(1)
	select {
	case reason := <-m.reasons:
		if reason != "reconnected" {
			t.Fatalf("looked for what was missed because %q", reason)
		}
	case <-time.After(patience):
		t.Fatal("the reader did not look for what was missed")
	}
}

// doubtful is a context in which something is dropped whenever somebody is about to wait: with every question to the stream, and
// before every message.
type doubtful struct {
	context.Context
	b *Bridge
}

func (d doubtful) Done() <-chan struct{} {
	d.b.doubt.Store(true)
	return d.Context.Done()
}

// A gateway that is told so much that it drops messages whenever it catches up hands on what it has read all the same.
func TestWhoCatchesUpAgainAndAgainHandsOnMeanwhile(t *testing.T) {
	b := newBench(t, &counters{})
	b.follow("red")
	const all = 100
	for range all {
		b.emit("red")
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() { b.readLive(doubtful{ctx, b.Bridge}) })
	for deadline := time.Now().Add(patience); b.Position() < all; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d were handed on", b.Position(), all)
		}
	}
}

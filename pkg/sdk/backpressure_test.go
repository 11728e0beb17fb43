package sdk_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/pkg/sdk"
)

// logged is a log that a test reads.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// When handlers stand still, waiting events are bounded, and what does not fit is counted.
func TestBackpressure(t *testing.T) {
	const events, backlog = 200, 16
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	server := newServer(t, srv.Connect(t), func(o *sdk.Options) { o.Workers, o.Backlog = 1, backlog })
	proceed := make(chan struct{})
	var handled atomic.Int64
	server.Of("/").On("n", func(context.Context, *sdk.Socket, sdk.Args) (sdk.Ack, error) {
		<-proceed
		handled.Add(1)
		return sdk.Ack{}, nil
	})
	start(t, server)
	for n := range events {
		g.say("/", "n", socketID("gw1", n), `["n"]`)
	}
	must(t, g.nc.Flush())
	// One in hand of the dispatcher, a backlog in its lanes, and as many in the connection's channel.
	eventually(t, "what does not fit is dropped", func() bool { return server.Stats().Dropped >= events-2*backlog-1 })
	close(proceed)
	eventually(t, "the rest is handled", func() bool { return uint64(handled.Load())+server.Stats().Dropped == events })
	if handled.Load() < backlog {
		t.Errorf("%d events were handled, at least the backlog of %d must fit", handled.Load(), backlog)
	}
	equal(t, "an answer afterwards", string(g.request(g.event("/", "n", socketID("gw1", 1), `["n"]`)).Data), "[]")
}

// One socket's flood is dropped, and does not keep another's events from being handled.
func TestFlood(t *testing.T) {
	const backlog = 64
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	var said logged
	server := newServer(t, srv.Connect(t), func(o *sdk.Options) {
		o.Workers, o.Backlog, o.Log = 2, backlog, slog.New(slog.NewTextHandler(&said, nil))
	})
	proceed := make(chan struct{})
	server.Of("/").On("slow", func(context.Context, *sdk.Socket, sdk.Args) (sdk.Ack, error) {
		<-proceed
		return nil, nil
	})
	server.Of("/").On("ping", func(context.Context, *sdk.Socket, sdk.Args) (sdk.Ack, error) { return sdk.Ack{"pong"}, nil })
	gone := make(chan string, 1)
	server.Of("/").OnDisconnect(func(_ context.Context, _ *sdk.Socket, reason string) { gone <- reason })
	must(t, server.Start(deadline(t)))
	for range 50 {
		g.say("/", "slow", socketID("gw1", 1), `["slow"]`)
	}
	g.say("/", "disconnect", socketID("gw1", 1), `["disconnect","ping timeout"]`)
	equal(t, "the other socket's ack", string(g.request(g.event("/", "ping", socketID("gw1", 2), `["ping"]`)).Data), `["pong"]`)
	eventually(t, "the flood is dropped", func() bool { return server.Stats().Flooded >= 50-backlog/8-1 })
	equal(t, "dropped of others", server.Stats().Dropped, 0)
	close(proceed)
	equal(t, "the end of the socket is heard", receive(t, gone), "ping timeout")
	must(t, server.Stop(deadline(t)))
	// Once at once, once with the number of all.
	total := fmt.Sprintf("dropped=%d ", server.Stats().Flooded)
	if log := said.String(); strings.Count(log, "an eighth of Options.Backlog") != 2 || !strings.Contains(log, total) || !strings.Contains(log, `"may wait"=8`) {
		t.Errorf("of %d drops it was said:\n%s", server.Stats().Flooded, log)
	}
}

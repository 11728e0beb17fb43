package sdk_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/pkg/sdk"
)

// What was delivered before Stop is handled, and nothing stays behind on the connection.
func TestStopDrains(t *testing.T) {
	const events = 500
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	nc := srv.Connect(t)
	var errorsSeen atomic.Int64
	nc.SetErrorHandler(func(*nats.Conn, *nats.Subscription, error) { errorsSeen.Add(1) })
	server := newServer(t, nc, func(o *sdk.Options) { o.Workers = 4 })
	var handled atomic.Int64
	begun, proceed := make(chan struct{}, events), make(chan struct{})
	server.Of("/").On("n", func(ctx context.Context, _ *sdk.Socket, _ sdk.Args) (sdk.Ack, error) {
		begun <- struct{}{}
		<-proceed
		handled.Add(1)
		return sdk.Ack{}, server.Volatile().Emit(ctx, "done")
	})
	must(t, server.Start(deadline(t)))
	must(t, server.Start(deadline(t))) // changes nothing
	for n := range events {
		g.say("/", "n", socketID("gw1", n), `["n"]`)
	}
	must(t, g.nc.Flush())
	receive(t, begun)
	stopped := make(chan error, 1)
	go func() { stopped <- server.Stop(deadline(t)) }()
	eventually(t, "no subscription of the contract left", func() bool {
		return !strings.Contains(strings.Join(srv.Subscriptions(), " "), "natter.")
	})
	close(proceed)
	must(t, receive(t, stopped))
	must(t, server.Stop(deadline(t)))
	equal(t, "handled", handled.Load(), events)
	equal(t, "failed", server.Stats().Failed, 0)
	if err := server.Start(deadline(t)); !errors.Is(err, sdk.ErrStopped) {
		t.Errorf("start after stop: %v", err)
	}
	must(t, server.Emit(deadline(t), "still works"))
	eventually(t, "the micro service gone", func() bool { return !strings.Contains(strings.Join(srv.Subscriptions(), " "), "$SRV") })
	nc.ErrorHandler()(nc, nil, errors.New("test"))
	equal(t, "the connection's own error handler", errorsSeen.Load(), 1)
}

// One that stops while its connection to NATS is lost gets nothing when that is back: the other instance hears all.
func TestStopWhileNATSIsAway(t *testing.T) {
	const events = 20
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	link := natstest.Proxy(t, srv.URL())
	nc, err := nats.Connect(link.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond))
	must(t, err)
	defer nc.Close()
	heard := make(chan struct{}, events)
	instance := func(nc *nats.Conn) *sdk.Server {
		server := newServer(t, nc, func(o *sdk.Options) { o.NoMicro = true })
		server.Of("/").On("n", func(context.Context, *sdk.Socket, sdk.Args) (sdk.Ack, error) {
			heard <- struct{}{}
			return nil, nil
		})
		return server
	}
	stays, goes := instance(srv.Connect(t)), instance(nc)
	start(t, stays)
	must(t, goes.Start(deadline(t)))

	link.Cut()
	eventually(t, "the connection lost", func() bool { return !nc.IsConnected() })
	must(t, goes.Stop(deadline(t)))
	link.Heal()
	eventually(t, "the connection back", func() bool { return nc.IsConnected() && nc.Flush() == nil })
	for n := range events {
		g.say("/", "n", socketID("gw1", n), `["n"]`)
	}
	for range events {
		receive(t, heard)
	}
}

// When the time to stop is over, handlers are told by their context; one that does not listen is reported.
func TestStopInTime(t *testing.T) {
	for _, test := range []struct {
		name    string
		listens bool
		want    error
	}{{"a handler that listens", true, nil}, {"a handler that does not", false, sdk.ErrStillRunning}} {
		t.Run(test.name, func(t *testing.T) {
			srv := natstest.Run(t)
			g := newGateway(t, srv)
			server := newServer(t, srv.Connect(t), func(o *sdk.Options) { o.Workers = 1 })
			begun, end, ended := make(chan struct{}, 2), make(chan struct{}), make(chan struct{}, 2)
			server.Of("/").On("n", func(ctx context.Context, _ *sdk.Socket, _ sdk.Args) (sdk.Ack, error) {
				begun <- struct{}{}
				if test.listens {
					<-ctx.Done()
				} else {
					<-end
				}
				ended <- struct{}{}
				return nil, nil
			})
			must(t, server.Start(deadline(t)))
			g.say("/", "n", socketID("gw1", 1), `["n"]`)
			g.say("/", "n", socketID("gw1", 2), `["n"]`)
			must(t, g.nc.Flush())
			receive(t, begun)
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if err := server.Stop(ctx); !errors.Is(err, test.want) {
				t.Errorf("stop: %v, want %v", err, test.want)
			}
			close(end)
			receive(t, ended)
			eventually(t, "the waiting event dropped", func() bool { return server.Stats().Abandoned == 1 })
		})
	}
}

func TestRun(t *testing.T) {
	srv := natstest.Run(t)
	newGateway(t, srv)
	t.Run("until the context ends", func(t *testing.T) {
		server := newServer(t, srv.Connect(t))
		server.Of("/")
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- server.Run(ctx) }()
		eventually(t, "started", func() bool { return strings.Contains(strings.Join(srv.Subscriptions(), " "), "$SRV") })
		cancel()
		must(t, receive(t, ran))
	})
	t.Run("until the connection is closed", func(t *testing.T) {
		nc := srv.Connect(t)
		server := newServer(t, nc)
		server.Of("/")
		ran := make(chan error, 1)
		go func() { ran <- server.Run(t.Context()) }()
		eventually(t, "started", func() bool { return strings.Contains(strings.Join(srv.Subscriptions(), " "), "$SRV") })
		nc.Close()
		if err := receive(t, ran); !errors.Is(err, nats.ErrConnectionClosed) {
			t.Errorf("run: %v", err)
		}
	})
}

func TestMicroService(t *testing.T) {
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	start(t, newServer(t, srv.Connect(t), func(o *sdk.Options) { o.Version = "1.2.3" }))
	hidden := newServer(t, srv.Connect(t), func(o *sdk.Options) { o.Name, o.NoMicro = "hidden", true })
	start(t, hidden)
	reply, err := g.nc.Request("$SRV.INFO.orders", nil, patience)
	must(t, err)
	var info micro.Info
	must(t, json.Unmarshal(reply.Data, &info))
	equal(t, "service", info.Name+" "+info.Version+" "+info.Metadata[contract.MetadataVersion], "orders 1.2.3 "+contract.Version)
	if _, err := g.nc.Request("$SRV.INFO.hidden", nil, patience); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("a server with NoMicro: %v", err)
	}
}

func TestStartRefuses(t *testing.T) {
	srv := natstest.Run(t)
	handler := func(context.Context, *sdk.Socket, sdk.Args) (sdk.Ack, error) { return nil, nil }
	for name, test := range map[string]struct {
		register func(*sdk.Server)
		says     string
	}{
		"reserved event":     {func(s *sdk.Server) { s.Of("/").On("disconnect", handler) }, "use OnConnect, OnDisconnecting or OnDisconnect"},
		"long event":         {func(s *sdk.Server) { s.Of("/").On(strings.Repeat("x", 129), handler) }, "name too long"},
		"namespace":          {func(s *sdk.Server) { s.Of("admin") }, "must begin with a slash"},
		"role without a use": {func(s *sdk.Server) { s.Of("/a", contract.Namespace{Role: "admin"}) }, "use names no middleware"},
	} {
		t.Run(name, func(t *testing.T) {
			server := newServer(t, srv.Connect(t))
			test.register(server)
			err := server.Start(deadline(t))
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("start: %v, want %q", err, test.says)
			}
			if again := server.Start(deadline(t)); again == nil || again.Error() != err.Error() {
				t.Errorf("a second start: %v, want %v", again, err)
			}
			must(t, server.Stop(deadline(t)))
		})
	}
	t.Run("closed connection", func(t *testing.T) {
		nc := srv.Connect(t)
		server := newServer(t, nc)
		server.Of("/").On("x", handler)
		nc.Close()
		if err := server.Start(deadline(t)); !errors.Is(err, nats.ErrConnectionClosed) {
			t.Errorf("start: %v", err)
		}
	})
	t.Run("after start", func(t *testing.T) {
		server := newServer(t, srv.Connect(t))
		start(t, server)
		defer func() {
			if recover() == nil {
				t.Error("registering after Start did not panic")
			}
		}()
		server.Of("/").On("x", handler)
	})
}

func TestOptions(t *testing.T) {
	nc := natstest.Run(t).Connect(t)
	for says, opts := range map[string]sdk.Options{
		"Name is empty":                    {},
		`Name "a b"`:                       {Name: "a b"},
		`subject prefix "a.b"`:             {Name: "a", Prefix: "a.b"},
		"Workers -1":                       {Name: "a", Workers: -1},
		"AckTimeout -1s must not be negat": {Name: "a", AckTimeout: -time.Second},
	} {
		if _, err := sdk.New(nc, opts); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v, want %q", opts, err, says)
		}
	}
	if _, err := sdk.New(nil, sdk.Options{Name: "a"}); err == nil {
		t.Error("no connection: no error")
	}
	// Another prefix: another deployment on the same NATS.
	if _, err := sdk.New(nc, sdk.Options{Name: "a", Prefix: "other"}); err != nil {
		t.Error(err)
	}
}

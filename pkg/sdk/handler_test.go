package sdk_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/pkg/sdk"
)

func TestAck(t *testing.T) {
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	server := newServer(t, srv.Connect(t))
	ns := server.Of("/shop")
	ns.On("sum", func(_ context.Context, _ *sdk.Socket, args sdk.Args) (sdk.Ack, error) {
		var a, b int
		if err := args.Bind(&a, &b); err != nil {
			return nil, err
		}
		return sdk.Ack{a + b, "<ok>"}, nil
	})
	ns.On("empty", func(context.Context, *sdk.Socket, sdk.Args) (sdk.Ack, error) { return sdk.Ack{}, nil })
	ns.On("refuse", func(context.Context, *sdk.Socket, sdk.Args) (sdk.Ack, error) {
		return nil, sdk.Refuse("not you", map[string]int{"left": 0})
	})
	ns.On("not found", func(context.Context, *sdk.Socket, sdk.Args) (sdk.Ack, error) {
		return nil, fmt.Errorf("looking: %w", &sdk.Refusal{Code: contract.CodeNotFound, Message: "no such order"})
	})
	ns.On("who am i", func(_ context.Context, s *sdk.Socket, _ sdk.Args) (sdk.Ack, error) {
		return sdk.Ack{s.ID(), s.User(), s.Name(), s.Namespace()}, nil
	})
	ns.On("reverse", func(_ context.Context, _ *sdk.Socket, args sdk.Args) (sdk.Ack, error) {
		b := bytes.Clone(args.Bytes(0))
		slices.Reverse(b)
		return sdk.Ack{b, map[string]any{"again": []any{b}}}, nil
	})
	ns.On("twice", func(context.Context, *sdk.Socket, sdk.Args) (sdk.Ack, error) { return sdk.Ack{1}, nil })
	ns.On("twice", func(context.Context, *sdk.Socket, sdk.Args) (sdk.Ack, error) { return sdk.Ack{2}, nil })
	start(t, server)

	socket := socketID("gw1", 7)
	for _, test := range []struct {
		event, payload, attachments string
		ack, ackAttachments         string
	}{
		{event: "sum", payload: `["sum",1,2]`, ack: `[3,"<ok>"]`},
		{event: "sum", payload: `["sum",1]`, ack: `[{"ok":false,"code":"invalid","message":"2 arguments wanted, 1 given"}]`},
		{event: "sum", payload: `["sum",1,"x"]`, ack: `[{"ok":false,"code":"invalid","message":"argument 1: a whole number wanted, a string given"}]`},
		{event: "empty", payload: `["empty"]`, ack: `[]`},
		{event: "refuse", payload: `["refuse"]`, ack: `[{"ok":false,"code":"forbidden","message":"not you","data":{"left":0}}]`},
		{event: "not found", payload: `["not found"]`, ack: `[{"ok":false,"code":"not_found","message":"no such order"}]`},
		{event: "who am i", payload: `["who am i"]`, ack: `["` + socket + `","u1","Ann","/shop"]`},
		{event: "twice", payload: `["twice"]`, ack: `[1]`},
		{
			event: "reverse", payload: `["reverse",{"_placeholder":true,"num":0}]abc`, attachments: "3",
			ack: `[{"_placeholder":true,"num":0},{"again":[{"_placeholder":true,"num":1}]}]cbacba`, ackAttachments: "3,3",
		},
	} {
		msg := g.event("/shop", test.event, socket, test.payload)
		msg.Header.Set(contract.HeaderUser, "u1")
		msg.Header.Set(contract.HeaderName, "Ann")
		if test.attachments != "" {
			msg.Header.Set(contract.HeaderAttachments, test.attachments)
		}
		reply := g.request(msg)
		equal(t, test.payload, string(reply.Data), test.ack)
		equal(t, test.payload+" attachments", reply.Header.Get(contract.HeaderAttachments), test.ackAttachments)
	}
}

// What the handler cannot answer stays unanswered, and what follows is handled.
func TestSilence(t *testing.T) {
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	server := newServer(t, srv.Connect(t))
	ns := server.Of("/")
	ns.On("fail", func(context.Context, *sdk.Socket, sdk.Args) (sdk.Ack, error) { return nil, errors.New("database down") })
	ns.On("panic", func(context.Context, *sdk.Socket, sdk.Args) (sdk.Ack, error) { panic("boom") })
	ns.On("no ack", func(context.Context, *sdk.Socket, sdk.Args) (sdk.Ack, error) { return nil, nil })
	ns.On("unencodable", func(context.Context, *sdk.Socket, sdk.Args) (sdk.Ack, error) { return sdk.Ack{func() {}}, nil })
	ns.On("ping", func(context.Context, *sdk.Socket, sdk.Args) (sdk.Ack, error) { return sdk.Ack{"pong"}, nil })
	start(t, server)

	replies := make(chan *nats.Msg, 16)
	inbox := g.nc.NewInbox()
	sub, err := g.nc.ChanSubscribe(inbox, replies)
	must(t, err)
	t.Cleanup(func() { _ = sub.Unsubscribe() })
	socket := socketID("gw1", 1)
	for _, event := range []string{"fail", "panic", "no ack", "unencodable"} {
		msg := g.event("/", event, socket, `["`+event+`"]`)
		msg.Reply = inbox
		must(t, g.nc.PublishMsg(msg))
	}
	for _, payload := range []string{"", "null", "hello", "[]", `{"a":1}`, "[1", "\x00"} {
		msg := g.event("/", "ping", socket, payload)
		msg.Reply = inbox
		must(t, g.nc.PublishMsg(msg))
	}
	bad := g.event("/", "ping", socket, `["ping"]`)
	bad.Reply = inbox
	bad.Header.Set(contract.HeaderAttachments, "99")
	must(t, g.nc.PublishMsg(bad))
	g.say("/", "ping", socket, `["ping"]`) // wants no ack
	last := g.event("/", "ping", socket, `["ping"]`)
	last.Reply = inbox
	must(t, g.nc.PublishMsg(last))

	equal(t, "the only reply", string(receive(t, replies).Data), `["pong"]`)
	stats := server.Stats()
	equal(t, "failed", stats.Failed, 3)
	equal(t, "panics", stats.Panics, 1)
	equal(t, "malformed", stats.Malformed, 8)
	equal(t, "replies left", len(replies), 0)
}

func TestOnlyWhatIsHandledIsSubscribed(t *testing.T) {
	srv := natstest.Run(t)
	newGateway(t, srv)
	server := newServer(t, srv.Connect(t))
	server.Of("/").On("delete user", func(context.Context, *sdk.Socket, sdk.Args) (sdk.Ack, error) { return nil, nil })
	server.Of("/").OnConnect(func(context.Context, *sdk.ConnectedSocket) {})
	server.Of("/admin").Use(func(context.Context, *sdk.Client) error { return nil })
	server.Of("/all").OnAny(func(context.Context, *sdk.Socket, string, sdk.Args) (sdk.Ack, error) { return nil, nil })
	server.Of("/all").OnDisconnect(func(context.Context, *sdk.Socket, string) {})
	server.Of("/quiet")
	start(t, server)
	var got []string
	for _, sub := range srv.SubscriptionDetails() {
		if strings.HasPrefix(sub.Subject, "natter.") {
			got = append(got, sub.Subject+" "+sub.Queue)
		}
	}
	slices.Sort(got)
	want := []string{
		"natter.on._.connect.> orders",
		"natter.on._.delete=20user.> orders",
		"natter.on.all.> orders",
		"natter.use.admin.orders orders",
	}
	if !slices.Equal(got, want) {
		t.Errorf("subscriptions:\n got %q\nwant %q", got, want)
	}
}

func TestLife(t *testing.T) {
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	server := newServer(t, srv.Connect(t))
	ns := server.Of("/")
	said := make(chan string, 16)
	ns.OnConnect(func(_ context.Context, s *sdk.ConnectedSocket) {
		said <- fmt.Sprint("connect ", s.ID(), s.Info().Rooms, s.Info().Roles, string(s.Info().Data), s.Recovered())
	})
	ns.OnAny(func(_ context.Context, s *sdk.Socket, event string, args sdk.Args) (sdk.Ack, error) {
		said <- "any " + event + args.String(0)
		return nil, nil
	})
	ns.On("x", func(_ context.Context, s *sdk.Socket, args sdk.Args) (sdk.Ack, error) {
		said <- "x" + args.String(0)
		return nil, nil
	})
	ns.OnDisconnecting(func(_ context.Context, s *sdk.Socket, reason string, rooms []string) {
		said <- fmt.Sprint("disconnecting ", reason, rooms)
	})
	ns.OnDisconnect(func(_ context.Context, s *sdk.Socket, reason string) { said <- "disconnect " + reason })
	start(t, server)

	socket := socketID("gw1", 3)
	g.say("/", "connect", socket, `["connect",{"id":"`+socket+`","rooms":["red"],"roles":["admin"],"data":{"a":1},"handshake":{},"recovered":true}]`)
	g.say("/", "x", socket, `["x","1"]`)
	g.say("/", "y", socket, `["y","2"]`)
	g.say("/", "disconnecting", socket, `["disconnecting","transport close",["red","blue"]]`)
	g.say("/", "disconnect", socket, `["disconnect","transport close"]`)
	for _, want := range []string{
		"connect " + socket + `[red] [admin]{"a":1}true`,
		"any x1", "x1", "any y2", "disconnecting transport close[red blue]", "disconnect transport close",
	} {
		equal(t, "order of a socket's life", receive(t, said), want)
	}
}

// Events of one socket keep their order however many workers there are, those of others do not wait for them.
func TestOrderPerSocket(t *testing.T) {
	const sockets, events = 40, 150
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	server := newServer(t, srv.Connect(t), func(o *sdk.Options) { o.Workers = 32 })
	var mu sync.Mutex
	heard := make(map[string][]int)
	var active, parallel, total atomic.Int64
	server.Of("/").On("n", func(_ context.Context, s *sdk.Socket, args sdk.Args) (sdk.Ack, error) {
		parallel.Store(max(parallel.Load(), active.Add(1)))
		defer active.Add(-1)
		var n int
		if err := args.Bind(&n); err != nil {
			return nil, err
		}
		if n%50 == 0 {
			time.Sleep(time.Millisecond) // lets others overtake, if they can
		}
		mu.Lock()
		heard[s.ID()] = append(heard[s.ID()], n)
		mu.Unlock()
		total.Add(1)
		return nil, nil
	})
	start(t, server)
	for n := range events {
		for socket := range sockets {
			g.say("/", "n", socketID("gw1", socket), fmt.Sprintf(`["n",%d]`, n))
		}
	}
	eventually(t, "every event handled", func() bool { return total.Load() == sockets*events })
	mu.Lock()
	defer mu.Unlock()
	for id, got := range heard {
		if len(got) != events || !slices.IsSorted(got) {
			t.Errorf("socket %s: %d events, in order: %v", id, len(got), slices.IsSorted(got))
		}
	}
	if parallel.Load() < 2 {
		t.Error("handlers of different sockets never ran at the same time")
	}
}

func TestInstancesShareEvents(t *testing.T) {
	const events = 400
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	var heard [2]atomic.Int64
	for i := range heard {
		server := newServer(t, srv.Connect(t))
		server.Of("/").On("n", func(context.Context, *sdk.Socket, sdk.Args) (sdk.Ack, error) {
			heard[i].Add(1)
			return sdk.Ack{i}, nil
		})
		start(t, server)
	}
	for n := range events {
		g.request(g.event("/", "n", socketID("gw1", n), `["n"]`))
	}
	equal(t, "events handled", heard[0].Load()+heard[1].Load(), events)
	if heard[0].Load() == 0 || heard[1].Load() == 0 {
		t.Errorf("one instance took them all: %d and %d", heard[0].Load(), heard[1].Load())
	}
}

// A handler may ask its own client, and a NATS restart in between does not end the service.
func TestRestart(t *testing.T) {
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	server := newServer(t, srv.Connect(t, nats.ReconnectBufSize(-1)))
	server.Of("/").On("ping", func(ctx context.Context, s *sdk.Socket, _ sdk.Args) (sdk.Ack, error) {
		return sdk.Ack{"pong"}, s.Emit(ctx, "seen")
	})
	start(t, server)
	ping := func() bool {
		reply, err := g.nc.RequestMsg(g.event("/", "ping", socketID("gw1", 1), `["ping"]`), time.Second)
		return err == nil && string(reply.Data) == `["pong"]`
	}
	eventually(t, "an answer before", ping)
	must(t, g.kv.Delete(deadline(t), "_"))
	srv.Shutdown()
	emitted := make(chan error, 1)
	go func() { emitted <- server.Emit(deadline(t), "while away") }()
	srv.Restart()
	must(t, receive(t, emitted))
	eventually(t, "an answer afterwards", ping)
	eventually(t, "the namespace registered again", func() bool { return g.namespace("/") == "{}" })
}

// The server's own methods are those of the main namespace.
func TestServerIsTheMainNamespace(t *testing.T) {
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	log := &lines{}
	server := newServer(t, srv.Connect(t), func(o *sdk.Options) { o.Log = slog.New(slog.NewTextHandler(log, nil)) })
	connected := make(chan string, 1)
	server.Use(func(_ context.Context, c *sdk.Client) error { c.Join("lobby"); return nil })
	server.OnConnect(func(_ context.Context, s *sdk.ConnectedSocket) { connected <- s.Namespace() })
	server.On("ping", func(context.Context, *sdk.Socket, sdk.Args) (sdk.Ack, error) { return sdk.Ack{"pong"}, nil })
	server.On("connection", func(context.Context, *sdk.Socket, sdk.Args) (sdk.Ack, error) { return nil, nil })
	start(t, server)
	equal(t, "namespace", g.namespace("/"), `{"registered":["orders"]}`)
	if a := g.enter("/", "orders", `{}`, patience); a == nil || !a.OK || !slices.Equal(a.Rooms, []string{"lobby"}) {
		t.Errorf("admission %+v", a)
	}
	g.say("/", "connect", socketID("gw1", 1), `["connect",{"rooms":[],"handshake":{},"recovered":false}]`)
	equal(t, "connected in", receive(t, connected), "/")
	equal(t, "ack", string(g.request(g.event("/", "ping", socketID("gw1", 1), `["ping"]`)).Data), `["pong"]`)
	equal(t, "warnings of an event connection", len(log.about("OnConnect")), 1)
	defer func() {
		if recover() == nil {
			t.Error("a handler could be added after Start")
		}
	}()
	server.On("late", nil)
}

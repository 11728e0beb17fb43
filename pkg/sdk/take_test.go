package sdk_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/pkg/sdk"
)

var inOrder = contract.Namespace{Ordered: "orders"}

func TestOrderedSubscriptions(t *testing.T) {
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	server := newServer(t, srv.Connect(t), func(o *sdk.Options) { o.NoMicro = true })
	ns := server.Of("/shop", inOrder)
	ns.On("order", func(context.Context, *sdk.Socket, sdk.Args) (sdk.Ack, error) { return sdk.Ack{}, nil })
	server.Of("/game-*", inOrder).OnAny(func(context.Context, *sdk.Socket, string, sdk.Args) (sdk.Ack, error) { return nil, nil })
	start(t, server)
	equal(t, "registered", g.namespace("/shop"), `{"ordered":"orders"}`)
	for _, want := range []string{
		"natter.on.shop.order.*.*", "natter.on.shop.*.*.*." + server.ID(), "natter.take.shop.orders",
		"natter.on.*.*.*.*", "natter.on.*.*.*.*." + server.ID(), "natter.take.*.orders",
	} {
		if got := srv.Subscriptions(); !slices.Contains(got, want) {
			t.Errorf("%s is missing in %q", want, got)
		}
	}
}

// take asks who takes a socket; "" if nobody answers in time.
func (g *gateway) take(namespace, pattern string, within time.Duration) string {
	g.t.Helper()
	subject, err := g.con.Take(namespace, "orders")
	must(g.t, err)
	msg := nats.NewMsg(subject)
	if pattern != "" {
		msg.Header.Set(contract.HeaderPattern, pattern)
	}
	reply, err := g.nc.RequestMsg(msg, within)
	if err != nil {
		return ""
	}
	taken, err := contract.ParseTaken(reply.Data)
	must(g.t, err)
	return taken.Instance
}

// An instance takes sockets of its own namespaces alone, hears what is addressed to it, from several namespaces once
// each, and what nobody has taken.
func TestTakenSocketsAreHeard(t *testing.T) {
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	server := newServer(t, srv.Connect(t))
	heard := make(chan string, 100)
	for _, name := range []string{"/game-1", "/game-*"} {
		ns := server.Of(name, inOrder)
		ns.OnConnect(func(_ context.Context, s *sdk.ConnectedSocket) { heard <- "connect " + s.Namespace() })
		ns.On("move", func(_ context.Context, s *sdk.Socket, args sdk.Args) (sdk.Ack, error) {
			heard <- args.String(0) + " " + s.Namespace()
			return sdk.Ack{}, nil
		})
	}
	server.Of("/free").On("move", func(context.Context, *sdk.Socket, sdk.Args) (sdk.Ack, error) { return nil, nil })
	start(t, server)
	for _, c := range []struct{ namespace, pattern, want string }{
		{"/game-1", "", server.ID()}, {"/game-2", "game-=2A", server.ID()}, {"/game-3", "", ""}, {"/free", "", ""}, {"/other", "game-=2A", ""},
	} {
		within := patience
		if c.want == "" {
			within = 300 * time.Millisecond
		}
		equal(t, "who takes "+c.namespace, g.take(c.namespace, c.pattern, within), c.want)
	}
	say := func(namespace, event, payload, instance string) {
		subject, err := g.con.OnTaken(namespace, event, socketID("gw1", 1), instance)
		must(t, err)
		msg := nats.NewMsg(subject)
		msg.Header.Set(contract.HeaderPattern, "game-=2A")
		msg.Data = []byte(payload)
		must(t, g.nc.PublishMsg(msg))
	}
	say("/game-1", "connect", `["connect",{"id":"x"}]`, server.ID())
	say("/game-1", "nobody hears it", `["nobody hears it"]`, server.ID())
	say("/game-1", "disconnect", `["disconnect","why"]`, server.ID())
	say("/game-1", "move", `["move","a"]`, server.ID())
	say("/game-1", "move", `["move","not mine"]`, "another")
	say("/game-2", "move", `["move","b"]`, server.ID())
	g.say("/game-1", "move", socketID("gw1", 1), `["move","c"]`)
	for _, want := range []string{"connect /game-1", "a /game-1", "b /game-2", "c /game-1"} {
		equal(t, "heard", receive(t, heard), want)
	}
	equal(t, "events", server.Stats().Events, 4)
	equal(t, "more", len(heard), 0)
}

func TestStopLeaves(t *testing.T) {
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	server := newServer(t, srv.Connect(t))
	var mu sync.Mutex
	var heard []string
	server.Of("/shop", inOrder).On("order", func(_ context.Context, s *sdk.Socket, args sdk.Args) (sdk.Ack, error) {
		time.Sleep(time.Millisecond)
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, args.String(0))
		return nil, nil
	})
	words := make(chan *nats.Msg, 100)
	_, err := g.nc.ChanSubscribe(g.con.AliveAny(), words)
	must(t, err)
	must(t, server.Start(deadline(t)))
	if beat := receive(t, words); beat.Subject != "natter.alive.orders."+server.ID() || len(beat.Data) > 0 || beat.Reply != "" {
		t.Errorf("a sign of life %+v", beat)
	}
	stopped := make(chan error)
	go func() { stopped <- server.Stop(deadline(t)) }()
	word := receive(t, words)
	for word.Reply == "" {
		word = receive(t, words)
	}
	equal(t, "leaving", string(word.Data), `{"leaving":true}`)
	if wait, err := contract.ParseTimeout(contract.Header(word.Header), 0, time.Minute); err != nil || wait <= 0 || wait > patience {
		t.Errorf("for acks %s, %v", wait, err)
	}
	equal(t, "who takes a socket", g.take("/shop", "", 300*time.Millisecond), "")
	var want []string
	for i := range 100 {
		text := string(rune('a' + i%26))
		subject, err := g.con.OnTaken("/shop", "order", socketID("gw1", 1), server.ID())
		must(t, err)
		payload, err := json.Marshal([]string{"order", text})
		must(t, err)
		must(t, g.nc.Publish(subject, payload))
		want = append(want, text)
	}
	for i, gateway := range []string{"gw1", "gw2"} {
		select {
		case err := <-stopped:
			t.Fatalf("stopped after %d of 2 answers: %v", i, err)
		default:
		}
		reply := nats.NewMsg(word.Reply)
		reply.Header.Set(contract.HeaderGateway, gateway)
		reply.Header.Set(contract.HeaderGateways, "2")
		must(t, g.nc.PublishMsg(reply))
	}
	must(t, receive(t, stopped))
	if !slices.Equal(heard, want) {
		t.Errorf("heard %q, want %q", heard, want)
	}
}

// Gateways that do not answer do not keep an instance from stopping.
func TestStopLeavesWithoutGateways(t *testing.T) {
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	for _, watched := range []bool{false, true} {
		server := newServer(t, srv.Connect(t))
		server.Of("/shop", inOrder)
		must(t, server.Start(deadline(t)))
		if watched { // it hides that nobody listens
			_, err := g.nc.SubscribeSync("natter.>")
			must(t, err)
			must(t, g.nc.Flush())
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		must(t, server.Stop(ctx))
		must(t, ctx.Err())
		cancel()
	}
}

// syncBuffer is a log that several goroutines write.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) has(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Contains(s.b.String(), text)
}

func TestOrderedByAnother(t *testing.T) {
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	wrong := newServer(t, srv.Connect(t))
	wrong.Of("/shop", contract.Namespace{Ordered: "billing"})
	if err := wrong.Start(deadline(t)); err == nil || !strings.Contains(err.Error(), `"billing"`) {
		t.Errorf("in the name of another: %v", err)
	}
	_, err := g.kv.PutString(deadline(t), "shop", `{"ordered":"billing"}`)
	must(t, err)
	_, err = g.kv.PutString(deadline(t), "till", `{"ordered":"orders"}`)
	must(t, err)
	var log syncBuffer
	server := newServer(t, srv.Connect(t), func(o *sdk.Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	server.Of("/shop", inOrder)
	server.Of("/till")
	start(t, server)
	eventually(t, "the log says whose the sockets are", func() bool { return log.has(sdk.ErrOrdered.Error() + ": billing") })
	eventually(t, "the log says that nobody can enter", func() bool { return log.has("nobody can enter") })
	equal(t, "configured", g.namespace("/shop"), `{"ordered":"billing"}`)
}

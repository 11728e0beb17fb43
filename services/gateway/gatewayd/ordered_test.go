package gatewayd_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/pkg/sdk"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// ordered declares namespaces whose sockets the service till takes. A busy machine may keep it silent for a while.
func ordered(c *gatewayd.Config) {
	c.Lease = 10 * time.Second
	c.Namespaces["/ordered"] = contract.Namespace{Ordered: "till"}
	c.Namespaces["/till-*"] = contract.Namespace{Ordered: "till"}
}

// till is an instance of a back end that is made for order.
type till struct {
	*sdk.Server
	nc *nats.Conn

	mu    sync.Mutex
	heard map[string][]string // by socket, in order: what it said, or how its life went
}

// sleepy is some work that takes longer for one event than for the next.
func sleepy() { time.Sleep(time.Duration(rand.IntN(200)) * time.Microsecond) }

func (d *deployment) till(declare ...string) *till {
	d.t.Helper()
	nc := d.nats.Connect(d.t)
	server, err := sdk.New(nc, sdk.Options{Name: "till", Backlog: 1 << 16, Log: slog.New(slog.NewTextHandler(d.t.Output(), nil))})
	if err != nil {
		d.t.Fatal(err)
	}
	b := &till{Server: server, nc: nc, heard: make(map[string][]string)}
	for _, name := range append(declare, "/ordered") {
		ns := server.Of(name, contract.Namespace{Ordered: "till"})
		ns.OnConnect(func(_ context.Context, s *sdk.ConnectedSocket) { b.note(s.Socket, "connect") })
		ns.OnDisconnecting(func(_ context.Context, s *sdk.Socket, _ string, _ []string) { b.note(s, "disconnecting") })
		ns.OnDisconnect(func(_ context.Context, s *sdk.Socket, _ string) { b.note(s, "disconnect") })
		ns.On("sell", func(_ context.Context, s *sdk.Socket, args sdk.Args) (sdk.Ack, error) {
			sleepy()
			var n int
			if err := args.Bind(&n); err != nil {
				return nil, err
			}
			b.note(s, fmt.Sprint(n))
			return sdk.Ack{n}, nil
		})
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := server.Start(ctx); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { b.stop(d.t) })
	return b
}

func (b *till) stop(t testing.TB) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.Stop(ctx); err != nil {
		t.Errorf("stop: %v", err)
	}
}

func (b *till) note(s *sdk.Socket, what string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.heard[s.ID()] = append(b.heard[s.ID()], what)
}

// of is what the instance heard of a socket.
func (b *till) of(id string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.heard[id]...)
}

// numbers are connect, n numbers from 0, and what follows.
func numbers(n int, then ...string) string {
	all := []string{"connect"}
	for i := range n {
		all = append(all, fmt.Sprint(i))
	}
	return strings.Join(append(all, then...), " ")
}

// What each of many sockets at two gateways says goes to one of two instances, in order and complete, though nobody
// waits for anything; both instances have their share. Somebody who watches everything changes nothing.
func TestOrderAcrossInstances(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	watched := d.listen("natter.on.ordered.sell.>", "natter.alive.>")
	gws := d.gateways(2, ordered)
	tills := []*till{d.till(), d.till()}
	const clients, events = 16, 300
	sockets := make([]*socket, clients)
	for i := range sockets {
		sockets[i] = gws[i%2].dial().enter("/ordered", "")
	}
	var saying sync.WaitGroup
	for _, s := range sockets {
		saying.Go(func() {
			for n := range events {
				s.emit(`"sell"`, fmt.Sprint(n))
			}
			s.close()
		})
	}
	saying.Wait()
	share := make([]int, len(tills))
	for _, s := range sockets {
		var by int
		wait(t, "the socket's end", func() bool {
			for i, b := range tills {
				if h := b.of(s.id); len(h) > 0 && h[len(h)-1] == "disconnect" {
					by = i
					return true
				}
			}
			return false
		})
		share[by]++
		if got, want := strings.Join(tills[by].of(s.id), " "), numbers(events, "disconnecting", "disconnect"); got != want {
			t.Errorf("an instance heard\n%s\nwant\n%s", got, want)
		}
		if other := tills[1-by].of(s.id); len(other) > 0 {
			t.Errorf("the other instance heard %q", other)
		}
	}
	if share[0] == 0 || share[1] == 0 {
		t.Errorf("the instances had %v sockets", share)
	}
	for range 10 {
		msg := recv(t, "an event", watched)
		if strings.HasPrefix(msg.Subject, "natter.alive.") {
			continue
		}
		p, err := contract.Subjects{}.Parse(msg.Subject)
		if err != nil || p.Event != "sell" || p.Instance != tills[0].ID() && p.Instance != tills[1].ID() {
			t.Errorf("watched %s: %+v, %v", msg.Subject, p, err)
		}
	}
}

// Another service that listens to the namespace hears all of it too, once, and may answer.
func TestOthersHearAnOrderedNamespace(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway(ordered)
	b := d.till()
	server, err := sdk.New(d.nats.Connect(t), sdk.Options{Name: "audit", Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	audit := make(chan string, 100)
	ns := server.Of("/ordered")
	ns.OnConnect(func(_ context.Context, s *sdk.ConnectedSocket) { audit <- "connect " + s.ID() })
	ns.On("sell", func(_ context.Context, s *sdk.Socket, args sdk.Args) (sdk.Ack, error) {
		audit <- "sell " + s.ID()
		return nil, nil
	})
	ns.On("count", func(context.Context, *sdk.Socket, sdk.Args) (sdk.Ack, error) { return sdk.Ack{7}, nil })
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop(context.Background()) })
	s := g.dial().enter("/ordered", "")
	if got := s.request(`"sell"`, `0`); got != `[0]` {
		t.Errorf("ack %s", got)
	}
	if got := s.request(`"count"`); got != `[7]` {
		t.Errorf("the other's ack %s", got)
	}
	for _, want := range []string{"connect " + s.id, "sell " + s.id} {
		if got := recv(t, want, audit); got != want {
			t.Errorf("heard %s, want %s", got, want)
		}
	}
	if got := strings.Join(b.of(s.id), " "); got != numbers(1) || len(audit) > 0 {
		t.Errorf("the till heard %s, the audit %d more", got, len(audit))
	}
}

// Without an instance the client is held, then its transport is closed, so that it tries again; it is let in by the
// first instance that comes. What it is in besides goes on.
func TestNobodyTakesTheSocket(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway(ordered, func(c *gatewayd.Config) { c.ConnectTimeout = 1500 * time.Millisecond })
	asked := d.listen("natter.take.ordered.till")
	c := g.dial()
	s := c.ask("/ordered", "")
	if m := recv(t, "the question", asked); !strings.HasPrefix(string(m.Data), `{"id":"`+g.ID()+`.`) || !strings.HasSuffix(string(m.Data), `","namespace":"/ordered"}`) {
		t.Errorf("asked %s", m.Data)
	}
	c.wantOver()
	if len(s.entry) > 0 {
		t.Errorf("answered %s", <-s.entry)
	}
	other := g.connect()
	held := other.ask("/ordered", "")
	// What is no answer: not JSON, no instance, an error of a micro service.
	for _, reply := range []string{"hello", `{}`, `{"instance":"a.b"}`, `{"instance":""}`} {
		sub := d.serve("natter.take.ordered.till", func(*nats.Msg) string { return reply })
		before := len(asked)
		wait(t, "two more questions", func() bool { return len(asked) > before+1 })
		if err := sub.Unsubscribe(); err != nil {
			t.Fatal(err)
		}
	}
	other.wantAlive()
	if len(held.entry) > 0 {
		t.Fatalf("answered %s", <-held.entry)
	}
	d.till()
	held.entered()
	if got := held.request(`"sell"`, `0`); got != `[0]` {
		t.Errorf("ack %s", got)
	}
}

// An instance that vanishes without a word is missed, though somebody else listens on all subjects; the connections of
// its sockets are closed, those of others are not, and the end of its sockets is told to another instance.
func TestInstanceVanishes(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	d.listen("natter.>")
	gws := d.gateways(2, ordered, func(c *gatewayd.Config) { c.Lease = 4 * time.Second })
	doomed := d.till()
	theirs := []*socket{gws[0].dial().enter("/ordered", ""), gws[1].poll().enter("/ordered", "")}
	for _, s := range theirs {
		if got := s.request(`"sell"`, `0`); got != `[0]` {
			t.Fatalf("ack %s", got)
		}
	}
	survivor := d.till()
	var safe *socket
	for safe == nil {
		s := gws[0].dial().enter("/ordered", "")
		s.request(`"sell"`, `0`)
		if len(survivor.of(s.id)) > 0 {
			safe = s
		}
	}
	doomed.nc.Close()
	for _, s := range theirs {
		s.emit(`"sell"`, `1`) // nobody hears it, nobody out of order above all
	}
	for _, s := range theirs {
		s.wantOver()
		wait(t, "the end of the socket", func() bool { return len(survivor.of(s.id)) == 2 })
		if got := strings.Join(survivor.of(s.id), " "); got != "disconnecting disconnect" {
			t.Errorf("the survivor heard %s", got)
		}
		again := s.g.dial().enter("/ordered", "")
		if got := again.request(`"sell"`, `0`); got != `[0]` || len(survivor.of(again.id)) != 2 {
			t.Errorf("ack %s, the survivor heard %q", got, survivor.of(again.id))
		}
	}
	if got := safe.request(`"sell"`, `1`); got != `[1]` || strings.Join(survivor.of(safe.id), " ") != numbers(2) {
		t.Errorf("ack %s, heard %q", got, survivor.of(safe.id))
	}
}

// An instance that stops hears all that was said to it, its clients get the acks that they wait for, and it hears the
// end of its sockets, before it is gone; nothing else is ever told of them.
func TestInstanceStops(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(2, ordered)
	leaving := d.till()
	const events = 500
	sockets := []*socket{gws[0].dial().enter("/ordered", ""), gws[1].dial().enter("/ordered", ""), gws[1].poll().enter("/ordered", "")}
	acks := make([]<-chan struct{}, len(sockets))
	for i, s := range sockets {
		for n := range events {
			s.emit(`"sell"`, fmt.Sprint(n))
		}
		last := s.emitAck(`"sell"`, fmt.Sprint(events))
		done := make(chan struct{})
		go func() {
			defer close(done)
			select {
			case <-last:
			case <-time.After(patience):
				t.Error("the ack did not come")
			}
		}()
		acks[i] = done
	}
	wait(t, "the first of the last events", func() bool {
		for _, s := range sockets {
			if h := leaving.of(s.id); len(h) < 2 {
				return false
			}
		}
		return true
	})
	wait(t, "all to be with the gateways", func() bool {
		n := 0.0
		for _, g := range gws {
			n += g.metric("natter_gateway_events_received_total", "/ordered", "service")
		}
		return n == float64(len(sockets)*(events+1))
	})
	other := d.till()
	leaving.stop(t)
	for i, s := range sockets {
		<-acks[i]
		s.wantOver()
		if got, want := strings.Join(leaving.of(s.id), " "), numbers(events+1, "disconnecting", "disconnect"); got != want {
			t.Errorf("heard\n%s\nwant\n%s", got, want)
		}
		if got := other.of(s.id); len(got) > 0 {
			t.Errorf("the other heard %q", got)
		}
		again := s.g.dial().enter("/ordered", "")
		if got := again.request(`"sell"`, `0`); got != `[0]` || len(other.of(again.id)) != 2 {
			t.Errorf("ack %s, the other heard %q", got, other.of(again.id))
		}
	}
}

// An ack that never comes does not keep an instance from leaving for ever.
func TestInstanceLeavesThoughAnAckIsOwed(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway(ordered)
	leaving := d.till()
	s := g.dial().enter("/ordered", "")
	s.emitAck(`"nobody answers"`)
	if got := s.request(`"sell"`, `0`); got != `[0]` {
		t.Fatalf("ack %s", got)
	}
	said := d.listen("natter.alive.till." + leaving.ID())
	ask := func() *nats.Msg {
		msg := nats.NewMsg("natter.alive.till." + leaving.ID())
		msg.Data = []byte(`{"leaving":true}`)
		msg.Header.Set(contract.HeaderTimeout, "300ms")
		reply, err := d.nc.RequestMsg(msg, patience)
		if err != nil {
			t.Fatal(err)
		}
		return reply
	}
	for range 2 { // the second time it has nothing left
		reply := ask()
		if reply.Header.Get(contract.HeaderGateway) != g.ID() || reply.Header.Get(contract.HeaderGateways) != "1" || string(reply.Data) != "{}" {
			t.Errorf("answered %s with %v", reply.Data, reply.Header)
		}
	}
	s.wantOver()
	recv(t, "a word of the instance", said)
	// It has said that it leaves, so nothing is given to it though it lives.
	held := g.dial().ask("/ordered", "")
	other := d.till()
	held.entered()
	held.request(`"sell"`, `0`)
	if got := strings.Join(other.of(held.id), " "); got != numbers(1) {
		t.Errorf("the other heard %q", got)
	}
}

// In a cluster of NATS servers an instance hears the first word of the first socket that it takes, though the
// gateway is at another server and the instance has only just begun to listen.
func TestOrderInACluster(t *testing.T) {
	t.Parallel()
	nodes := natstest.Cluster(t, 2)
	near, far := &deployment{t: t, nats: nodes[0]}, &deployment{t: t, nats: nodes[1]}
	g := near.gateway(ordered)
	for range 5 {
		held := g.dial().ask("/ordered", "")
		b := far.till()
		held.entered()
		for n := range 50 {
			held.emit(`"sell"`, fmt.Sprint(n))
		}
		wait(t, "all events", func() bool { return len(b.of(held.id)) == 51 })
		if got := strings.Join(b.of(held.id), " "); got != numbers(50) {
			t.Errorf("heard %s", got)
		}
		b.stop(t)
		held.wantOver()
	}
}

// What instances say of themselves and nobody understands is counted, and has no effect.
func TestInstancesThatSpeakNonsense(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway(ordered)
	b := d.till()
	s := g.dial().enter("/ordered", "")
	for _, m := range []*nats.Msg{
		{Subject: "natter.alive.till." + b.ID(), Data: []byte("bye")},
		{Subject: "natter.alive.till.=20"},
		{Subject: "natter.alive.till." + b.ID(), Data: []byte(`{"leaving":true}`), Header: nats.Header{contract.HeaderTimeout: {"soon"}}},
	} {
		before := g.metric("natter_gateway_messages_skipped_total", "alive")
		if err := d.nc.PublishMsg(m); err != nil {
			t.Fatal(err)
		}
		wait(t, "the count of "+m.Subject, func() bool { return g.metric("natter_gateway_messages_skipped_total", "alive") == before+1 })
	}
	if got := s.request(`"sell"`, `0`); got != `[0]` {
		t.Errorf("ack %s", got)
	}
}

// A namespace that becomes ordered has its clients come back, so that all of them are taken.
func TestNamespaceBecomesOrdered(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway(func(c *gatewayd.Config) {
		c.Namespaces["/later"] = contract.Namespace{}
		c.Namespaces["/later-*"] = contract.Namespace{}
	})
	stays := g.connect()
	goes := []*socket{g.dial().enter("/later", ""), g.dial().enter("/later-1", "")}
	b := d.till("/later", "/later-*")
	for _, s := range goes {
		s.wantOver()
		again := g.dial().enter(s.namespace, "")
		if got := again.request(`"sell"`, `0`); got != `[0]` || strings.Join(b.of(again.id), " ") != numbers(1) {
			t.Errorf("ack %s, heard %q", got, b.of(again.id))
		}
	}
	stays.wantAlive()
}

// A pattern's namespaces are taken by the same service, each socket by itself; no socket costs a
// subscription.
func TestOrderedPattern(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway(ordered)
	b := d.till("/till-*")
	heard := func() (subjects []string) {
		for _, subject := range d.nats.Subscriptions() {
			if strings.HasPrefix(subject, "natter.on.") || strings.HasPrefix(subject, "natter.take.") {
				subjects = append(subjects, subject)
			}
		}
		slices.Sort(subjects)
		return subjects
	}
	before := heard()
	c := g.dial()
	for i := range 20 {
		s := c.enter(fmt.Sprintf("/till-%d", i), "")
		if got := s.request(`"sell"`, `0`); got != `[0]` || strings.Join(b.of(s.id), " ") != numbers(1) {
			t.Errorf("ack %s, heard %q", got, b.of(s.id))
		}
	}
	if after := heard(); !slices.Equal(before, after) {
		t.Errorf("sockets cost subscriptions: %q, before %q", after, before)
	}
}

// NATS goes and comes back: whoever could not be heard meanwhile is not missed.
func TestInstancesOutliveAnOutage(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway(ordered)
	b := d.till()
	s := g.dial().enter("/ordered", "")
	d.nats.Restart()
	wait(t, "the connection of the instance", b.nc.IsConnected)
	wait(t, "an event to be heard again", func() bool {
		s.emit(`"sell"`, `0`)
		return len(b.of(s.id)) > 1
	})
	select {
	case <-s.over:
		t.Error("the connection was closed")
	default:
	}
}

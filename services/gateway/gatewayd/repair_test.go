package gatewayd_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// wantNext waits for these events and no other.
func (s *socket) wantNext(events ...string) {
	s.t.Helper()
	for i, want := range events {
		if got := s.event(); got != want {
			s.t.Fatalf("event %d of %d is %s, want %s", i, len(events), got, want)
		}
	}
}

// silently has JetStream store what f publishes without republishing it, as if a leader had been killed in between.
func (d *deployment) silently(f func()) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	stream, err := d.js.Stream(ctx, contract.Subjects{}.Names().Stream)
	if err != nil {
		d.t.Fatal(err)
	}
	loud := stream.CachedInfo().Config
	silent := loud
	silent.RePublish = nil
	for i, cfg := range []jetstream.StreamConfig{silent, loud} {
		if _, err := d.js.UpdateStream(ctx, cfg); err != nil {
			d.t.Fatal(err)
		}
		if i == 0 {
			f()
		}
	}
}

// TestAGapIsFilledBeforeWhatFollows loses messages to a room, to several, to all and to a single socket.
func TestAGapIsFilledBeforeWhatFollows(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(2)
	for name, rooms := range map[string]func(*socket) []string{
		"room":   func(*socket) []string { return []string{"red"} },
		"many":   func(*socket) []string { return []string{"red", "blue"} },
		"all":    func(*socket) []string { return nil },
		"socket": func(s *socket) []string { return []string{s.id} },
	} {
		t.Run(name, func(t *testing.T) {
			s := gws[0].connect()
			other := gws[1].connect()
			for _, s := range []*socket{s, other} {
				s.join("red")
			}
			to := rooms(s)
			var want []string
			say := func(i int) {
				d.emit("/", to, fmt.Sprintf(`["n",%d]`, i))
				want = append(want, fmt.Sprintf(`["n",%d]`, i))
			}
			say(0)
			d.silently(func() { say(1); say(2) })
			say(3)
			d.silently(func() { say(4) })
			say(5)
			s.wantNext(want...)
			if name != "socket" {
				other.wantNext(want...)
			}
			s.close()
			other.close()
		})
	}
	if n := gws[0].metric("natter_gateway_repaired_total"); n < 12 {
		t.Errorf("%v messages repaired", n)
	}
}

// TestWhatNothingFollowsIsFoundToo loses the last message, an order among them.
func TestWhatNothingFollowsIsFoundToo(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	s := g.connect()
	s.join("red")
	fresh := g.connect() // was never sent anything by itself
	d.silently(func() {
		d.emit("/", []string{"red"}, `["lost"]`)
		d.do("/", []string{s.id}, `["join","blue"]`)
		d.emit("/", []string{"blue"}, `["in blue"]`)
		d.emit("/", []string{fresh.id}, `["to you"]`)
	})
	s.wantNext(`["lost"]`, `["in blue"]`)
	fresh.wantNext(`["to you"]`)
}

// TestNothingIsMissedWhileNATSWasAway has a gateway lose its connection while others go on.
func TestNothingIsMissedWhileNATSWasAway(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	link := natstest.Proxy(t, d.nats.URL())
	g := d.gateway(func(c *gatewayd.Config) { c.NATS.URL = link.URL() })
	s := g.connect()
	rooms := []string{"red", "green", "blue"}
	for _, room := range rooms {
		s.join(room)
	}
	var want []string
	say := func(i int) {
		text := fmt.Sprintf(`["n",%d]`, i)
		d.emit("/", []string{rooms[i%3]}, text)
		want = append(want, text)
	}
	for i := range 100 {
		switch i {
		case 20:
			link.Cut()
			g.awaitReadiness(http.StatusServiceUnavailable)
		case 80:
			link.Heal()
		}
		say(i)
	}
	s.wantNext(want...)
}

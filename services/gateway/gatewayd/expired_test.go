package gatewayd_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// forgetful has the stream keep messages for a moment only, until the result is called.
func (d *deployment) forgetful() (undo func()) {
	d.t.Helper()
	stream, err := d.js.Stream(d.t.Context(), contract.Subjects{}.Names().Stream)
	if err != nil {
		d.t.Fatal(err)
	}
	usual := stream.CachedInfo().Config
	brief := usual
	brief.MaxAge, brief.Duplicates = 100*time.Millisecond, 100*time.Millisecond
	update := func(cfg jetstream.StreamConfig) {
		d.t.Helper()
		if _, err := d.js.UpdateStream(d.t.Context(), cfg); err != nil {
			d.t.Fatal(err)
		}
	}
	update(brief)
	return func() { update(usual) }
}

// expire has the stream drop all that it has by now, as if it were too old.
func (d *deployment) expire() {
	d.t.Helper()
	defer d.forgetful()()
	wait(d.t, "messages to expire", func() bool {
		stream, err := d.js.Stream(d.t.Context(), contract.Subjects{}.Names().Stream)
		return err == nil && stream.CachedInfo().State.Msgs == 0
	})
}

// TestWhatHasExpiredUnheardIsNotPassedOver cuts the gateway off for longer than the stream keeps messages: first those that its
// clients have heard, then others.
func TestWhatHasExpiredUnheardIsNotPassedOver(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	link := natstest.Proxy(t, d.nats.URL())
	g := d.gateway(func(c *gatewayd.Config) { c.NATS.URL = link.URL() })
	s, pid := g.connectKept("/", "")
	gone, gonePID := g.connectKept("/", "")
	s.join("red")
	gone.join("red")
	d.say([]string{"red"}, 0, 1)
	s.wantSaid("0")
	lastGone := gone.wantSaid("0")
	cutOff := func(meanwhile func()) {
		link.Cut()
		g.awaitReadiness(http.StatusServiceUnavailable)
		meanwhile()
		link.Heal()
		g.awaitReadiness(http.StatusOK)
	}

	cutOff(func() {
		d.expire()
		d.say([]string{"red"}, 1, 2)
	})
	last := s.wantSaid("1")

	cutOff(func() {
		d.say([]string{"red"}, 2, 3)
		d.expire()
		g.drop(gone)
		d.say([]string{"red"}, 3, 4)
	})
	wait(t, "the connection's end", s.isOver)
	if n := len(s.events); n > 0 {
		t.Errorf("the client was told %s, and not what was said before", s.event())
	}
	if n := g.metric("natter_gateway_dropped_total", "expired unheard"); n != 1 {
		t.Errorf("clients were to start afresh %v times", n)
	}
	for _, c := range []struct{ id, pid, offset string }{{s.id, pid, last}, {gone.id, gonePID, lastGone}} {
		again := g.back("/", c.pid, c.offset)
		if again.kept(); again.id == c.id {
			t.Error("the client went on with its session")
		}
	}
}

// TestWhatHasExpiredBetweenTwoLooksIsNotPassedOver has the stream drop messages before the gateway, which stays connected, looks at it
// again, as behind a route that was broken for long.
func TestWhatHasExpiredBetweenTwoLooksIsNotPassedOver(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway(func(c *gatewayd.Config) { c.Lease = time.Second })
	s, pid := g.connectKept("/", "")
	defer d.forgetful()()
	wait(t, "the connection's end", func() bool {
		d.emit("/", []string{"elsewhere"}, `["x"]`)
		return s.isOver()
	})
	again := g.dial().ask("/", `{"pid":`+quote(pid)+`}`)
	if again.kept(); again.id == s.id {
		t.Error("the client went on with its session")
	}
}

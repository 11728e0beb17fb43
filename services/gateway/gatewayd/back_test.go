package gatewayd_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// epochNow is what offsets begin with.
func epochNow(t testing.TB, offset string) string {
	t.Helper()
	epoch, _, err := contract.SplitMessageID(offset)
	if err != nil {
		t.Fatal(err)
	}
	return epoch
}

// TestStreamGoesBack has nats-server lose power: what it stored last is gone, and sequences repeat with other messages. A service goes on before
// the gateways are back. Clients hear all that is stored then, once, and offsets say that it is not what they had heard.
func TestStreamGoesBack(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(2, func(c *gatewayd.Config) { c.Lease = time.Minute }) // nobody is taken for gone
	early, pid := gws[0].connectKept("/", "")
	early.join("red")
	d.say([]string{"red"}, 0, 3)
	early.wantSaid(countUp(0, 3)...)
	putBack := d.nats.Save()
	for _, g := range gws {
		g.awaitReadiness(http.StatusOK)
	}
	wait(t, "the test's own connection", d.nc.IsConnected)
	a, b := gws[0].connect(), gws[1].connect()
	for _, s := range []*socket{a, b} {
		s.join("red")
	}
	d.say([]string{"red"}, 3, 8)
	last := early.wantSaid(countUp(3, 8)...)
	gws[0].drop(early)
	early = gws[1].back("/", pid, last) // it has an offset of its own at the new gateway
	pid = early.kept()
	for _, s := range []*socket{a, b} {
		s.wantSaid(countUp(3, 8)...)
	}

	putBack()
	wait(t, "the test's own connection", d.nc.IsConnected)
	d.say([]string{"red"}, 8, 12)
	for _, g := range gws {
		g.awaitReadiness(http.StatusOK)
	}
	d.say([]string{"red"}, 12, 20)
	for _, s := range []*socket{a, b, early} {
		if now := s.wantSaid(countUp(8, 20)...); epochNow(t, now) == epochNow(t, last) {
			t.Errorf("offset %s is of what came before the loss, as %s", now, last)
		}
		s.wantHeard()
	}
	gws[1].drop(early)
	if again := gws[0].back("/", pid, last).entered(); again.id == early.id {
		t.Error("a client goes on with an offset of before the loss")
	}
	c := gws[0].connect()
	c.join("red")
	d.say([]string{"red"}, 20, 21)
	for _, s := range []*socket{a, b, c} {
		s.wantSaid("20")
		s.join("green") // its session, which went back too, is stored as it is now
	}
}

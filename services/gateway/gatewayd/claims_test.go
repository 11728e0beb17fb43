package gatewayd_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// claimant is a client that asks to go on as a socket, together with others.
type claimant struct {
	client *client
	*socket
	id string // as whom it was let in; "" if it was not
}

// decided says whether the client was answered, or its connection closed.
func (c *claimant) decided() bool {
	select {
	case answer := <-c.entry:
		var a struct{ SID string }
		if json.Unmarshal([]byte(answer), &a) == nil {
			c.id = a.SID
		}
	default:
	}
	return c.id != "" || c.isOver()
}

// TestOneOfManyClaimsGoesOn has a session claimed over and over by several clients at the same time, at several gateways,
// while the connection of who has it still lives. One goes on; the others' connections are closed, or they start afresh.
func TestOneOfManyClaimsGoesOn(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(3)
	s, pid := gws[0].connectKept("/", "")
	id, holder := s.id, s
	n := 0
	say := func() (last string) {
		t.Helper()
		d.say([]string{id}, n, n+1)
		last = holder.wantSaid(fmt.Sprint(n))
		n++
		return last
	}
	last := say()
	for round := range 12 {
		all := make([]*claimant, 9)
		for i := range all {
			all[i] = &claimant{client: gws[i%3].dial()}
		}
		for _, c := range all { // at the same time, as far as that can be
			c.socket = c.client.ask("/", fmt.Sprintf(`{"pid":%q,"offset":%q}`, pid, last))
		}
		wait(t, "every client to be answered", func() bool {
			return !slices.ContainsFunc(all, func(c *claimant) bool { return !c.decided() })
		})
		// From now on the number of those who go on can only fall.
		var on []*claimant
		wait(t, "one to go on, and one only", func() bool {
			on = slices.DeleteFunc(slices.Clone(all), func(c *claimant) bool { return c.id != id || c.isOver() })
			return len(on) == 1
		})
		holder.wantOver()
		holder = on[0].socket
		last = say()
		wait(t, "one gateway to have it, and one only", func() bool {
			n := 0
			for _, answer := range d.ask(d.message(contract.List, "/", nil, "")) {
				n += strings.Count(string(answer.Data), `"`+id+`"`)
			}
			return n == 1
		})
		for _, c := range all {
			if c == on[0] {
				continue
			}
			if c.id != id && len(c.events) != 0 {
				t.Fatalf("round %d: who started afresh was told %s", round, c.event())
			}
			c.close()
		}
	}
}

// TestClaimThatIsLateGivesWay has a gateway claim a session, and another one claim it before the first has the socket: it
// hears of that while there is nothing to be closed yet.
func TestClaimThatIsLateGivesWay(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	home := d.gateway()
	s, pid := home.connectKept("/", "")
	between := newGate(t, d.nats.URL(), "PUB $KV."+contract.Subjects{}.Names().Sessions+".session."+pid)
	slow := d.gateway(func(c *gatewayd.Config) { c.NATS.URL = between.url() })
	quick := d.gateway()
	d.say(nil, 0, 1)
	last := s.wantSaid("0")
	first := slow.back("/", pid, last)
	wait(t, "the first claim", func() bool { saved, _ := d.session(pid); return saved.Gateway == slow.ID() })
	second := quick.back("/", pid, last)
	if second.kept() != pid {
		t.Fatal("the second claim did not go on")
	}
	s.wantOver()
	between.release()
	first.wantOver()
	if len(first.entry) != 0 {
		t.Fatalf("the first claim was let in: %s", <-first.entry)
	}
	d.say([]string{s.id}, 1, 2)
	second.wantSaid("1")
}

// TestClaimOfWhichNobodyToldClosesTheOldConnection has a client go on at another gateway while its own is away from NATS, for
// less than its lease. What gateways tell each other is lost then, and nothing is to be stored of the client, which would tell.
func TestClaimOfWhichNobodyToldClosesTheOldConnection(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	link := natstest.Proxy(t, d.nats.URL())
	lease := func(c *gatewayd.Config) { c.Lease = 9 * time.Second }
	a := d.gateway(lease, func(c *gatewayd.Config) { c.NATS.URL = link.URL() })
	b := d.gateway(lease)
	b.awaitPeers(2)
	s, pid := a.connectKept("/", "")
	ended, endedPID := a.connectKept("/", "")
	other, _ := a.connectKept("/", "")
	d.say(nil, 0, 1)
	last := s.wantSaid("0")
	link.Cut()
	a.awaitReadiness(http.StatusServiceUnavailable)
	lives := d.listen("natter.on._.*.>")
	again := b.back("/", pid, last)
	gone := b.back("/", endedPID, last)
	if again.kept() != pid || gone.kept() != endedPID {
		t.Fatal("did not go on")
	}
	gone.send("1") // and it leaves
	wait(t, "its end", func() bool { saved, _ := d.session(endedPID); return saved.Ended })
	link.Heal()
	s.wantOver()
	ended.wantOver()
	wait(t, "the old sockets' end", func() bool { return a.metric("natter_gateway_sockets") == 1 })
	d.say([]string{s.id}, 1, 2)
	again.wantSaid("1")
	other.wantAlive()
	other.emit(`"hello"`) // after all that its gateway has said
	heard := make(map[string]int)
	for heard["hello"] == 0 {
		heard[strings.Split(recv(t, "what services hear", lives).Subject, ".")[3]]++
	}
	if heard["connect"] != 2 || heard["disconnect"] != 3 {
		t.Fatalf("services heard %v", heard)
	}
}

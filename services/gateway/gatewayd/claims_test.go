package gatewayd_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/natter-io/natter/pkg/contract"
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

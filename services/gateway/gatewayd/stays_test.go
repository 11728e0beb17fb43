package gatewayd_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// A client of which nobody knows yet that it hears nothing, as its laptop sleeps, is told in a room that it has left when it comes back,
// by itself or by order, what was said there before: also if its connection breaks once more meanwhile.
func TestWhatWasSaidBeforeARoomWasLeftIsNotMissed(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(2)
	s, pid := gws[0].connectKept("/", "")
	s.join("match", "own")
	d.say([]string{s.id}, 0, 1)
	last := s.wantSaid("0") // and nothing after that
	d.say([]string{"match"}, 1, 2)
	d.say([]string{"own"}, 2, 3)
	s.wantSaid("1", "2")
	s.request(`"leave"`, `"own"`)
	d.do("/", []string{"match"}, `["leave","match"]`)
	d.say([]string{"match", "own"}, 100, 101)
	d.do("/", []string{s.id}, `["join","match"]`)
	d.say([]string{"match"}, 3, 4)
	d.do("/", []string{"match"}, `["leave","match"]`)
	d.say([]string{"match", "own"}, 101, 102)
	d.say([]string{s.id}, 4, 5)
	s.wantSaid("3", "4")
	gws[0].drop(s)
	d.do("/", []string{s.id}, `["join","match"]`)
	d.say([]string{"match"}, 5, 6)
	d.emit("/", nil, `["n",102]`, contract.HeaderExcept, d.names("match"))
	d.do("/", []string{s.id}, `["leave","match"]`)
	d.say([]string{"match"}, 103, 104)
	for i := range 3 { // none of these connections brings it a later offset but the last
		if i > 0 {
			gws[i%2].drop(s)
		}
		s = gws[(i+1)%2].back("/", pid, last)
		if s.kept() != pid {
			t.Fatal("did not go on")
		}
		s.wantSaid(countUp(1, 6)...)
		if rooms := d.list("/", []string{s.id})[s.id].Rooms; len(rooms) != 0 {
			t.Fatalf("is in %q", rooms)
		}
	}
	d.say([]string{"match", "own"}, 104, 105)
	d.say([]string{s.id}, 6, 7)
	s.wantSaid("6")
}

// Who may not be in a room any more is not told what was said there before services had the client leave.
func TestWhatWasSaidInARoomThatIsNotGrantedAnyMore(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	answers := make(chan string, 2)
	d.admit("/guarded", func(contract.Entry) string { return <-answers })
	g := d.gateway()
	answers <- `{"ok":true,"rooms":["staff","all hands"]}`
	s, pid := g.connectKept("/guarded", "")
	d.emit("/guarded", []string{s.id}, `["n",0]`)
	last := s.wantSaid("0")
	d.emit("/guarded", []string{"staff"}, `["n",100]`)
	d.emit("/guarded", []string{"all hands"}, `["n",1]`)
	d.do("/guarded", []string{s.id}, `["leave","staff","all hands"]`)
	d.emit("/guarded", []string{s.id}, `["n",2]`)
	s.wantSaid("100", "1", "2")
	g.drop(s)
	answers <- `{"ok":true,"rooms":["all hands"]}`
	s = g.back("/guarded", pid, last)
	if s.kept() != pid {
		t.Fatal("did not go on")
	}
	s.wantSaid("1", "2")
}

// A room that a middleware grants as before, and that was left since, is not joined again; one that it grants for the first time is.
func TestGrantedRoomsThatWereLeftStayLeft(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	answers := make(chan string, 4)
	d.admit("/guarded", func(contract.Entry) string { return <-answers })
	gws := d.gateways(2, func(c *gatewayd.Config) {
		guarded := c.Namespaces["/"]
		guarded.Use, guarded.Guests = c.Namespaces["/guarded"].Use, false
		c.Namespaces["/guarded"] = guarded
	})
	answers <- `{"ok":true,"rooms":["lobby","vip","late"]}`
	s, pid := gws[0].connectKept("/guarded", "")
	d.emit("/guarded", []string{s.id}, `["n",0]`)
	last := s.wantSaid("0")
	if got := s.request(`"leave"`, `"lobby"`); got != `[{"ok":true}]` {
		t.Fatal(got)
	}
	d.do("/guarded", []string{s.id}, `["leave","vip"]`)
	d.emit("/guarded", []string{s.id}, `["n",1]`)
	s.wantSaid("1")
	gws[0].drop(s)
	d.do("/guarded", []string{s.id}, `["leave","late"]`)
	for i, c := range []struct {
		granted string
		want    []string
	}{
		{`["lobby","vip","late","new"]`, []string{"new"}},
		{`["new","vip","late"]`, []string{"new"}},
		{`["new","vip","lobby"]`, []string{"lobby", "new"}}, // which it was not for a time
	} {
		answers <- `{"ok":true,"rooms":` + c.granted + `}`
		s = gws[(i+1)%2].back("/guarded", pid, last)
		if s.kept() != pid {
			t.Fatal("did not go on")
		}
		wait(t, "it to be in "+strings.Join(c.want, ", "), func() bool { // the gateway that had it may answer for it at first
			rooms := d.list("/guarded", []string{s.id})[s.id].Rooms
			slices.Sort(rooms)
			return slices.Equal(rooms, c.want)
		})
		gws[(i+1)%2].drop(s)
	}
}

// A client goes away while its gateway has it join a room that a middleware grants for the first time: it has not left the room.
func TestRoomThatIsGrantedToAClientThatGoesAgain(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	answers := make(chan string, 3)
	d.admit("/guarded", func(contract.Entry) string { return <-answers })
	home := d.gateway()
	between := newGateBefore(t, d.nats.URL(), "SUB natter.live.guarded.room.new ")
	slow := d.gateway(func(c *gatewayd.Config) { c.NATS.URL = between.url() })
	answers <- `{"ok":true,"rooms":["old"]}`
	s, pid := home.connectKept("/guarded", "")
	d.emit("/guarded", []string{s.id}, `["n",0]`)
	last := s.wantSaid("0")
	home.drop(s)
	answers <- `{"ok":true,"rooms":["old","new"]}`
	again := slow.back("/guarded", pid, last)
	recv(t, "the room", between.reached)
	again.close()
	wait(t, "the connection's end", func() bool { return slow.metric("natter_gateway_connections") == 0 })
	between.release()
	wait(t, "the session to wait for its client", func() bool {
		saved, _ := d.session(pid)
		return saved.Gateway == slow.ID() && !saved.Left.IsZero()
	})
	answers <- `{"ok":true,"rooms":["old","new"]}`
	s = home.back("/guarded", pid, last)
	if s.kept() != pid {
		t.Fatal("did not go on")
	}
	d.emit("/guarded", []string{"new"}, `["n",1]`)
	s.wantSaid("1")
}

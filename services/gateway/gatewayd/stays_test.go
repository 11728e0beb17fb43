package gatewayd_test

import (
	"testing"

	"github.com/natter-io/natter/pkg/contract"
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

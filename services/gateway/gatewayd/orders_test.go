package gatewayd_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// An order that a client missed, and that took effect when it came back, reaches its gateway later. It must not undo what the
// client has done since, nor meet it in rooms that it was not in then.
func TestOrdersThatTookEffectWhenAClientCameBackAreNotRepeated(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	witness := g.connect()
	witness.join("red", "blue")
	s, pid := g.connectKept("/", "")
	s.join("red")
	d.say([]string{s.id}, 0, 1)
	last := s.wantSaid("0")
	g.drop(s)
	d.silently(func() {
		d.do("/", []string{s.id}, `["leave","red"]`)
		d.do("/", []string{"blue"}, `["disconnect"]`, contract.HeaderExcept, d.names(witness.id))
	})
	s = g.back("/", pid, last)
	if s.kept() != pid {
		t.Fatal("did not go on")
	}
	if rooms := d.list("/", []string{s.id})[s.id].Rooms; len(rooms) != 0 {
		t.Fatalf("is in %q", rooms)
	}
	s.join("red", "blue")
	d.elsewhere() // and the gateway notices that it has not heard of the orders
	d.say([]string{s.id}, 1, 2)
	d.say([]string{"blue"}, 2, 3)
	d.say([]string{"red"}, 3, 4)
	s.wantSaid(countUp(1, 4)...)
}

// What services order while a client is coming back, after what it missed was looked for, holds.
func TestOrdersThatComeWhileAClientComesBack(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		orders, heard []string
		room, data    string // in the end
	}{
		"moves": {[]string{`["leave","red"]`, `["join","green"]`}, []string{"1", "2", "5"}, "green", "1"},
		"data":  {[]string{`["data",2]`}, []string{"1", "3", "4"}, "red", "2"},
	} {
		t.Run(name, func(t *testing.T) {
			d := deploy(t)
			home := d.gateway(slowLease)
			s, pid := home.connectKept("/", "")
			s.join("red")
			d.say([]string{s.id}, 0, 1)
			last := s.wantSaid("0")
			question := "natter.*._.socket." + s.id // how far the stream is; then what it has cannot be read
			between := newGate(t, d.nats.URL(), question)
			slow := d.gateway(slowLease, func(c *gatewayd.Config) { c.NATS.URL = between.url() })
			witness := slow.connect()
			witness.join("red", "green")
			home.drop(s)
			d.do("/", []string{s.id}, `["data",1]`)
			d.say([]string{"red"}, 1, 2)
			witness.wantSaid("1")
			asked := d.listen("$JS.API.DIRECT.GET." + contract.Subjects{}.Names().Stream)
			again := slow.back("/", pid, last)
			for !strings.Contains(string(recv(t, "the question", asked).Data), question) {
			}
			for _, order := range c.orders {
				d.do("/", []string{s.id}, order)
			}
			d.say([]string{"green"}, 2, 3)
			d.say([]string{"red"}, 3, 4)
			witness.wantSaid("2", "3") // the gateway has come to the orders
			between.release()
			if again.kept() != pid {
				t.Fatal("did not go on")
			}
			d.say([]string{"red"}, 4, 5)
			d.say([]string{"green"}, 5, 6)
			again.wantSaid(c.heard...)
			wait(t, "everybody to agree on where it is", func() bool {
				info := d.list("/", []string{again.id})[again.id]
				return slices.Equal(info.Rooms, []string{c.room}) && string(info.Data) == c.data
			})
		})
	}
}

// A client that services had join a room, leave it and join it again while it was away gets what was said there each time.
func TestRoomsThatWereJoinedAgainMeanwhile(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	s, pid := g.connectKept("/", "")
	d.say([]string{s.id}, 0, 1)
	last := s.wantSaid("0")
	g.drop(s)
	for i, order := range []string{"join", "leave", "join", "leave", "join"} {
		d.do("/", []string{s.id}, `["`+order+`","red"]`)
		d.say([]string{"red"}, i, i+1)
	}
	s = g.back("/", pid, last)
	if s.kept() != pid {
		t.Fatal("did not go on")
	}
	d.say([]string{"red"}, 5, 6)
	s.wantSaid("0", "2", "4", "5")
}

// A client has been told what came after orders of which its gateway, which is lost, could store nothing: they hold all the same.
func TestOrdersThatWereNotStoredWithTheSessionHold(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	held := newGateBefore(t, d.nats.URL(), `,"red":`) // in the session of who is in blue, too
	defer held.release()
	home := d.gateway(func(c *gatewayd.Config) { c.NATS.URL = held.url() })
	other := d.gateway()
	home.connect().join("red") // so that nothing must be asked of the stream when another one joins
	s, pid := home.connectKept("/", "")
	s.join("blue")
	d.say([]string{"blue"}, 0, 1)
	d.do("/", []string{s.id}, `["join","red"]`)
	d.do("/", []string{"red"}, `["leave","blue"]`)
	d.do("/", []string{"red"}, `["data",7]`)
	d.say([]string{"red"}, 1, 2)
	last := s.wantSaid("0", "1")
	recv(t, "the write of the session", held.reached)
	if saved, _ := d.session(pid); !slices.Equal(roomsOf(saved), []string{"blue"}) {
		t.Fatalf("the session was stored with %v", saved.Rooms)
	}
	d.say([]string{"red", "blue"}, 2, 3)
	d.say([]string{"blue"}, 100, 101)
	again := other.back("/", pid, last)
	if again.kept() != pid {
		t.Fatal("did not go on")
	}
	d.say([]string{"red"}, 3, 4)
	again.wantSaid("2", "3")
	wait(t, "everybody to agree on where it is", func() bool {
		info := d.list("/", []string{again.id})[again.id]
		return slices.Equal(info.Rooms, []string{"red"}) && string(info.Data) == "7"
	})
}

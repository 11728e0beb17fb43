package gatewayd_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// TestClientThatHeardNothingGoesOn has a client come back that has joined a room and has no offset, since nothing was said
// to it before it was gone.
func TestClientThatHeardNothingGoesOn(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(2)
	d.say(nil, 100, 102) // before it came
	s, pid := gws[0].connectKept("/", "")
	d.do("/", []string{s.id}, `["join","blue"]`)
	s.join("red")
	gws[0].drop(s)
	d.say([]string{"red"}, 0, 1)
	d.say([]string{"blue", "green"}, 1, 2)
	d.say([]string{"green"}, 103, 104)
	d.say(nil, 2, 3)
	again := gws[1].dial().ask("/", fmt.Sprintf(`{"pid":%q}`, pid))
	if again.kept() != pid || again.id != s.id {
		t.Fatalf("went on as %s, was %s", again.id, s.id)
	}
	again.wantSaid(countUp(0, 3)...)
	d.say([]string{"red"}, 3, 4)
	again.wantSaid("3")
}

// TestClientThatHeardNothingOfAnotherStreamStartsAfresh has the stream be another one when the client comes back.
func TestClientThatHeardNothingOfAnotherStreamStartsAfresh(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	s, pid := g.connectKept("/", "")
	g.drop(s)
	d.rewriteSession(pid, func(saved map[string]any) { saved["epoch"] = "another" })
	if again := g.dial().ask("/", fmt.Sprintf(`{"pid":%q}`, pid)); again.kept() == pid {
		t.Fatal("went on in a stream of which it knows nothing")
	}
}

// TestVolatileEventsDoNotTakeTheOffsetBack has a client come back at a gateway that has read less of the stream than the
// client was sent.
func TestVolatileEventsDoNotTakeTheOffsetBack(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(2)
	s, pid := gws[0].connectKept("/", "")
	s.join("red")
	d.say([]string{"red"}, 0, 1)
	last := s.wantSaid("0")
	gws[0].drop(s)
	d.say([]string{"red"}, 1, 3)
	again := gws[1].back("/", pid, last)
	if again.kept() != pid {
		t.Fatal("did not go on")
	}
	again.wantSaid("1", "2")
	wait(t, "a volatile event, which misses a client that has only just come back", func() bool {
		if err := d.nc.PublishMsg(d.message(contract.Volatile, "/", []string{"red"}, `["n","now"]`)); err != nil {
			t.Fatal(err)
		}
		return len(again.events) > 0
	})
	last = again.wantSaid(`"now"`)
	gws[1].drop(again)
	third := gws[0].back("/", pid, last)
	if third.kept() != pid {
		t.Fatal("did not go on a second time")
	}
	d.say([]string{"red"}, 3, 4)
	third.wantSaid("3")
}

// TestGreetingsKeepTheOffset has a middleware greet the client with an event that ends with a string, which the stock
// client takes for its offset.
func TestGreetingsKeepTheOffset(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	d.admit("/guarded", func(contract.Entry) string {
		return `{"ok":true,"user":"u1","rooms":["staff"],"emit":[{"event":["welcome","stranger"]}]}`
	})
	gws := d.gateways(2)
	s, pid := gws[0].connectKept("/guarded", "")
	last := s.wantSaid(`"stranger"`)
	gws[0].drop(s)
	d.emit("/guarded", []string{"staff"}, `["n",0]`)
	for range 2 { // the first connection breaks before anything else is heard
		s = gws[1].back("/guarded", pid, last)
		if s.kept() != pid {
			t.Fatal("did not go on")
		}
		last = s.wantSaid(`"stranger"`)
		gws[1].drop(s)
	}
	s = gws[1].back("/guarded", pid, last)
	s.kept()
	last = s.wantSaid(`"stranger"`, "0")
	gws[1].drop(s)
	s = gws[0].back("/guarded", pid, last)
	s.kept()
	s.wantSaid(`"stranger"`)
	d.emit("/guarded", []string{"staff"}, `["n",1]`)
	s.wantSaid("1")
}

// TestGatewayThatWasTakenForGoneHasItsClientsComeBack has another gateway note that a client is away, though only its gateway's
// lease had ended. Else it could not be recovered later, since it would seem to have been away since then.
func TestGatewayThatWasTakenForGoneHasItsClientsComeBack(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(2)
	s, pid := gws[0].connectKept("/", "")
	other, _ := gws[0].connectKept("/", "")
	s.join("red")
	d.say([]string{"red"}, 0, 1)
	last := s.wantSaid("0")
	names := contract.Subjects{}.Names()
	sessions, err := d.js.KeyValue(t.Context(), names.Sessions)
	if err != nil {
		t.Fatal(err)
	}
	entry, err := sessions.Get(t.Context(), "session."+pid)
	if err != nil {
		t.Fatal(err)
	}
	var record map[string]any
	if err := json.Unmarshal(entry.Value(), &record); err != nil {
		t.Fatal(err)
	}
	record["left"] = time.Now().UTC()
	value, err := json.Marshal(record)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sessions.Update(t.Context(), "session."+pid, value, entry.Revision()); err != nil {
		t.Fatal(err)
	}
	leases, err := d.js.KeyValue(t.Context(), names.Gateways)
	if err != nil {
		t.Fatal(err)
	}
	if err := leases.Delete(t.Context(), gws[0].ID()); err != nil {
		t.Fatal(err)
	}
	s.wantOver()
	d.say([]string{"red"}, 1, 2)
	again := gws[1].back("/", pid, last)
	if again.kept() != pid {
		t.Fatal("did not go on")
	}
	again.wantSaid("1")
	wait(t, "the session to be the other gateway's", func() bool {
		saved, _ := d.session(pid)
		return saved.Left.IsZero()
	})
	if other.isOver() {
		t.Error("a client of whom nobody said that it is away was put out")
	}
}

// TestSessionIsStoredWhenItCanBeAgain has the bucket refuse a session of a client that stays connected.
func TestSessionIsStoredWhenItCanBeAgain(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	s, pid := g.connectKept("/", "")
	stream, err := d.js.Stream(t.Context(), "KV_"+contract.Subjects{}.Names().Sessions)
	if err != nil {
		t.Fatal(err)
	}
	well := stream.CachedInfo().Config
	ill := well
	ill.MaxMsgSize = 1
	if _, err := d.js.UpdateStream(t.Context(), ill); err != nil {
		t.Fatal(err)
	}
	refused := d.listen(contract.DefaultPrefix + ".live.>")
	d.do("/", []string{s.id}, `["join","red"]`)
	recv(t, "the order", refused)
	d.say([]string{"red"}, 0, 1)
	s.wantSaid("0")
	blue := s.emitAck(`"join"`, `"blue"`)
	if saved, _ := d.session(pid); len(saved.Rooms) != 0 {
		t.Fatalf("the session was stored with %v", saved.Rooms)
	}
	if _, err := d.js.UpdateStream(t.Context(), well); err != nil {
		t.Fatal(err)
	}
	wait(t, "the session to be stored", func() bool {
		saved, _ := d.session(pid)
		return slices.Equal(roomsOf(saved), []string{"blue", "red"})
	})
	if len(blue) == 0 { // it was refused once, and not acked; whoever asks again hears it
		s.join("blue")
	}
}

// TestLeavingIsAckedOnceItIsStored has a client leave a room while its gateway cannot reach NATS, and come back elsewhere.
func TestLeavingIsAckedOnceItIsStored(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	link := natstest.Proxy(t, d.nats.URL())
	a := d.gateway(func(c *gatewayd.Config) { c.NATS.URL = link.URL() })
	b := d.gateway()
	s, pid := a.connectKept("/", "")
	s.join("red", "blue")
	d.say(nil, 0, 1)
	last := s.wantSaid("0")
	if got := s.request(`"leave"`, `"blue"`); got != `[{"ok":true}]` {
		t.Fatal(got)
	}
	if saved, _ := d.session(pid); !slices.Equal(roomsOf(saved), []string{"red"}) {
		t.Fatalf("left, and the session has %v", saved.Rooms)
	}
	link.Cut()
	left := s.emitAck(`"leave"`, `"red"`)
	if got := s.request(`"join"`, `5`); !strings.Contains(got, contract.CodeInvalid) { // it was heard, since this was
		t.Fatal(got)
	}
	again := b.back("/", pid, last)
	if again.kept() != pid {
		t.Fatal("did not go on")
	}
	d.say([]string{"red"}, 1, 2)
	again.wantSaid("1")
	link.Heal()
	s.wantOver()
	if len(left) != 0 {
		t.Fatalf("leaving was acked with %s, and the client is in the room", (<-left).Data)
	}
}

func roomsOf(s savedSession) (all []string) {
	for room := range s.Rooms {
		all = append(all, room)
	}
	slices.Sort(all)
	return all
}

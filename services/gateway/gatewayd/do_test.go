package gatewayd_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
)

// traffic publishes to a room until the test ends, so that commands meet messages under way.
func (d *deployment) traffic(room string) {
	d.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	subject := d.subject(contract.Emit, "/", room)
	wg.Go(func() {
		for ctx.Err() == nil {
			if _, err := d.js.Publish(ctx, subject, []byte(`["noise"]`)); err != nil && ctx.Err() == nil {
				d.t.Errorf("traffic: %v", err)
				return
			}
		}
	})
	d.t.Cleanup(func() { cancel(); wg.Wait() })
}

// without are the events but those of a name.
func without(events []string, name string) []string {
	return slices.DeleteFunc(events, func(e string) bool { return strings.HasPrefix(e, `["`+name+`"`) })
}

// TestJoinThenEmitNeverMisses orders joins into fresh rooms and emits to them without waiting for anything.
func TestJoinThenEmitNeverMisses(t *testing.T) {
	t.Parallel()
	const rounds = 200
	d := deploy(t)
	gws := d.gateways(2)
	sockets := []*socket{gws[0].connect(), gws[1].connect()}
	for _, s := range sockets {
		s.join("noisy")
	}
	d.do("/", nil, `["join","team"]`)
	d.traffic("noisy")
	var want []string
	for i := range rounds {
		room := fmt.Sprintf("fresh %d", i)
		for _, msg := range []*nats.Msg{
			d.message(contract.Do, "/", []string{"team"}, `["join",`+quote(room)+`]`),
			d.message(contract.Emit, "/", []string{room}, fmt.Sprintf(`["first",%d]`, i)),
			d.message(contract.Emit, "/", []string{room, "team"}, fmt.Sprintf(`["second",%d]`, i)),
			d.message(contract.Do, "/", []string{room}, `["leave",`+quote(room)+`]`),
			d.message(contract.Emit, "/", []string{room}, fmt.Sprintf(`["missed",%d]`, i)),
		} {
			if _, err := d.js.PublishMsgAsync(msg); err != nil {
				t.Fatal(err)
			}
		}
		want = append(want, fmt.Sprintf(`["first",%d]`, i), fmt.Sprintf(`["second",%d]`, i))
	}
	select {
	case <-d.js.PublishAsyncComplete():
	case <-time.After(patience):
		t.Fatal("not everything was stored")
	}
	for i, s := range sockets {
		got := without(s.heard(), "noise")
		for j := range want {
			if j >= len(got) || got[j] != want[j] {
				t.Fatalf("socket %d heard %d events; no. %d is not %s: %q", i, len(got), j, want[j], got[min(j, len(got)):min(j+3, len(got))])
			}
		}
		if len(got) != len(want) {
			t.Fatalf("socket %d heard %d events, want %d", i, len(got), len(want))
		}
	}
}

// TestJoinThenEmitFromDifferentPublishers joins sockets of two gateways at once and emits from another connection.
func TestJoinThenEmitFromDifferentPublishers(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(2)
	sockets := []*socket{gws[0].connect(), gws[1].connect()}
	other := d.nats.Connect(t)
	for i := range 100 {
		room := fmt.Sprintf("fresh %d", i)
		d.do("/", nil, `["join",`+quote(room)+`,"and another"]`)
		if _, err := other.Request(d.subject(contract.Post, "/", room), fmt.Appendf(nil, `["hi","%d"]`, i), patience); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range sockets {
		for i := range 100 {
			s.wantStamped("hi", fmt.Sprint(i))
		}
		s.wantHeard()
		if got := s.request(`"who"`, `"and another"`); strings.Count(got, `"id"`) != 2 {
			t.Fatalf("who: %s", got)
		}
	}
}

func TestLeaveTakesEffectBetweenTwoEmits(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(2)
	sockets := []*socket{gws[0].connect(), gws[1].connect()}
	for _, s := range sockets {
		s.join("red", "blue")
	}
	for i := range 50 {
		d.emit("/", []string{"red"}, `["before"]`)
		d.do("/", []string{"blue"}, `["leave","red"]`)
		d.emit("/", []string{"red"}, `["between"]`)
		d.do("/", nil, `["join","red","red"]`, contract.HeaderExcept, d.names("nobody's"))
		d.emit("/", []string{"red"}, `["after"]`)
		if i%10 != 0 {
			continue
		}
		for _, s := range sockets {
			if got := s.heard(); slices.Contains(got, `["between"]`) || len(got)%2 != 0 || len(got) == 0 {
				t.Fatalf("heard %q", got)
			}
		}
	}
}

func TestEmitThenDisconnectArrivesInOrder(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"websocket", "polling"} {
		t.Run(transport, func(t *testing.T) {
			d := deploy(t)
			g := d.gateway()
			enter := func() *socket {
				if transport == "polling" {
					return g.poll().enter("/", "")
				}
				return g.connect()
			}
			for i := range 20 {
				s := enter()
				for j := range 10 {
					d.emit("/", []string{s.id}, fmt.Sprintf(`["last words",%d]`, j))
				}
				d.do("/", []string{s.id}, fmt.Sprintf(`["disconnect",%t]`, i%2 == 0))
				d.emit("/", []string{s.id}, `["too late"]`)
				s.wantOut()
				if i%2 == 0 {
					s.wantOver()
				}
				if len(s.events) != 10 {
					t.Fatalf("heard %d events before the end, want 10", len(s.events))
				}
				for j := range 10 {
					s.want(fmt.Sprintf(`["last words",%d]`, j))
				}
			}
		})
	}
}

func TestDisconnectReachesRoomsUsersAndAll(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	d.admit("/guarded", func(e contract.Entry) string {
		var a struct{ Token string }
		_ = json.Unmarshal(e.Handshake.Auth, &a)
		return `{"ok":true,"user":` + quote(a.Token) + `}`
	})
	life := d.life("/guarded")
	gws := d.gateways(2)
	enter := func(g *gateway, user string) *socket {
		return begin(t, life, g.dial().enter("/guarded", `{"token":`+quote(user)+`}`))
	}
	ann, ben := enter(gws[0], "ann"), enter(gws[1], "ben")
	ann2 := enter(gws[1], "ann")
	d.do("/guarded", []string{contract.UserRoom("ann")}, `["disconnect"]`)
	ann.wantOut()
	ann2.wantOut()
	heard := map[string]bool{}
	for range 4 {
		msg := recv(t, "an end", life)
		p, err := contract.Subjects{}.Parse(msg.Subject)
		if err != nil || !strings.Contains(string(msg.Data), `"server namespace disconnect"`) {
			t.Fatalf("services heard %s %s", msg.Subject, msg.Data)
		}
		heard[p.Event+p.Socket] = true
	}
	if !heard["disconnect"+ann.id] || !heard["disconnect"+ann2.id] || len(heard) != 4 {
		t.Fatalf("services heard %v", heard)
	}
	d.do("/guarded", []string{ben.id}, `["join","red"]`)
	d.do("/guarded", []string{"red"}, `["disconnect",true]`, contract.HeaderExcept, d.names(contract.UserRoom("ann")))
	ben.wantOut()
	ben.wantOver()
	wantEndOf(t, life, ben, "server namespace disconnect")
	again := begin(t, life, ann.client.enter("/guarded", `{"token":"ann"}`)) // the connection has stayed
	d.do("/guarded", nil, `["disconnect",false]`)
	again.wantOut()
	wantEnd(t, life, again, "server namespace disconnect", contract.UserRoom("ann"))
}

// TestDisconnectOfTheConnectionEndsEveryNamespace is disconnectSockets(true): the client hears in each
// namespace that it is out, and so does not come back by itself.
func TestDisconnectOfTheConnectionEndsEveryNamespace(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	c := g.dial()
	s, other := c.enter("/", ""), c.enter("/bare", "")
	neighbour := g.connect()
	d.do("/", []string{s.id}, `["disconnect",true]`)
	s.wantOut()
	s.wantOver()
	other.wantOut()
	neighbour.wantAlive()
}

// TestDisconnectMeetsSocketsThatAreAboutToEnter orders disconnections of a room while sockets enter it: who
// has heard what was said before one, does not hear what is said after it.
func TestDisconnectMeetsSocketsThatAreAboutToEnter(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	var n atomic.Int64
	d.admit("/guarded", func(contract.Entry) string {
		rooms := []string{`"first"`}
		for range 20 {
			rooms = append(rooms, fmt.Sprintf(`"fresh %d"`, n.Add(1)))
		}
		return `{"ok":true,"rooms":[` + strings.Join(rooms, ",") + `]}`
	})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			for _, msg := range []*nats.Msg{
				{Subject: "natter.emit.guarded.room.first", Data: []byte(`["about to go"]`)},
				{Subject: "natter.do.guarded.room.first", Data: []byte(`["disconnect"]`)},
			} {
				if _, err := d.js.PublishMsg(ctx, msg); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		}
	})
	defer wg.Wait()
	defer cancel()
	for range 50 {
		s := g.dial().enter("/guarded", "")
		s.wantOut()
		if n := len(s.events); n > 1 {
			t.Fatalf("heard %d events over disconnections", n)
		}
		s.close()
	}
}

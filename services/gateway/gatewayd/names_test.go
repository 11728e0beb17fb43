package gatewayd_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/socketio"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// oddNames are names that mean something to NATS, to the contract or to JSON.
var oddNames = []string{
	"red", "", " ", "two words", "a.b", "*", ">", "a.>", "_", "=", "=5F", "=2A", "all", "many", "room", "socket",
	"$SYS.>", "natter.live._.all", "über", "😀", "\"quoted\\", "a,b", "a/b", "\x00", "\x1e", "\r\nPUB x 1\r\n", "<&>", "\u2028",
	strings.Repeat("a", 128), strings.Repeat(">", 42), "user", "connect",
}

// elements are the arguments of an event behind its name, without the stamp.
func elements(t testing.TB, event string) []string {
	t.Helper()
	all, err := socketio.Elements([]byte(event))
	if err != nil {
		t.Fatalf("%s: %v", event, err)
	}
	texts := make([]string, len(all))
	for i, e := range all {
		texts[i] = string(e)
	}
	return texts
}

func TestRoomNamesRoundTripAndNeverWidenASubscription(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(2)
	a, b := gws[0].connect(), gws[1].connect()
	bystander := gws[1].connect() // in no room: hears nothing of the kind
	var joined []string
	for _, room := range oddNames {
		a.join(room)
		b.join(room)
		joined = append(joined, room)
	}
	for _, g := range gws {
		g.wantSubscriptions(map[string][]string{"/": joined})
	}
	for i, room := range oddNames {
		ack := a.request(`"room message"`, quote(room), quote("no. "+fmt.Sprint(i)))
		if !strings.HasPrefix(ack, `[{"ok":true,"id":"`) {
			t.Fatalf("message to %q: %s", room, ack)
		}
		for _, s := range []*socket{a, b} {
			s.wantStamped("room message", room, "no. "+fmt.Sprint(i))
		}
	}
	bystander.wantHeard()
	for _, room := range oddNames {
		if got := b.request(`"leave"`, quote(room)); got != `[{"ok":true}]` {
			t.Fatalf("leaving %q: %s", room, got)
		}
	}
	gws[1].wantSubscriptions(map[string][]string{"/": nil})
	gws[0].wantSubscriptions(map[string][]string{"/": joined})
	d.emit("/", oddNames[2:3], `["after"]`)
	b.wantHeard()
	a.close()
	gws[0].wantSubscriptions(nil)
}

// wantStamped takes the next event, which must have this name and these texts as arguments, and returns the
// stamp behind them.
func (s *socket) wantStamped(texts ...string) contract.Stamp {
	s.t.Helper()
	event := s.event()
	all := elements(s.t, event)
	if len(all) != len(texts)+1 {
		s.t.Fatalf("heard %s, want %q and a stamp", event, texts)
	}
	for i, want := range texts {
		var got string
		if err := json.Unmarshal([]byte(all[i]), &got); err != nil || got != want {
			s.t.Fatalf("heard %s, want %q and a stamp", event, texts)
		}
	}
	var stamp contract.Stamp
	if err := json.Unmarshal([]byte(all[len(texts)]), &stamp); err != nil {
		s.t.Fatalf("stamp %s: %v", all[len(texts)], err)
	}
	return stamp
}

func TestEventNamesReachServicesAndBack(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	s := g.dial().enter("/bare", "")
	heard := make(chan *nats.Msg, 100)
	d.serve("natter.on.bare.>", func(m *nats.Msg) string {
		if p, err := (contract.Subjects{}).Parse(m.Subject); err == nil && !slices.Contains([]string{contract.EventConnect, contract.EventDisconnecting, contract.EventDisconnect}, p.Event) {
			heard <- m
		}
		return string(m.Data)
	})
	for _, name := range oddNames {
		if name == "connect" {
			continue // reserved, see the violations
		}
		event := `[` + quote(name) + `,1]`
		if got := s.request(quote(name), "1"); got != event {
			t.Fatalf("event %q: ack %s", name, got)
		}
		msg := recv(t, "the event", heard)
		p, err := contract.Subjects{}.Parse(msg.Subject)
		if err != nil || p.Event != name || p.Socket != s.id || string(msg.Data) != event {
			t.Fatalf("event %q became %s %s", name, msg.Subject, msg.Data)
		}
		d.emit("/bare", nil, event)
		s.want(event)
	}
}

func TestNamespaceNamesRoundTrip(t *testing.T) {
	t.Parallel()
	names := []string{"/_", "/two words", "/a.b", "/>", "/😀", "/all", "/" + strings.Repeat("n", 128)}
	d := deploy(t)
	g := d.gateway(func(c *gatewayd.Config) {
		for _, name := range names {
			c.Namespaces[name] = contract.Namespace{}
		}
	})
	c := g.dial()
	subscribed := map[string][]string{}
	for _, name := range names {
		s := c.enter(name, "")
		subscribed[name] = nil
		d.emit(name, nil, `["hi"]`)
		s.want(`["hi"]`)
	}
	g.wantSubscriptions(subscribed)
}

func TestGatewaySubscribesOnlyToRoomsOfItsOwnMembers(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(2)
	red, blue := gws[0].connect(), gws[1].connect()
	red.join("red")
	blue.join("blue")
	gws[0].wantSubscriptions(map[string][]string{"/": {"red"}})
	gws[1].wantSubscriptions(map[string][]string{"/": {"blue"}})
	for range 100 {
		d.emit("/", []string{"red"}, `["to red"]`)
	}
	if got := red.heard(); len(got) != 100 {
		t.Fatalf("heard %d events of 100", len(got))
	}
	blue.wantHeard()
	handed := func() float64 { return gws[1].metric("natter_gateway_messages_total", "emit") }
	wait(t, "the end of the test to be counted", func() bool { return handed() > 0 })
	if n := handed(); n != 1 {
		t.Fatalf("the other gateway was handed %v messages", n)
	}
}

func TestRoomStaysSubscribedWhileItHasAMember(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	a, b := g.connect(), g.connect()
	a.join("red")
	b.join("red")
	a.join("red") // twice counts once
	a.close()
	wait(t, "the connection's end", func() bool { return g.metric("natter_gateway_sockets") == 1 })
	b.join("blue") // a room that comes and goes shows that time has passed
	b.request(`"leave"`, `"blue"`)
	g.wantSubscriptions(map[string][]string{"/": {"red"}})
	d.emit("/", []string{"red"}, `["still"]`)
	b.wantHeard(`["still"]`)
	b.request(`"leave"`, `"red"`)
	g.wantSubscriptions(map[string][]string{"/": nil})
}

// silent is a fuzz test whose methods its target's helpers may call.
type silent struct{ *testing.F }

func (silent) Helper() {}

func FuzzNamesNeverWidenASubscription(f *testing.F) {
	for _, name := range oddNames {
		f.Add(name)
	}
	d := deploy(silent{f})
	g := d.gateway()
	f.Fuzz(func(t *testing.T, room string) {
		d.t, g.t = t, t
		if !utf8.ValidString(room) {
			return // does not get through the transport
		}
		s := g.connect()
		defer g.wantSubscriptions(nil) // before the next one comes
		defer s.close()
		ack := s.request(`"join"`, quote(room))
		_, err := contract.EncodeToken(room)
		if contract.IsReservedRoom(room) || err != nil {
			if !strings.HasPrefix(ack, `[{"ok":false,"code":"`) {
				t.Fatalf("joining %q: %s", room, ack)
			}
			g.wantSubscriptions(map[string][]string{"/": nil})
			return
		}
		if ack != `[{"ok":true}]` {
			t.Fatalf("joining %q: %s", room, ack)
		}
		s.request(`"room message"`, quote(room), `"x"`)
		s.wantStamped("room message", room, "x")
		g.wantSubscriptions(map[string][]string{"/": {room}})
	})
}

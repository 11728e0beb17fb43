package gatewayd_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

func TestGatewaysSayWhoComesIntoRooms(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(2, func(c *gatewayd.Config) {
		c.Namespaces["/told-*"] = contract.Namespace{Use: []string{"auth"}, RoomEvents: true}
	})
	d.serve("natter.use.*.auth", func(*nats.Msg) string { return `{"ok":true,"rooms":["first"]}` })
	said := d.listen("natter.room.>")
	life := d.listen("natter.on.told-1.disconnect.>")
	want := func(g *gateway, event, room, id string) {
		t.Helper()
		m := recv(t, event, said)
		subject, err := contract.Subjects{}.Room("/told-1", event, room, g.ID())
		if err != nil {
			t.Fatal(err)
		}
		payload := fmt.Sprintf(`[%q,%q]`, event, room)
		if id != "" {
			payload = fmt.Sprintf(`[%q,%q,%q]`, event, room, id)
		}
		if m.Subject != subject || string(m.Data) != payload || m.Header.Get(contract.HeaderPattern) != "told-=2A" {
			t.Fatalf("heard %s %s %v; want %s %s", m.Subject, m.Data, m.Header, subject, payload)
		}
	}
	a := gws[0].dial().enter("/told-1", "")
	want(gws[0], contract.EventCreateRoom, "first", "")
	want(gws[0], contract.EventJoinRoom, "first", a.id)
	b := gws[0].dial().enter("/told-1", "")
	want(gws[0], contract.EventJoinRoom, "first", b.id)
	c := gws[1].dial().enter("/told-1", "") // each gateway speaks for itself
	want(gws[1], contract.EventCreateRoom, "first", "")
	want(gws[1], contract.EventJoinRoom, "first", c.id)

	d.do("/told-1", []string{a.id}, `["join","red"]`)
	d.do("/told-1", []string{a.id}, `["join","red"]`) // no news
	want(gws[0], contract.EventCreateRoom, "red", "")
	want(gws[0], contract.EventJoinRoom, "red", a.id)
	d.do("/told-1", []string{a.id}, `["leave","red"]`)
	want(gws[0], contract.EventLeaveRoom, "red", a.id)
	want(gws[0], contract.EventDeleteRoom, "red", "")

	a.send("1/told-1,")
	want(gws[0], contract.EventLeaveRoom, "first", a.id)
	b.close()
	want(gws[0], contract.EventLeaveRoom, "first", b.id)
	want(gws[0], contract.EventDeleteRoom, "first", "")
	for range 2 {
		recv(t, "disconnect", life)
	}

	// Others are not told of, whatever they call their events.
	s := gws[0].dial().enter("/bare", "")
	d.do("/bare", nil, `["join","red"]`)
	s.emit(`"join-room"`, `"red"`)
	s.heard()
	if len(said) > 0 {
		m := <-said
		t.Errorf("heard %s %s", m.Subject, m.Data)
	}
}

// Sockets that join and leave one room all at once are told of in an order that makes sense.
func TestRoomEventsAddUp(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway(func(c *gatewayd.Config) {
		ns := c.Namespaces["/"]
		ns.RoomEvents = true
		c.Namespaces["/"] = ns
	})
	said := d.listen("natter.room.>")
	const clients, rounds = 8, 25
	done := make(chan struct{}, clients)
	for range clients {
		s := g.connect()
		go func() {
			defer func() { done <- struct{}{} }()
			for range rounds {
				s.request(`"join"`, `"red"`)
				s.request(`"leave"`, `"red"`)
			}
		}()
	}
	for range clients {
		recv(t, "a client's end", done)
	}
	var in []string
	exists := false
	for range 2 * clients * rounds {
		m := recv(t, "a room event", said)
		p, err := contract.Subjects{}.Parse(m.Subject)
		if err != nil {
			t.Fatal(err)
		}
		for p.Event == contract.EventCreateRoom || p.Event == contract.EventDeleteRoom {
			if exists != (p.Event == contract.EventDeleteRoom) || len(in) > 0 {
				t.Fatalf("%s while it exists: %v, with %q in it", p.Event, exists, in)
			}
			exists = !exists
			m = recv(t, "a room event", said)
			if p, err = (contract.Subjects{}).Parse(m.Subject); err != nil {
				t.Fatal(err)
			}
		}
		i := slices.Index(in, string(m.Data[len(`["leave-room",`):]))
		if p.Event == contract.EventJoinRoom {
			i = slices.Index(in, string(m.Data[len(`["join-room",`):]))
		}
		switch {
		case p.Event == contract.EventJoinRoom && i < 0 && exists:
			in = append(in, string(m.Data[len(`["join-room",`):]))
		case p.Event == contract.EventLeaveRoom && i >= 0:
			in = slices.Delete(in, i, i+1)
		default:
			t.Fatalf("%s with %q in it", m.Data, in)
		}
	}
	m := recv(t, "the room's end", said)
	if p, err := (contract.Subjects{}).Parse(m.Subject); err != nil || p.Event != contract.EventDeleteRoom || len(in) > 0 {
		t.Fatalf("the last word is %s, with %q in it", m.Data, in)
	}
}

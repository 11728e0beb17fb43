package sdk_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/pkg/sdk"
)

// exists asks a function about a namespace; nil if it does not answer within wait.
func (g *gateway) exists(function, namespace, auth string, wait time.Duration) *contract.Admission {
	g.t.Helper()
	subject, err := g.con.Use(contract.Function(function), contract.MiddlewareExists)
	must(g.t, err)
	entry, err := json.Marshal(contract.Entry{ID: socketID("gw1", 1), Namespace: namespace, Handshake: contract.Handshake{Auth: json.RawMessage(auth)}})
	must(g.t, err)
	reply, err := g.nc.Request(subject, entry, wait)
	if err != nil {
		return nil
	}
	var a contract.Admission
	must(g.t, json.Unmarshal(reply.Data, &a))
	return &a
}

func TestFunction(t *testing.T) {
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	server := newServer(t, srv.Connect(t))
	tenants := server.OfFunc(func(_ context.Context, c *sdk.Client) (bool, error) {
		var auth struct{ Key string }
		if err := c.Auth(&auth); err != nil {
			return false, err
		}
		switch auth.Key {
		case "down":
			return true, errors.New("database down")
		case "panic":
			panic("boom")
		case "no":
			return true, sdk.Refuse("no", nil)
		}
		return c.Namespace() == "/a/b", nil
	}, contract.Namespace{HandshakeAuth: true})
	tenants.Use(func(context.Context, *sdk.Client) error { return nil })
	tenants.On("which", func(_ context.Context, s *sdk.Socket, _ sdk.Args) (sdk.Ack, error) {
		return sdk.Ack{s.Namespace()}, nil
	})
	server.OfFuncAs("second", func(context.Context, *sdk.Client) (bool, error) { return true, nil })
	start(t, server)

	equal(t, "registered", g.namespace("/**orders"), `{"registered":["orders"],"handshakeAuth":true}`)
	equal(t, "registered", g.namespace("/**second"), `{}`)
	for auth, want := range map[string]bool{`{}`: true, `{"key":"no"}`: false, `"no object"`: false} {
		if a := g.exists("orders", "/a/b", auth, patience); a == nil || a.OK != want {
			t.Errorf("auth %s: %+v, want %v", auth, a, want)
		}
	}
	if a := g.exists("orders", "/a/c", `{}`, patience); a == nil || a.OK {
		t.Errorf("another namespace: %+v", a)
	}
	if a := g.exists("second", "/a/c", `{}`, patience); a == nil || !a.OK {
		t.Errorf("the second function: %+v", a)
	}
	for _, trouble := range []string{`{"key":"down"}`, `{"key":"panic"}`} {
		if a := g.exists("orders", "/a/b", trouble, 200*time.Millisecond); a != nil {
			t.Errorf("%s: %+v, want no answer", trouble, a)
		}
	}
	msg := under("=2A=2Aorders", g.event("/a/b", "which", socketID("gw1", 1), `["which"]`))
	equal(t, "a handler of the function", string(g.request(msg).Data), `["/a/b"]`)

	bad := newServer(t, srv.Connect(t))
	bad.OfFuncAs("a*", func(context.Context, *sdk.Client) (bool, error) { return true, nil })
	if err := bad.Start(deadline(t)); err == nil || !strings.Contains(err.Error(), "a function is") {
		t.Errorf("a function with a star in its name: %v", err)
	}
}

func TestRoomEvents(t *testing.T) {
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	_, err := g.kv.PutString(deadline(t), "shop", `{"use":["door"],"unknown":1}`)
	must(t, err)
	server := newServer(t, srv.Connect(t))
	events := make(chan sdk.RoomEvent, 10)
	server.Of("/shop").OnRoom(func(_ context.Context, e sdk.RoomEvent) { events <- e })
	server.Of("/new", contract.Namespace{Guests: true}).OnRoom(func(context.Context, sdk.RoomEvent) {})
	start(t, server)
	equal(t, "asked for", g.namespace("/shop"), `{"roomEvents":true,"unknown":1,"use":["door"]}`)
	equal(t, "asked for", g.namespace("/new"), `{"guests":true,"roomEvents":true}`)

	id := socketID("gw1", 1)
	for _, event := range []string{contract.EventCreateRoom, contract.EventJoinRoom, contract.EventLeaveRoom, contract.EventDeleteRoom} {
		subject, err := g.con.Room("/shop", event, "a.b", "gw1")
		must(t, err)
		want := sdk.RoomEvent{Event: event, Namespace: "/shop", Room: "a.b", Gateway: "gw1"}
		payload := []string{event, "a.b"}
		if event == contract.EventJoinRoom || event == contract.EventLeaveRoom {
			payload, want.Socket = append(payload, id), id
		}
		data, err := json.Marshal(payload)
		must(t, err)
		must(t, g.nc.Publish(subject, data))
		equal(t, event, receive(t, events), want)
	}
}

func TestLocal(t *testing.T) {
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	server := newServer(t, srv.Connect(t))
	live := make(chan *nats.Msg, 10)
	_, err := g.nc.ChanSubscribe("natter.live.>", live)
	must(t, err)
	must(t, g.nc.Flush())
	said := make(chan string, 10)
	server.OnAnyOutgoing(func(_ context.Context, o sdk.Outgoing) { said <- o.Gateway })
	must(t, server.Local("gw2").To("red").Emit(deadline(t), "x"))
	equal(t, "header", receive(t, live).Header.Get(contract.HeaderGateway), "gw2")
	equal(t, "outgoing", receive(t, said), "gw2")
	must(t, server.Of("/").Local("gw2").Join(deadline(t), "red"))
	equal(t, "header", receive(t, live).Header.Get(contract.HeaderGateway), "gw2")
	for _, bad := range []string{"a.b", "*", "with space"} {
		if err := server.Local(bad).Emit(deadline(t), "x"); err == nil || !strings.Contains(err.Error(), "not a gateway's id") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	must(t, server.Local("gw2").Local("").Emit(deadline(t), "x"))
	equal(t, "header", receive(t, live).Header.Get(contract.HeaderGateway), "")
}

func TestGreetings(t *testing.T) {
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	server := newServer(t, srv.Connect(t))
	server.Of("/x").Use(func(_ context.Context, c *sdk.Client) error {
		c.Emit("hello", map[string]any{"a": "<"}, []byte{1, 2})
		c.Emit("again")
		return nil
	})
	server.Of("/bad").Use(func(_ context.Context, c *sdk.Client) error {
		c.Emit("connect")
		return nil
	})
	start(t, server)
	a := g.enter("/x", "orders", `{}`, patience)
	if a == nil || !a.OK || len(a.Emit) != 2 || string(a.Emit[0].Event) != `["hello",{"a":"<"},{"_placeholder":true,"num":0}]` ||
		len(a.Emit[0].Attachments) != 1 || !slices.Equal(a.Emit[0].Attachments[0], []byte{1, 2}) || string(a.Emit[1].Event) != `["again"]` {
		t.Errorf("admission %+v", a)
	}
	if a := g.enter("/bad", "orders", `{}`, 200*time.Millisecond); a != nil {
		t.Errorf("an event that cannot be emitted: %+v, want no answer", a)
	}
}

// A client that came back at another gateway has its id from the one before.
func TestLocalOfASocketThatCameBack(t *testing.T) {
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	server := newServer(t, srv.Connect(t))
	live := make(chan *nats.Msg, 10)
	_, err := g.nc.ChanSubscribe("natter.live.>", live)
	must(t, err)
	id := socketID("gw1", 1)
	g.answer(contract.List, 1, nil, part{gateway: "gw3", payload: `[{"id":"` + id + `","rooms":[]}]`})
	local := func(ctx context.Context, s *sdk.Socket) {
		if err := s.Local().Emit(ctx, "x"); err != nil {
			t.Error(err)
		}
	}
	server.Of("/").OnConnect(func(ctx context.Context, s *sdk.ConnectedSocket) { local(ctx, s.Socket) })
	server.Of("/").On("e", func(ctx context.Context, s *sdk.Socket, _ sdk.Args) (sdk.Ack, error) { local(ctx, s); return nil, nil })
	server.Of("/").On("fetch", func(ctx context.Context, s *sdk.Socket, _ sdk.Args) (sdk.Ack, error) {
		fetched, err := s.Fetch(ctx)
		if err != nil {
			t.Error(err)
			return nil, err
		}
		local(ctx, fetched.Socket)
		return nil, nil
	})
	start(t, server)
	must(t, g.nc.Flush())
	for _, test := range []struct{ event, payload, holder, want string }{
		{"e", `["e"]`, "", "gw1"},
		{"e", `["e"]`, "gw2", "gw2"},
		{"connect", `["connect",{"id":"` + id + `","rooms":[],"recovered":true}]`, "gw2", "gw2"},
		{"fetch", `["fetch"]`, "gw2", "gw3"},
	} {
		msg := g.event("/", test.event, id, test.payload)
		if test.holder != "" {
			msg.Header.Set(contract.HeaderGateway, test.holder)
		}
		must(t, g.nc.PublishMsg(msg))
		equal(t, test.event, receive(t, live).Header.Get(contract.HeaderGateway), test.want)
	}
}

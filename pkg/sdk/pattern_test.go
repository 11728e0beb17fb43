package sdk_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/pkg/sdk"
)

// under says from which pattern the namespace has its configuration.
func under(pattern string, msg *nats.Msg) *nats.Msg {
	msg.Header.Set(contract.HeaderPattern, pattern)
	return msg
}

// A namespace is handled by what it has its configuration from, once, whatever else would match.
func TestPatternHandlers(t *testing.T) {
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	heard := make(chan string, 100)
	handle := func(who string) sdk.Handler {
		return func(_ context.Context, s *sdk.Socket, _ sdk.Args) (sdk.Ack, error) {
			heard <- who + " " + s.Namespace()
			return sdk.Ack{who, s.Namespace()}, nil
		}
	}
	for range 2 { // instances
		server := newServer(t, srv.Connect(t))
		for _, name := range []string{"/game-*", "/chat-*", "/game-lobby"} {
			server.Of(name).On("move", handle(name))
		}
		server.Of("/all-*").OnAny(func(_ context.Context, s *sdk.Socket, event string, _ sdk.Args) (sdk.Ack, error) {
			return sdk.Ack{event, s.Namespace()}, nil
		})
		start(t, server)
	}
	must(t, g.nc.Flush())
	equal(t, "registered", g.namespace("/game-*"), `{}`)
	socket := socketID("gw1", 1)
	for range 20 { // whichever subscription of whichever instance gets it
		for _, test := range []struct{ namespace, pattern, ack string }{
			{"/game-1", "game-=2A", `["/game-*","/game-1"]`},
			{"/chat-1", "chat-=2A", `["/chat-*","/chat-1"]`},
			{"/game-lobby", "", `["/game-lobby","/game-lobby"]`},
			{"/all-1", "all-=2A", `["move","/all-1"]`},
		} {
			msg := g.event(test.namespace, "move", socket, `["move"]`)
			if test.pattern != "" {
				under(test.pattern, msg)
			}
			equal(t, test.namespace, string(g.request(msg).Data), test.ack)
		}
	}
	// Not theirs: another namespace, one with a configuration of its own, one of a pattern that nobody declared, and a
	// header that does not match.
	g.say("/other", "move", socket, `["move"]`)
	g.say("/game-own", "move", socket, `["move"]`)
	must(t, g.nc.PublishMsg(under("game-x-=2A", g.event("/game-x-1", "move", socket, `["move"]`))))
	must(t, g.nc.PublishMsg(under("game-=2A", g.event("/other", "move", socket, `["move"]`))))
	g.request(under("game-=2A", g.event("/game-9", "move", socket, `["move"]`)))
	for len(heard) > 1 {
		switch who := receive(t, heard); who {
		case "/game-* /game-1", "/chat-* /chat-1", "/game-lobby /game-lobby":
		default:
			t.Errorf("heard %q", who)
		}
	}
	equal(t, "the last", receive(t, heard), "/game-* /game-9")
}

func TestPatternMiddleware(t *testing.T) {
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	server := newServer(t, srv.Connect(t))
	server.Of("/game-*").Use(func(_ context.Context, c *sdk.Client) error {
		c.SetUser("u1", c.Namespace())
		return nil
	})
	start(t, server)
	equal(t, "registered", g.namespace("/game-*"), `{"registered":["orders"]}`)
	enter := func(namespace, pattern string, wait time.Duration) *contract.Admission {
		subject, err := g.con.Use(namespace, "orders")
		must(t, err)
		msg := nats.NewMsg(subject)
		msg.Data = []byte(`{}`)
		reply, err := g.nc.RequestMsg(under(pattern, msg), wait)
		if err != nil {
			return nil
		}
		var a contract.Admission
		must(t, json.Unmarshal(reply.Data, &a))
		return &a
	}
	if a := enter("/game-1", "game-=2A", patience); a == nil || !a.OK || a.Name != "/game-1" {
		t.Errorf("admitted: %+v", a)
	}
	if a := enter("/other", "", 100*time.Millisecond); a != nil {
		t.Errorf("somebody else's namespace: answered %+v, want silence", a)
	}
}

func TestSayingToAPattern(t *testing.T) {
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	server := newServer(t, srv.Connect(t))
	ctx := deadline(t)
	games := server.Of("/game-*")
	live, err := g.nc.SubscribeSync("natter.live.>")
	must(t, err)
	must(t, g.nc.Flush())
	must(t, games.To("red").Emit(ctx, "hi"))
	msg, err := live.NextMsgWithContext(ctx)
	must(t, err)
	equal(t, "subject", msg.Subject, "natter.live.game-=2A.room.red")
	g.answer(contract.List, 1, nil, part{gateway: "gw1", payload: `[{"id":"` + socketID("gw1", 1) + `","namespace":"/game-7","rooms":[]}]`})
	sockets, err := games.FetchSockets(ctx)
	must(t, err)
	equal(t, "sockets", len(sockets), 1)
	equal(t, "namespace", sockets[0].Namespace(), "/game-7")
	must(t, sockets[0].Emit(ctx, "you"))
	msg, err = live.NextMsgWithContext(ctx)
	must(t, err)
	equal(t, "subject", msg.Subject, "natter.live.game-7.socket."+socketID("gw1", 1))
}

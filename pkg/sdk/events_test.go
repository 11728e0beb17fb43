package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/pkg/sdk"
)

func TestEventMiddleware(t *testing.T) {
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	server := newServer(t, srv.Connect(t))
	ns := server.Of("/shop")
	ran := make(chan string, 100)
	ns.UseEvents(func(_ context.Context, s *sdk.Socket, event string, args sdk.Args) error {
		ran <- "first " + event
		switch args.String(0) {
		case "no":
			return sdk.Refuse("not you, "+s.User(), map[string]int{"left": 0})
		case "down":
			return errors.New("database down")
		case "panic":
			panic("boom")
		}
		return nil
	})
	ns.UseEvents(func(_ context.Context, _ *sdk.Socket, event string, _ sdk.Args) error {
		ran <- "second " + event
		return nil
	})
	ns.OnAny(func(_ context.Context, _ *sdk.Socket, event string, _ sdk.Args) (sdk.Ack, error) {
		ran <- "any " + event
		return nil, nil
	})
	ns.On("buy", func(context.Context, *sdk.Socket, sdk.Args) (sdk.Ack, error) {
		ran <- "handler"
		return sdk.Ack{"sold"}, nil
	})
	ns.OnConnect(func(context.Context, *sdk.ConnectedSocket) { ran <- "connect" })
	start(t, server)
	must(t, g.nc.Flush())

	replies := make(chan *nats.Msg, 16)
	inbox := g.nc.NewInbox()
	sub, err := g.nc.ChanSubscribe(inbox, replies)
	must(t, err)
	t.Cleanup(func() { _ = sub.Unsubscribe() })
	g.say("/shop", "connect", socketID("gw1", 1), `["connect",{}]`)
	equal(t, "life", receive(t, ran), "connect")
	for _, arg := range []string{"down", "panic", "no", "yes"} {
		msg := g.event("/shop", "buy", socketID("gw1", 1), `["buy","`+arg+`"]`)
		msg.Header.Set(contract.HeaderUser, "u1")
		msg.Reply = inbox
		must(t, g.nc.PublishMsg(msg))
	}
	equal(t, "refusal", string(receive(t, replies).Data), `[{"ok":false,"code":"forbidden","message":"not you, u1","data":{"left":0}}]`)
	equal(t, "ack", string(receive(t, replies).Data), `["sold"]`)
	var order []string
	for range 10 {
		order = append(order, receive(t, ran))
	}
	if want := []string{"any buy", "first buy", "any buy", "first buy", "any buy", "first buy", "any buy", "first buy", "second buy", "handler"}; !slices.Equal(order, want) {
		t.Errorf("ran %q, want %q", order, want)
	}
	equal(t, "failed", server.Stats().Failed, 2)
	equal(t, "panics", server.Stats().Panics, 1)
}

// What has no handler here is told to the middlewares, and left to others to answer.
func TestEventMiddlewareWithoutHandler(t *testing.T) {
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	ran := make(chan string, 100)
	strict := newServer(t, srv.Connect(t), func(o *sdk.Options) { o.Name, o.ErrorDetail = "strict", true })
	shop := strict.Of("/shop")
	shop.UseEvents(func(_ context.Context, _ *sdk.Socket, event string, _ sdk.Args) error {
		ran <- event
		if event == "broken" {
			return errors.New("database down")
		}
		return sdk.Refuse("no", nil)
	})
	shop.On("buy", func(context.Context, *sdk.Socket, sdk.Args) (sdk.Ack, error) { return sdk.Ack{"sold"}, nil })
	start(t, strict)
	other := newServer(t, srv.Connect(t), func(o *sdk.Options) { o.Name = "other" })
	other.Of("/shop").On("look", func(context.Context, *sdk.Socket, sdk.Args) (sdk.Ack, error) {
		return sdk.Ack{"goods", receive(t, ran)}, nil // only when the middleware had its chance
	})
	start(t, other)
	must(t, g.nc.Flush())
	equal(t, "another service's event", string(g.request(g.event("/shop", "look", socketID("gw1", 1), `["look"]`)).Data), `["goods","look"]`)
	g.say("/shop", "broken", socketID("gw1", 1), `["broken"]`)
	equal(t, "an event that nobody handles", receive(t, ran), "broken")
	equal(t, "its own", string(g.request(g.event("/shop", "buy", socketID("gw1", 1), `["buy"]`)).Data), `[{"ok":false,"code":"forbidden","message":"no"}]`)
	equal(t, "failed", strict.Stats().Failed, 1)
}

func TestAnyOutgoing(t *testing.T) {
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	server := newServer(t, srv.Connect(t))
	ctx := deadline(t)
	var said []string
	var binary []byte
	server.OnAnyOutgoing(func(ctx context.Context, o sdk.Outgoing) {
		said = append(said, fmt.Sprintln(o.Kind, o.Namespace, o.Rooms, o.Except, o.Event, raws(o.Args), ctx != nil))
		binary = append(binary, o.Args.Bytes(0)...)
	})
	g.answer(contract.Ask, 1, nil, part{gateway: "gw1", payload: `[]`})
	must(t, server.Emit(ctx, "a", 1, "x"))
	_, err := server.Of("/shop").To("red").Except("blue").Post(ctx, "b")
	must(t, err)
	must(t, server.Volatile().Emit(ctx, "c", []byte("bin")))
	_, err = server.EmitWithAck(ctx, "d", true)
	must(t, err)
	if err := server.Emit(ctx, "connect"); !errors.Is(err, sdk.ErrReservedEvent) {
		t.Errorf("%v", err)
	}
	want := []string{
		"emit / [] [] a [1 \"x\"] true\n", "post /shop [red] [blue] b [] true\n", "volatile / [] [] c [{\"_placeholder\":true,\"num\":0}] true\n", "ask / [] [] d [true] true\n",
	}
	if !slices.Equal(said, want) {
		t.Errorf("said %q, want %q", said, want)
	}
	equal(t, "binary", string(binary), "bin")
}

// raws are arguments as JSON.
func raws(args sdk.Args) []string {
	all := make([]string, args.Len())
	for i := range all {
		all[i] = string(args.Raw(i))
	}
	return all
}

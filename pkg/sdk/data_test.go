package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/pkg/sdk"
)

// What a gateway says of the socket's data is there wherever an event is handled.
func TestDataInEveryHandler(t *testing.T) {
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	server := newServer(t, srv.Connect(t))
	ns := server.Of("/")
	said := make(chan string, 16)
	tell := func(where string, s *sdk.Socket) {
		var data *struct{ Seat int }
		switch err := s.Data(&data); {
		case err != nil:
			said <- fmt.Sprint(where, " ", errors.Is(err, sdk.ErrDataElsewhere))
		case data == nil:
			said <- where + " none"
		default:
			said <- fmt.Sprint(where, " ", data.Seat)
		}
	}
	ns.UseEvents(func(_ context.Context, s *sdk.Socket, _ string, _ sdk.Args) error { tell("use", s); return nil })
	ns.OnAny(func(_ context.Context, s *sdk.Socket, _ string, _ sdk.Args) (sdk.Ack, error) {
		tell("any", s)
		return nil, nil
	})
	ns.On("x", func(_ context.Context, s *sdk.Socket, _ sdk.Args) (sdk.Ack, error) { tell("on", s); return nil, nil })
	ns.OnConnect(func(_ context.Context, s *sdk.ConnectedSocket) { tell("connect", s.Socket) })
	ns.OnDisconnecting(func(_ context.Context, s *sdk.Socket, _ string, _ []string) { tell("disconnecting", s) })
	ns.OnDisconnect(func(_ context.Context, s *sdk.Socket, _ string) { tell("disconnect", s) })
	start(t, server)
	socket := socketID("gw1", 3)
	publish := func(event, payload string, header ...string) {
		msg := g.event("/", event, socket, payload)
		for i := 0; i+1 < len(header); i += 2 {
			msg.Header.Set(header[i], header[i+1])
		}
		must(t, g.nc.PublishMsg(msg))
	}
	data := []string{contract.HeaderData, `{"seat":7}`}
	publish("connect", `["connect",{"rooms":[],"data":{"seat":6},"handshake":{},"recovered":false}]`)
	publish("x", `["x"]`, data...)
	publish("x", `["x"]`)
	publish("x", `["x"]`, contract.HeaderDataSize, "20000")
	publish("disconnecting", `["disconnecting","transport close",[]]`, data...)
	publish("disconnect", `["disconnect","transport close"]`, data...)
	for _, want := range []string{
		"connect 6", "any 7", "use 7", "on 7", "any none", "use none", "on none", "any true", "use true", "on true", "disconnecting 7", "disconnect 7",
	} {
		equal(t, "data", receive(t, said), want)
	}
}

// What a handler sets is there for those after it.
func TestSetDataIsThereAtOnce(t *testing.T) {
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	server := newServer(t, srv.Connect(t))
	ns := server.Of("/")
	ns.UseEvents(func(ctx context.Context, s *sdk.Socket, _ string, args sdk.Args) error {
		return s.SetData(ctx, map[string]string{"name": args.String(0)})
	})
	ns.On("login", func(ctx context.Context, s *sdk.Socket, _ sdk.Args) (sdk.Ack, error) {
		var first, second any
		err := s.Data(&first)
		if err == nil {
			err = s.Timeout(1).SetData(ctx, nil) // a copy is the same socket
		}
		err = errors.Join(err, s.Data(&second))
		tooLarge := s.SetData(ctx, strings.Repeat("x", contract.MaxData))
		return sdk.Ack{first, second, errors.Is(tooLarge, sdk.ErrDataTooLarge)}, err
	})
	start(t, server)
	msg := g.event("/", "login", socketID("gw1", 1), `["login","Ann"]`)
	msg.Header.Set(contract.HeaderDataSize, "20000")
	equal(t, "ack", string(g.request(msg).Data), `[{"name":"Ann"},null,true]`)
}

func TestFetch(t *testing.T) {
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	server := newServer(t, srv.Connect(t))
	here, gone := socketID("gw1", 1), socketID("gw2", 2)
	requests := make(chan *nats.Msg, 16)
	sub, err := g.nc.Subscribe("natter.list._.socket.gw1.*", func(m *nats.Msg) {
		requests <- m
		reply := nats.NewMsg(m.Reply)
		reply.Header.Set(contract.HeaderGateway, "gw1")
		reply.Header.Set(contract.HeaderGateways, "1")
		reply.Data = []byte("[]")
		if strings.HasSuffix(m.Subject, here) {
			reply.Data = []byte(`[{"id":"` + here + `","user":"u1","rooms":["red"],"data":{"a":1},"handshake":{"address":"10.0.0.1:5"}}]`)
		}
		if err := m.RespondMsg(reply); err != nil {
			t.Error(err)
		}
	})
	must(t, err)
	t.Cleanup(func() { _ = sub.Unsubscribe() })
	server.Of("/").On("fetch", func(ctx context.Context, s *sdk.Socket, _ sdk.Args) (sdk.Ack, error) {
		if err := s.Join(ctx, "red"); err != nil {
			return nil, err
		}
		remote, err := s.Fetch(ctx)
		if errors.Is(err, sdk.ErrNoSocket) {
			return sdk.Ack{"gone"}, nil
		}
		if err != nil {
			return nil, err
		}
		var auth, data any
		if err := remote.Auth(&auth); !errors.Is(err, sdk.ErrNoAuth) {
			t.Errorf("auth: %v, %v", auth, err)
		}
		err = remote.Data(&data)
		return sdk.Ack{remote.ID(), remote.User(), remote.Rooms(), remote.Handshake().Address, data}, err
	})
	start(t, server)
	reply := g.request(g.event("/", "fetch", here, `["fetch"]`))
	equal(t, "fetched", string(reply.Data), `["`+here+`","u1",["red"],"10.0.0.1:5",{"a":1}]`)
	if receive(t, requests).Header.Get(contract.HeaderAfter) == "" {
		t.Error("it was not asked for what is after the join")
	}
	for name, id := range map[string]string{"client": socketID("gw1", 9), "gateway": gone} {
		equal(t, "a "+name+" that is gone", string(g.request(g.event("/", "fetch", id, `["fetch"]`)).Data), `["gone"]`)
	}
}

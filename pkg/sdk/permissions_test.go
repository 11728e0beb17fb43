package sdk_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/provision"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/pkg/sdk"
)

// The permissions in the README are enough for everything that a server does.
func TestPermissions(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	must(t, err)
	_, rest, _ := strings.Cut(string(readme), "```hcl\n")
	permissions, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("README.md has no block of permissions")
	}
	config := filepath.Join(t.TempDir(), "nats.conf")
	must(t, os.WriteFile(config, []byte(`authorization { users: [
		{ user: gateway, password: g }
		{ user: orders, password: o, `+permissions+` }
	] }`), 0o600))
	srv := natstest.Run(t, natstest.WithConfigFile(config))
	gatewayConn := srv.Connect(t, nats.UserInfo("gateway", "g"))
	js, err := jetstream.New(gatewayConn)
	must(t, err)
	storage := provision.Storage{Replicas: 1, MaxBytes: -1}
	_, err = provision.Main(deadline(t), js, contract.Subjects{}, time.Hour, time.Minute, storage)
	must(t, err)
	kv, err := provision.Namespaces(deadline(t), js, contract.Subjects{}, storage)
	must(t, err)
	_, err = kv.PutString(deadline(t), "shop", `{}`)
	must(t, err)
	g := &gateway{t: t, nc: gatewayConn, js: js, kv: kv}

	refused := make(chan error, 16)
	nc := srv.Connect(t, nats.UserInfo("orders", "o"), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
	server := newServer(t, nc, func(o *sdk.Options) { o.NoMicro = true })
	shop := server.Of("/shop", contract.Namespace{Ordered: "orders"})
	shop.Use(func(context.Context, *sdk.Client) error { return nil })
	shop.OnRoom(func(context.Context, sdk.RoomEvent) {})
	shop.On("order", func(ctx context.Context, s *sdk.Socket, _ sdk.Args) (sdk.Ack, error) {
		if err := s.Join(ctx, "x"); err != nil {
			return nil, err
		}
		id, err := shop.To("x").Post(ctx, "ordered")
		if err == nil {
			err = shop.Volatile().Emit(ctx, "seen")
		}
		return sdk.Ack{id}, err
	})
	shop.OnServerSide("x", func(context.Context, string, sdk.Args) (sdk.Ack, error) { return sdk.Ack{}, nil })
	micro := newServer(t, nc) // announces itself
	shopOfMicro := micro.Of("/shop")
	start(t, micro)
	start(t, server)
	equal(t, "registered", g.namespace("/shop"), `{"ordered":"orders","registered":["orders"],"roomEvents":true}`)
	alive, err := gatewayConn.SubscribeSync("natter.alive.orders." + server.ID())
	must(t, err)
	must(t, gatewayConn.Flush())
	taken, err := gatewayConn.Request("natter.take.shop.orders", []byte(`{}`), patience)
	must(t, err)
	equal(t, "taken", string(taken.Data), `{"instance":"`+server.ID()+`"}`)
	_, err = alive.NextMsg(patience)
	must(t, err)
	must(t, alive.Unsubscribe())
	if a := g.enter("/shop", "orders", `{}`, patience); a == nil || !a.OK {
		t.Errorf("entry: %+v", a)
	}
	ack := string(g.request(g.event("/shop", "order", socketID("gw1", 1), `["order"]`)).Data)
	if !strings.HasSuffix(ack, `-2"]`) {
		t.Errorf("ack %s, want the id of the second message", ack)
	}
	g.answer(contract.List, 1, nil, part{gateway: "gw1", payload: `[]`})
	g.answer(contract.Ask, 1, nil, part{gateway: "gw1", payload: `[]`})
	_, err = shop.FetchSockets(deadline(t))
	must(t, err)
	_, err = shop.EmitWithAck(deadline(t), "q")
	must(t, err)
	must(t, shop.ServerSideEmit(deadline(t), "x"))
	var answers []sdk.Answer
	for limit := 300 * time.Millisecond; len(answers) == 0 && limit < patience; limit *= 5 { // a busy machine answers later
		soon, cancel := context.WithTimeout(t.Context(), limit)
		answers, err = shopOfMicro.ServerSideEmitWithAck(soon, "x")
		cancel()
		must(t, err)
	}
	equal(t, "other instances", len(answers), 1)
	_, err = gatewayConn.Request("$SRV.PING.orders", nil, patience)
	must(t, err)
	must(t, nc.Flush())
	select {
	case err := <-refused:
		t.Errorf("NATS refused: %v", err)
	default:
	}
	// Nothing more than that: a service cannot speak for gateways.
	must(t, nc.Publish("natter.on.shop.order."+socketID("gw1", 1), []byte(`["order"]`)))
	must(t, nc.Publish("natter.live.shop.all", []byte(`["forged"]`)))
	must(t, nc.Flush())
	for range 2 {
		if err := receive(t, refused); !strings.Contains(strings.ToLower(err.Error()), "permissions violation") {
			t.Errorf("%v, want a permissions violation", err)
		}
	}
}

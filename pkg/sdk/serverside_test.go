package sdk_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/pkg/sdk"
)

func TestServerSideEmit(t *testing.T) {
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	type hearing struct{ who, from, text string }
	heard := make(chan hearing, 100)
	instance := func(name string) *sdk.Server {
		server := newServer(t, srv.Connect(t), func(o *sdk.Options) { o.Name = name })
		server.OnServerSide("reload prices", func(_ context.Context, from string, args sdk.Args) (sdk.Ack, error) {
			heard <- hearing{server.ID(), from, args.String(0)}
			return sdk.Ack{name, args.Bytes(1)}, nil
		})
		server.Of("/shop").OnServerSide("only shop", func(_ context.Context, from string, _ sdk.Args) (sdk.Ack, error) {
			heard <- hearing{server.ID(), from, "shop"}
			return nil, sdk.Refuse("not now", nil)
		})
		server.OnServerSide("fail", func(context.Context, string, sdk.Args) (sdk.Ack, error) { return nil, errors.New("database down") })
		start(t, server)
		return server
	}
	one, two, other := instance("orders"), instance("orders"), instance("billing")
	for _, s := range []*sdk.Server{one, two, other} {
		if s.ID() == "" {
			t.Fatal("an instance without an id")
		}
	}
	must(t, g.nc.Flush())
	hears := func(want ...hearing) {
		t.Helper()
		var got []hearing
		for range want {
			got = append(got, receive(t, heard))
		}
		for _, w := range want {
			if !slices.Contains(got, w) {
				t.Errorf("heard %v, want %v", got, want)
			}
		}
	}
	ctx := deadline(t)
	// All but the one who says it, whatever the service.
	must(t, one.ServerSideEmit(ctx, "reload prices", "now", []byte("b")))
	hears(hearing{two.ID(), one.ID(), "now"}, hearing{other.ID(), one.ID(), "now"})
	must(t, other.Of("/shop").ServerSideEmit(ctx, "only shop"))
	hears(hearing{one.ID(), other.ID(), "shop"}, hearing{two.ID(), other.ID(), "shop"})
	// A person with the nats command.
	must(t, g.nc.Publish("natter.server._.reload=20prices", []byte(`["reload prices","by hand"]`)))
	hears(hearing{one.ID(), "", "by hand"}, hearing{two.ID(), "", "by hand"}, hearing{other.ID(), "", "by hand"})

	// asks waits for answers no longer than a quiet machine needs, and again for longer if there are too few.
	asks := func(ask func(context.Context) ([]sdk.Answer, error), want ...hearing) []sdk.Answer {
		t.Helper()
		for limit := 300 * time.Millisecond; ; limit *= 10 {
			limited, cancel := context.WithTimeout(ctx, limit)
			answers, err := ask(limited)
			cancel()
			must(t, err)
			hears(want...)
			if len(answers) >= len(want) || limit > time.Second {
				return answers
			}
		}
	}
	answers := asks(func(ctx context.Context) ([]sdk.Answer, error) {
		return one.ServerSideEmitWithAck(ctx, "reload prices", "ask", []byte("bin"))
	}, hearing{two.ID(), one.ID(), "ask"}, hearing{other.ID(), one.ID(), "ask"})
	got := map[string]string{}
	for _, a := range answers {
		got[a.ID] = a.Args.String(0)
		if !bytes.Equal(a.Args.Bytes(1), []byte("bin")) {
			t.Errorf("instance %s answered %q", a.ID, a.Args.Bytes(1))
		}
	}
	if len(answers) != 2 || got[two.ID()] != "orders" || got[other.ID()] != "billing" {
		t.Errorf("answers %v", got)
	}
	answers = asks(func(ctx context.Context) ([]sdk.Answer, error) {
		return one.Of("/shop").ServerSideEmitWithAck(ctx, "only shop")
	}, hearing{two.ID(), one.ID(), "shop"}, hearing{other.ID(), one.ID(), "shop"})
	equal(t, "refusals", len(answers), 2)
	equal(t, "refusal", string(answers[0].Args.Raw(0)), `{"ok":false,"code":"forbidden","message":"not now"}`)
	answers, err := two.ServerSideEmitWithAck(ctx, "nobody handles this")
	must(t, err)
	equal(t, "answers of nobody", len(answers), 0)
	limited, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	answers, err = two.ServerSideEmitWithAck(limited, "fail")
	must(t, err)
	equal(t, "answers of who fails", len(answers), 0)
}

func TestServerSideErrors(t *testing.T) {
	srv := natstest.Run(t)
	server := newServer(t, srv.Connect(t))
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := server.ServerSideEmit(gone, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if _, err := server.ServerSideEmitWithAck(gone, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	for _, event := range []string{"connect", "disconnect"} {
		if err := server.ServerSideEmit(t.Context(), event); !errors.Is(err, sdk.ErrReservedEvent) {
			t.Errorf("%s: %v", event, err)
		}
	}
	server.OnServerSide(string(bytes.Repeat([]byte("."), 100)), nil)
	if err := server.Start(t.Context()); err == nil {
		t.Error("an event whose name is too long was accepted")
	}
}

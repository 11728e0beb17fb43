package sdk_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/pkg/sdk"
)

func TestStartSaysWhatIsServed(t *testing.T) {
	srv := natstest.Run(t)
	newGateway(t, srv)
	var said logged
	server := newServer(t, srv.Connect(t), func(o *sdk.Options) { o.Log = slog.New(slog.NewTextHandler(&said, nil)) })
	server.Of("/shop")
	server.Of("/game-*")
	server.Of(`/^\/dyn-\d+$/`)
	server.AllowRequest(func(context.Context, contract.Handshake) error { return nil })
	start(t, server)
	for _, want := range []string{
		`level=WARN msg="a namespace whose name looks like a regular expression: it stands for itself alone; use a pattern, /game-*, or OfFunc"`,
		`level=INFO msg="namespaces are registered" service=orders namespaces="[/^\\/dyn-\\d+$/ /game-* /shop]"`,
		`level=INFO msg="who may connect is asked by gateways whose setting allowRequest names this service; all others let everybody connect" service=orders allowRequest=orders`,
	} {
		if log := said.String(); strings.Count(log, want) != 1 {
			t.Errorf("not said once: %s\nbut:\n%s", want, log)
		}
	}
	if log := said.String(); strings.Count(log, "regular expression") != 1 {
		t.Errorf("warned of names that are none:\n%s", log)
	}
}

// A service that starts before the first gateway is nothing to worry about, unless no gateway comes.
func TestAServiceMayStartBeforeTheFirstGateway(t *testing.T) {
	t.Parallel()
	for _, comes := range []bool{true, false} {
		srv := natstest.Run(t)
		var said logged
		server := newServer(t, srv.Connect(t), func(o *sdk.Options) { o.Log = slog.New(slog.NewTextHandler(&said, nil)) })
		server.Of("/shop")
		start(t, server)
		want := `level=WARN msg="namespaces are not registered yet, trying on" service=orders error="nats: bucket not found: a gateway makes the bucket NATTER_NAMESPACES when it starts"`
		if comes {
			newGateway(t, srv)
			want = `level=INFO msg="namespaces are registered"`
		}
		eventually(t, want, func() bool { return strings.Contains(said.String(), want) })
		if log := said.String(); comes && strings.Contains(log, "level=WARN") {
			t.Errorf("a gateway came, and yet:\n%s", log)
		}
	}
}

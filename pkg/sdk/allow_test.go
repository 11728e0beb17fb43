package sdk_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/pkg/sdk"
)

func TestAllowRequest(t *testing.T) {
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	server := newServer(t, srv.Connect(t))
	var past atomic.Int32 // who came past the first filter
	server.AllowRequest(func(_ context.Context, h contract.Handshake) error {
		switch h.Address {
		case "evil":
			return sdk.Refuse("not you", map[string]int{"a": 1})
		case "":
			return errors.New("no database")
		case "panic":
			panic("at the door")
		}
		return nil
	})
	server.AllowRequest(func(_ context.Context, h contract.Handshake) error {
		past.Add(1)
		if h.Query["beta"] == "" {
			return sdk.Refuse("beta only", nil)
		}
		return nil
	})
	start(t, server)
	for payload, want := range map[string]string{
		`{"handshake":{"address":"evil"}}`:                      `{"ok":false,"message":"not you"}`,
		`{"handshake":{"address":"good"}}`:                      `{"ok":false,"message":"beta only"}`,
		`{"handshake":{"address":"good","query":{"beta":"1"}}}`: `{"ok":true}`,
	} {
		reply, err := g.nc.Request("natter.allow.orders", []byte(payload), patience)
		must(t, err)
		equal(t, payload, string(reply.Data), want)
	}
	equal(t, "past the first", past.Load(), 2)
	// Without an answer nobody gets in.
	for _, payload := range []string{`{"handshake":{}}`, `{"handshake":{"address":"panic"}}`, `hello`} {
		if reply, err := g.nc.Request("natter.allow.orders", []byte(payload), 200*time.Millisecond); !errors.Is(err, nats.ErrTimeout) {
			t.Errorf("%s: %+v, %v", payload, reply, err)
		}
	}
	stats := server.Stats()
	eventually(t, "failures are counted", func() bool { stats = server.Stats(); return stats.Failed == 2 && stats.Malformed == 1 })
	defer func() {
		if recover() == nil {
			t.Error("AllowRequest after Start does not panic")
		}
	}()
	server.AllowRequest(nil)
}

// A server without filters does not hear the question, so that NATS says at once that nobody does.
func TestNobodyDecides(t *testing.T) {
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	start(t, newServer(t, srv.Connect(t)))
	if _, err := g.nc.Request("natter.allow.orders", []byte(`{"handshake":{}}`), patience); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("%v", err)
	}
}

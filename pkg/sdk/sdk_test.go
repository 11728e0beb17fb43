package sdk_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/provision"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/pkg/sdk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// gateway does by hand, on the subjects of the contract, what a gateway does.
type gateway struct {
	t   testing.TB
	nc  *nats.Conn
	js  jetstream.JetStream
	kv  jetstream.KeyValue
	con contract.Subjects
}

func newGateway(t testing.TB, srv *natstest.Server, opts ...nats.Option) *gateway {
	t.Helper()
	nc := srv.Connect(t, opts...)
	js, err := jetstream.New(nc)
	must(t, err)
	g := &gateway{t: t, nc: nc, js: js}
	ctx := deadline(t)
	storage := provision.Storage{Replicas: 1, MaxBytes: -1}
	_, err = provision.Main(ctx, js, g.con, time.Hour, time.Minute, storage)
	must(t, err)
	g.kv, err = provision.Namespaces(ctx, js, g.con, storage)
	must(t, err)
	return g
}

// socketID is a socket's id at a gateway.
func socketID(gateway string, n int) string { return fmt.Sprintf("%s.%020d", gateway, n) }

func (g *gateway) event(namespace, event, socket string, payload string) *nats.Msg {
	g.t.Helper()
	subject, err := g.con.On(namespace, event, socket)
	must(g.t, err)
	msg := nats.NewMsg(subject)
	msg.Data = []byte(payload)
	return msg
}

// say publishes an event that wants no ack.
func (g *gateway) say(namespace, event, socket string, payload string) {
	g.t.Helper()
	must(g.t, g.nc.PublishMsg(g.event(namespace, event, socket, payload)))
}

// request publishes an event that wants an ack and returns it.
func (g *gateway) request(msg *nats.Msg) *nats.Msg {
	g.t.Helper()
	reply, err := g.nc.RequestMsgWithContext(deadline(g.t), msg)
	must(g.t, err)
	return reply
}

// enter asks a middleware; nil if it does not answer within wait.
func (g *gateway) enter(namespace, middleware, auth string, wait time.Duration) *contract.Admission {
	g.t.Helper()
	subject, err := g.con.Use(namespace, middleware)
	must(g.t, err)
	entry, err := json.Marshal(contract.Entry{
		ID: socketID("gw1", 1), Namespace: namespace,
		Handshake: contract.Handshake{Address: "127.0.0.1:5000", Auth: json.RawMessage(auth)},
	})
	must(g.t, err)
	reply, err := g.nc.Request(subject, entry, wait)
	if err != nil {
		return nil
	}
	var a contract.Admission
	must(g.t, json.Unmarshal(reply.Data, &a))
	return &a
}

// namespace is what the bucket holds.
func (g *gateway) namespace(name string) string {
	g.t.Helper()
	key, err := contract.EncodeNamespace(name)
	must(g.t, err)
	entry, err := g.kv.Get(deadline(g.t), key)
	if err != nil {
		return err.Error()
	}
	return string(entry.Value())
}

// newServer makes a server that logs to the test.
func newServer(t testing.TB, nc *nats.Conn, change ...func(*sdk.Options)) *sdk.Server {
	t.Helper()
	opts := sdk.Options{Name: "orders", Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	for _, c := range change {
		c(&opts)
	}
	server, err := sdk.New(nc, opts)
	must(t, err)
	return server
}

// start starts the server and stops it with the test.
func start(t testing.TB, server *sdk.Server) {
	t.Helper()
	must(t, server.Start(deadline(t)))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := server.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
}

func deadline(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n got %v\nwant %v", what, got, want)
	}
}

// receive takes the next value or fails.
func receive[T any](t testing.TB, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(patience):
		t.Fatal("nothing came")
	}
	return v
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

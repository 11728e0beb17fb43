package sdk_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/provision"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/pkg/sdk"
)

func TestMiddleware(t *testing.T) {
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	server := newServer(t, srv.Connect(t))
	expires := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	var auth struct{ Token string }
	ns := server.Of("/admin")
	ns.Use(func(_ context.Context, c *sdk.Client) error {
		if err := c.Auth(&auth); err != nil {
			return err
		}
		switch auth.Token {
		case "bad":
			return sdk.Refuse("wrong token", map[string]string{"code": "E1"})
		case "down":
			return errors.New("database down")
		case "panic":
			panic("boom")
		case "unencodable":
			c.SetData(func() {})
		}
		c.SetUser("u1", "Ann <a@b>")
		c.Grant("admin")
		return nil
	})
	ns.Use(func(_ context.Context, c *sdk.Client) error {
		if c.Namespace() != "/admin" || c.Handshake().Address != "127.0.0.1:5000" || c.ID() != socketID("gw1", 1) {
			return sdk.Refuse("not as it was sent", nil)
		}
		if auth.Token == "good" {
			c.Join("red", "blue")
			c.SetData(map[string]int{"a": 1})
			c.ExpireAt(expires)
		}
		return nil
	})
	ns.UseAs("second", func(context.Context, *sdk.Client) error { return nil })
	start(t, server)

	a := g.enter("/admin", "orders", `{"token":"good"}`, patience)
	if a == nil || !a.OK || a.User != "u1" || a.Name != "Ann <a@b>" || !slices.Equal(a.Roles, []string{"admin"}) ||
		!slices.Equal(a.Rooms, []string{"red", "blue"}) || string(a.Data) != `{"a":1}` || !a.Expires.Equal(expires) {
		t.Errorf("admitted: %+v", a)
	}
	a = g.enter("/admin", "orders", `{"token":"bad"}`, patience)
	if a == nil || a.OK || a.Message != "wrong token" || string(a.Data) != `{"code":"E1"}` || a.User != "" {
		t.Errorf("refused: %+v", a)
	}
	a = g.enter("/admin", "orders", `[]`, patience)
	if a == nil || a.OK || a.Message != "auth cannot be read" {
		t.Errorf("auth of another form: %+v", a)
	}
	a = g.enter("/admin", "second", `{}`, patience)
	if a == nil || !a.OK || a.User != "" {
		t.Errorf("the second middleware: %+v", a)
	}
	for _, token := range []string{"down", "panic", "unencodable"} {
		if a := g.enter("/admin", "orders", `{"token":"`+token+`"}`, 100*time.Millisecond); a != nil {
			t.Errorf("%s: answered %+v, want silence", token, a)
		}
	}
	eventually(t, "failures are counted", func() bool { return server.Stats().Failed == 3 })
}

func TestRegister(t *testing.T) {
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	ctx := deadline(t)
	_, err := g.kv.PutString(ctx, "chat", `{"use":["auth"],"guests":true,"future":{"x":1}}`)
	must(t, err)
	_, err = g.kv.PutString(ctx, "done", `{"use":["orders","auth"]}`)
	must(t, err)
	_, err = g.kv.PutString(ctx, "plain", `{"registered":["first"],"events":{"x":{"action":"refuse"}}}`)
	must(t, err)

	server := newServer(t, srv.Connect(t))
	admit := func(context.Context, *sdk.Client) error { return nil }
	server.Of("/admin", contract.Namespace{Role: "admin"}).Use(admit)
	for _, name := range []string{"/chat", "/done", "/plain"} {
		server.Of(name).Use(admit)
	}
	server.Of("/")
	server.Of("/a b")
	start(t, server)
	server.Of("/late") // only for emitting
	for name, want := range map[string]string{
		"/admin": `{"registered":["orders"],"role":"admin"}`,
		"/chat":  `{"future":{"x":1},"guests":true,"registered":["orders"],"use":["auth"]}`,
		"/done":  `{"use":["orders","auth"]}`,
		"/plain": `{"events":{"x":{"action":"refuse"}},"registered":["first","orders"]}`,
		"/":      `{}`,
		"/a b":   `{}`,
		"/late":  jetstream.ErrKeyNotFound.Error(),
	} {
		equal(t, name, g.namespace(name), want)
	}
}

// Many services that add themselves at the same time lose none.
func TestRegisterConcurrently(t *testing.T) {
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	names := []string{"a", "b", "c", "d", "e", "f"}
	started := make(chan error, len(names))
	for _, name := range names {
		server := newServer(t, srv.Connect(t), func(o *sdk.Options) { o.Name = name })
		server.Of("/x").Use(func(context.Context, *sdk.Client) error { return nil })
		t.Cleanup(func() { must(t, server.Stop(context.Background())) })
		go func() { started <- server.Start(context.Background()) }()
	}
	for range names {
		must(t, receive(t, started))
	}
	var got contract.Namespace
	eventually(t, "all registered", func() bool {
		must(t, json.Unmarshal([]byte(g.namespace("/x")), &got))
		return len(got.Registered) == len(names)
	})
	slices.Sort(got.Registered)
	if !slices.Equal(got.Registered, names) {
		t.Errorf("registered %q, want %q", got.Registered, names)
	}
}

// A service may start before the first gateway.
func TestRegisterLater(t *testing.T) {
	srv := natstest.Run(t)
	server := newServer(t, srv.Connect(t))
	server.Of("/x")
	start(t, server)
	js, err := jetstream.New(srv.Connect(t))
	must(t, err)
	kv, err := provision.Namespaces(deadline(t), js, contract.Subjects{}, provision.Storage{Replicas: 1, MaxBytes: -1})
	must(t, err)
	eventually(t, "the namespace registered", func() bool {
		_, err := kv.Get(deadline(t), "x")
		return err == nil
	})
}

// A configuration that is not readable is left alone, and the other namespaces are registered.
func TestRegisterBesideMalformed(t *testing.T) {
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	for _, key := range []string{"a", "b", "c"} {
		_, err := g.kv.PutString(deadline(t), key, `[1]`)
		must(t, err)
	}
	server := newServer(t, srv.Connect(t))
	for _, name := range []string{"/a", "/b", "/c", "/d"} {
		server.Of(name).Use(func(context.Context, *sdk.Client) error { return nil })
	}
	start(t, server)
	equal(t, "/a", g.namespace("/a"), `[1]`)
	equal(t, "/d", g.namespace("/d"), `{"registered":["orders"]}`)
}

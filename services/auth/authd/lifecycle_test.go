package authd

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/services/auth/internal/middleware"
)

// told collects what [OnFirstAdmin] is told.
type told struct {
	mu        sync.Mutex
	passwords []string
}

func (f *told) option() Option {
	return OnFirstAdmin(func(name, password string) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.passwords = append(f.passwords, name+" "+password)
	})
}

// last returns the latest password, of as many as there must be.
func (f *told) last(t *testing.T, want int) string {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.passwords) != want {
		t.Fatalf("%d passwords were told, want %d", len(f.passwords), want)
	}
	password, ok := strings.CutPrefix(f.passwords[want-1], "admin ")
	if !ok || len(password) < 20 {
		t.Fatalf("told was %q", f.passwords[want-1])
	}
	return password
}

// reissue signs a token's claims again, as if it had been issued at another time.
func reissue(t *testing.T, js jetstream.JetStream, token string, issued time.Time) string {
	t.Helper()
	kv, err := js.KeyValue(t.Context(), "NATTER_AUTH_KEYS")
	if err != nil {
		t.Fatal(err)
	}
	entry, err := kv.Get(t.Context(), "signing")
	if err != nil {
		t.Fatal(err)
	}
	var stored struct {
		Seed []byte `json:"seed"`
	}
	if err := json.Unmarshal(entry.Value(), &stored); err != nil {
		t.Fatal(err)
	}
	var claims jwt.MapClaims
	parsed, _, err := jwt.NewParser().ParseUnverified(token, &claims)
	if err != nil {
		t.Fatal(err)
	}
	claims["iat"], claims["exp"] = issued.Unix(), issued.Add(12*time.Hour).Unix()
	again := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims)
	again.Header["kid"] = parsed.Header["kid"]
	signed, err := again.SignedString(ed25519.NewKeyFromSeed(stored.Seed))
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestInstancesThatStartTogether(t *testing.T) {
	server := natstest.Run(t)
	var first told
	instances := make([]*instance, 3)
	for i := range instances {
		instances[i] = launch(t, defaults(t, "--nats-url="+server.URL()), first.option())
	}
	for _, i := range instances {
		i.awaitReady()
	}
	c := newClient(t, server)
	session := c.signIn("admin", first.last(t, 1))
	if r := c.ask("users", ""); len(r.Users) != 1 {
		t.Errorf("there are %d users", len(r.Users))
	}
	// Each of them knows the key that signed the token: they answer alone, one after the other.
	for n, i := range instances {
		if a := c.mustEnter(session.Token); !a.OK {
			t.Errorf("with %d instances: %+v", len(instances)-n, a)
		}
		i.stop()
	}
}

// Three copies of everything, and reads that any of them answers: what was just written must be found.
func TestInACluster(t *testing.T) {
	nodes := natstest.Cluster(t, 3)
	var first told
	for _, node := range nodes[:2] {
		launch(t, defaults(t, "--nats-url="+node.URL(), "--replicas=3", "--login-per-name=1000"), first.option())
	}
	c := client{nodes.Connect(t), t}
	c.retry("the middleware", func() error { _, err := c.enter(`{}`, time.Second); return err })
	c.signIn("admin", first.last(t, 1))
	for n := range 20 {
		name := fmt.Sprint("user", n)
		u := c.ask("create", `{"name":"`+name+`","password":"password1"}`)
		if !u.OK {
			t.Fatalf("create: %+v", u)
		}
		token := c.signIn(name, "password1").Token
		if a := c.mustEnter(token); !a.OK {
			t.Errorf("%s right after the creation: %+v", name, a)
		}
		if r := c.ask("delete", `{"user":"`+u.created(t).ID+`"}`); !r.OK {
			t.Fatalf("delete: %+v", r)
		}
	}
	if r := c.ask("users", ""); len(r.Users) != 1 {
		t.Errorf("%d users are left", len(r.Users))
	}
}

func TestRestartKeepsKeyAndAccounts(t *testing.T) {
	server := natstest.Run(t)
	var first told
	before := launch(t, defaults(t, "--nats-url="+server.URL()), first.option()).awaitReady()
	c := newClient(t, server)
	password := first.last(t, 1)
	token := c.signIn("admin", password).Token
	before.stop()
	server.Restart()
	after := launch(t, defaults(t, "--nats-url="+server.URL(), "--admin-password="+adminPassword), first.option()).awaitReady()
	if said := after.log.String(); !strings.Contains(said, "adminPassword is not used") || strings.Contains(said, adminPassword) {
		t.Errorf("of the setting that changes nothing it says: %s", said)
	}
	c.retry("the middleware", func() error { _, err := c.enter(`{}`, time.Second); return err })
	if a := c.mustEnter(token); !a.OK {
		t.Errorf("the token of before: %+v", a)
	}
	c.signIn("admin", first.last(t, 1)) // nobody was told anything again, and the setting changed nothing
}

func TestNATSGoesAwayAndReturns(t *testing.T) {
	server := natstest.Run(t)
	i := start(t, server)
	c := newClient(t, server)
	token := c.signIn("admin", adminPassword).Token
	server.Shutdown()
	for i.Health().Report(t.Context()).Ready {
		time.Sleep(5 * time.Millisecond) // until the service has seen it
	}
	server.Restart()
	c.retry("the middleware", func() error {
		a, err := c.enter(`{"token":"`+token+`"}`, time.Second)
		if err == nil && !a.OK {
			t.Errorf("refused after a restart of NATS: %+v", a)
		}
		return err
	})
	c.signIn("admin", adminPassword)
	if r := i.Health().Report(t.Context()); !r.Ready {
		t.Errorf("not ready after a restart of NATS: %+v", r)
	}
}

func TestWaitsForNATS(t *testing.T) {
	server := natstest.Run(t)
	url := server.URL()
	server.Shutdown()
	cfg := defaults(t, "--nats-url="+url, "--admin-password="+adminPassword)
	cfg.Health.Listen = "127.0.0.1:0"
	i := launch(t, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := i.Health().Ready(ctx); err != nil {
		t.Fatal(err)
	}
	page := func(path string) (int, string) {
		t.Helper()
		r, err := http.Get("http://" + i.Health().Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, string(body)
	}
	if status, body := page("/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "waiting for NATS") {
		t.Errorf("without NATS /readyz says %d %s", status, body)
	}
	if status, _ := page("/healthz"); status != http.StatusOK {
		t.Errorf("without NATS /healthz says %d", status)
	}
	server.Restart()
	i.awaitReady()
	if status, body := page("/readyz"); status != http.StatusOK {
		t.Errorf("with NATS /readyz says %d %s", status, body)
	}
	newClient(t, server).signIn("admin", adminPassword)
	http.DefaultClient.CloseIdleConnections()
}

func TestStopsWhileItWaits(t *testing.T) {
	server := natstest.Run(t)
	url := server.URL()
	server.Shutdown()
	launch(t, defaults(t, "--nats-url="+url)).stop()
}

func TestStopsWhileNATSIsAway(t *testing.T) {
	server := natstest.Run(t)
	i := start(t, server)
	server.Shutdown()
	for i.Health().Report(t.Context()).Checks["nats"] == "ok" {
		time.Sleep(5 * time.Millisecond) // until the service has seen it
	}
	begin := time.Now()
	i.stop()
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("stopping took %s", took)
	}
}

func TestResetAdmin(t *testing.T) {
	server := natstest.Run(t)
	var first told
	i := launch(t, defaults(t, "--nats-url="+server.URL()), first.option()).awaitReady()
	c := newClient(t, server)
	lost := first.last(t, 1)
	token := c.signIn("admin", lost).Token
	id := c.signIn("admin", lost).userID(t)
	js, err := jetstream.New(c.Conn)
	if err != nil {
		t.Fatal(err)
	}
	old := reissue(t, js, token, time.Now().Add(-time.Hour))
	if a := c.mustEnter(old); !a.OK {
		t.Fatalf("a token of an hour ago: %+v", a)
	}
	i.stop()
	launch(t, defaults(t, "--nats-url="+server.URL(), "--reset-admin"), first.option()).awaitReady()
	if r := c.ask("login", `{"name":"admin","password":"`+lost+`"}`); r.Code != "unauthorized" {
		t.Errorf("the lost password: %+v", r)
	}
	session := c.signIn("admin", first.last(t, 2))
	if session.userID(t) != id {
		t.Error("the reset made another user")
	}
	if a := c.mustEnter(session.Token); !a.OK {
		t.Errorf("a token from after the reset: %+v", a)
	}
	if a := c.mustEnter(old); a.OK || a.Message != middleware.MessageReset {
		t.Errorf("a token from before the reset: %+v", a)
	}
}

// What had arrived when the service was told to stop is answered.
func TestStopAnswersWhatHasArrived(t *testing.T) {
	server := natstest.Run(t)
	i := start(t, server, "--hashing-concurrency=1", "--login-per-name=1000")
	c := newClient(t, server)
	inbox := c.NewInbox()
	replies, err := c.SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}
	const requests = 6
	for range requests {
		if err := c.PublishRequest("natter.auth.login", inbox, []byte(`{"name":"admin","password":"`+adminPassword+`"}`)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	i.stop()
	for n := range requests {
		msg, err := replies.NextMsg(5 * time.Second)
		if err != nil || !strings.Contains(string(msg.Data), `"ok":true`) {
			t.Fatalf("reply %d of %d: %v, %v", n+1, requests, msg, err)
		}
	}
	if _, err := c.Request("natter.auth.users", nil, 5*time.Second); err != nats.ErrNoResponders {
		t.Errorf("after the stop: %v; want no responders", err)
	}
}

func TestSettings(t *testing.T) {
	for _, c := range []struct {
		change func(*Config)
		names  string
	}{
		{func(c *Config) { c.Prefix = "a.b" }, "prefix"},
		{func(c *Config) { c.Replicas = 0 }, "replicas"},
		{func(c *Config) { c.TokenLifetime = time.Second }, "tokenLifetime"},
		{func(c *Config) { c.LoginPerName = 0 }, "loginPerName"},
		{func(c *Config) { c.LoginPerAddress = -1 }, "loginPerAddress"},
		{func(c *Config) { c.HashingConcurrency = -1 }, "hashingConcurrency"},
		{func(c *Config) { c.AdminPassword = "geheim" }, "adminPassword"},
	} {
		cfg := defaults(t)
		c.change(&cfg)
		_, err := New(cfg, nil)
		if err == nil || !strings.HasPrefix(err.Error(), c.names+": ") {
			t.Errorf("%s: %v", c.names, err)
		}
		if err != nil && strings.Contains(err.Error(), "geheim") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}

package authd

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/config"
	"github.com/natter-io/natter/pkg/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const adminPassword = "correct horse battery"

// defaults are the settings of a service that is started without any, but for the health pages.
func defaults(t *testing.T, args ...string) Config {
	t.Helper()
	var cfg Config
	if err := config.Load(Name, About, append([]string{"--health-listen="}, args...), &cfg, config.Environ(nil)); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// instance is a running service.
type instance struct {
	*Service
	t    *testing.T
	log  *logbook
	once sync.Once
	end  context.CancelFunc
	done chan error
}

// launch starts an instance without waiting for it.
func launch(t *testing.T, cfg Config, opts ...Option) *instance {
	t.Helper()
	log := &logbook{}
	s, err := New(cfg, slog.New(slog.NewTextHandler(io.MultiWriter(t.Output(), log), &slog.HandlerOptions{Level: slog.LevelDebug})), opts...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	i := &instance{Service: s, t: t, log: log, end: cancel, done: make(chan error, 1)}
	go func() { i.done <- s.Run(ctx) }()
	t.Cleanup(i.stop)
	return i
}

// logbook is what an instance has logged.
type logbook struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// stop ends the instance and waits for its end.
func (i *instance) stop() {
	i.once.Do(func() {
		i.end()
		select {
		case err := <-i.done:
			if err != nil {
				i.t.Errorf("Run: %v", err)
			}
		case <-time.After(20 * time.Second):
			i.t.Error("the service does not stop")
		}
	})
}

func (i *instance) awaitReady() *instance {
	i.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := i.Ready(ctx); err != nil {
		i.t.Fatalf("the service is not ready: %v", err)
	}
	return i
}

// start starts an instance with a known administrator and waits for it.
func start(t *testing.T, server *natstest.Server, args ...string) *instance {
	t.Helper()
	return launch(t, defaults(t, append([]string{"--nats-url=" + server.URL(), "--admin-password=" + adminPassword}, args...)...)).awaitReady()
}

// client asks the service as a gateway or an operator does.
type client struct {
	*nats.Conn
	t *testing.T
}

func newClient(t *testing.T, server *natstest.Server) client { return client{server.Connect(t), t} }

// response is any reply of an endpoint.
type response struct {
	OK      bool            `json:"ok"`
	Code    string          `json:"code"`
	Message string          `json:"message"`
	Token   string          `json:"token"`
	Expires time.Time       `json:"expires"`
	User    json.RawMessage `json:"user"`
	Name    string          `json:"name"`
	Roles   []string        `json:"roles"`
	Users   []user          `json:"users"`
	status  string          // header Nats-Service-Error-Code
	header  string          // header Natter-Error
}

type user struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Roles   []string  `json:"roles"`
	Created time.Time `json:"created"`
}

// userID is the field user as a login has it.
func (r response) userID(t *testing.T) string {
	t.Helper()
	var id string
	if err := json.Unmarshal(r.User, &id); err != nil {
		t.Fatalf("user: %s: %v", r.User, err)
	}
	return id
}

// created is the field user as the creation of one has it.
func (r response) created(t *testing.T) user {
	t.Helper()
	var u user
	if err := json.Unmarshal(r.User, &u); err != nil {
		t.Fatalf("user: %s: %v", r.User, err)
	}
	return u
}

// ask makes a request to natter.auth.<endpoint>.
func (c client) ask(endpoint, request string) response {
	c.t.Helper()
	msg, err := c.Request("natter.auth."+endpoint, []byte(request), 15*time.Second)
	if err != nil {
		c.t.Fatalf("%s %.100s: %v", endpoint, request, err)
	}
	var r response
	if err := json.Unmarshal(msg.Data, &r); err != nil {
		c.t.Fatalf("%s %.100s: %q: %v", endpoint, request, msg.Data, err)
	}
	r.status, r.header = msg.Header.Get("Nats-Service-Error-Code"), msg.Header.Get(contract.HeaderError)
	if r.OK && (r.status != "" || r.header != "") || !r.OK && (r.status == "" || r.header != r.Code || r.Message == "") {
		c.t.Errorf("%s %.100s: the reply %s contradicts its headers %v", endpoint, request, msg.Data, msg.Header)
	}
	if strings.Contains(string(msg.Data), "argon2") {
		c.t.Errorf("%s: the reply shows a password's hash", endpoint)
	}
	return r
}

// signIn returns the reply to a login that must succeed.
func (c client) signIn(name, password string) response {
	c.t.Helper()
	r := c.ask("login", `{"name":"`+name+`","password":"`+password+`"}`)
	if !r.OK {
		c.t.Fatalf("signing in as %s: %s", name, r.Message)
	}
	return r
}

// enter asks the middleware as a gateway does. The error is that of the request.
func (c client) enter(auth string, timeout time.Duration) (contract.Admission, error) {
	c.t.Helper()
	entry, err := json.Marshal(contract.Entry{
		ID: "gw1.abcdefghijABCDEFGH_-", Namespace: "/admin",
		Handshake: contract.Handshake{Time: time.Now(), Address: "192.0.2.1:5000", Auth: json.RawMessage(auth)},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return c.enterRaw(entry, timeout)
}

func (c client) enterRaw(entry []byte, timeout time.Duration) (contract.Admission, error) {
	c.t.Helper()
	msg, err := c.Request("natter.use.admin.auth", entry, timeout)
	if err != nil {
		return contract.Admission{}, err
	}
	var a contract.Admission
	if err := json.Unmarshal(msg.Data, &a); err != nil {
		c.t.Fatalf("the middleware says %q: %v", msg.Data, err)
	}
	return a, nil
}

// mustEnter is enter with an answer.
func (c client) mustEnter(token string) contract.Admission {
	c.t.Helper()
	a, err := c.enter(`{"token":"`+token+`"}`, 15*time.Second)
	if err != nil {
		c.t.Fatalf("the middleware does not answer: %v", err)
	}
	return a
}

// retry repeats a request while nobody answers it.
func (c client) retry(what string, request func() error) {
	c.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := request()
		if err == nil {
			return
		}
		if !errors.Is(err, nats.ErrTimeout) && !errors.Is(err, nats.ErrNoResponders) && !errors.Is(err, nats.ErrDisconnected) || time.Now().After(deadline) {
			c.t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(20 * time.Millisecond) // no responders comes at once
	}
}

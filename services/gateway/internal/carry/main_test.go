package carry

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/services/gateway/internal/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

// silence is the tests' Options.Silence.
const silence = 2 * time.Second

func recv[T any](t testing.TB, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
	}
	panic("unreachable")
}

func wait(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !cond(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// counts is what the metrics are told.
type counts struct {
	mu      sync.Mutex
	results map[string]int
	out, in int
	tunnels int
}

func (c *counts) Carried(result string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.results[result]++
}

func (c *counts) Streams(out, in int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out, c.in = out, in
}

func (c *counts) Tunnels(change int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tunnels += change
}

func (c *counts) result(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.results[name]
}

func (c *counts) streams() [2]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return [2]int{c.out, c.in}
}

// gateway is a carrier that runs. Its sessions are what the handler makes of them; its own HTTP server carries
// every request to the gateway that the query names.
type gateway struct {
	*Carrier
	*counts
	front *httptest.Server
	errs  chan error // what Carry returned
	stop  func()
}

func run(t testing.TB, n *natstest.Server, id string, handler http.HandlerFunc, change ...func(*Options)) *gateway {
	t.Helper()
	g := &gateway{counts: &counts{results: map[string]int{}}, errs: make(chan error, 1000)}
	o := Options{
		Gateway: id, Max: 100, Silence: silence, Alive: func(string) bool { return true },
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Metrics: g.counts,
	}
	for _, f := range change {
		f(&o)
	}
	nc := n.Connect(t, nats.Name(id))
	g.Carrier = New(nc, o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx, &http.Server{Handler: handler, MaxHeaderBytes: 1 << 16}) }()
	limited, release := context.WithTimeout(ctx, patience)
	defer release()
	if err := g.Ready(limited); err != nil {
		t.Fatal(err)
	}
	g.front = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := g.Carry(w, r, r.URL.Query().Get("to"))
		g.errs <- err
		switch {
		case errors.Is(err, transport.ErrNoHolder):
			w.WriteHeader(http.StatusGone)
		case err != nil:
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	var once sync.Once
	g.stop = func() {
		once.Do(func() {
			g.Stop()
			g.front.CloseClientConnections()
			g.front.Close()
			cancel()
			if err := recv(t, "the carrier's end", done); err != nil {
				t.Errorf("Run: %v", err)
			}
			nc.Close()
		})
	}
	t.Cleanup(g.stop)
	return g
}

// pair is two gateways: what reaches a is carried to b.
func pair(t testing.TB, handler http.HandlerFunc, opts ...natstest.Option) (a, b *gateway, n *natstest.Server) {
	t.Helper()
	n = natstest.Run(t, opts...)
	b = run(t, n, "b", handler)
	a = run(t, n, "a", http.NotFound)
	return a, b, n
}

// streams opens a stream from a and returns both ends.
func (g *gateway) dial(t testing.TB, to string, at *link) (*stream, net.Conn) {
	t.Helper()
	s, err := g.link.open(to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write([]byte("!")); err != nil {
		t.Fatal(err)
	}
	var conn net.Conn = recv(t, "the stream at the other gateway", at.accepted)
	var b [1]byte
	if _, err := conn.Read(b[:]); err != nil || b[0] != '!' {
		t.Fatalf("read %q %v", b, err)
	}
	t.Cleanup(func() { s.abort(); conn.Close() })
	return s, conn
}

// bare is a link without an HTTP server.
func bare(t testing.TB, n *natstest.Server, id string) *link {
	t.Helper()
	l := newLink(n.Connect(t, nats.Name(id)), Options{
		Gateway: id, Max: 100, Silence: silence, Alive: func(string) bool { return true },
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Metrics: &counts{results: map[string]int{}},
	})
	stop, err := l.start()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); l.watch(ctx) }()
	t.Cleanup(func() { cancel(); <-done; stop() })
	return l
}

// fake subscribes as a gateway does, and hands out the frames.
func fake(t testing.TB, n *natstest.Server, id string) (frames <-chan frame, send func(to string, f frame)) {
	t.Helper()
	nc := n.Connect(t)
	ch := make(chan frame, 1000)
	if _, err := nc.Subscribe(contract.Subjects{}.CarryAny(id), func(m *nats.Msg) {
		if f, err := decode(m.Data); err == nil && f.kind != kindPing {
			ch <- f
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return ch, func(to string, f frame) {
		subject, err := contract.Subjects{}.Carry(to, id)
		if err != nil {
			t.Fatal(err)
		}
		if f.epoch == 0 {
			f.epoch = 7
		}
		if err := nc.Publish(subject, f.append(nil)); err != nil {
			t.Fatal(err)
		}
	}
}

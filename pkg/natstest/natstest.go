// Package natstest runs real NATS servers inside tests: one with Run, several as
// a cluster with Cluster, on loopback ports and in the test's own directories.
//
// It knows nothing of Natter's subjects and streams.
package natstest

import (
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/kit/embed"
)

// Server is an embedded nats-server with JetStream that ends with the test. Its
// methods fail the test that started it; call them from that test's goroutine.
type Server struct {
	t    testing.TB
	opts embed.Options

	mu  sync.Mutex
	srv *embed.Server
}

// Option changes the server that Run or Cluster starts.
type Option func(*embed.Options)

// WithConfigFile starts from a nats-server configuration: users, permissions.
func WithConfigFile(path string) Option { return func(o *embed.Options) { o.ConfigFile = path } }

// WithOptions changes any option of the embedded server.
func WithOptions(change func(*embed.Options)) Option { return change }

// Run starts a server on a free loopback port with a fresh store directory.
func Run(t testing.TB, opts ...Option) *Server {
	t.Helper()
	s := newServer(t, opts)
	if err := s.start(); err != nil {
		t.Fatalf("natstest: %v", err)
	}
	t.Cleanup(s.Shutdown)
	return s
}

func newServer(t testing.TB, opts []Option) *Server {
	// TempDir comes before Cleanup(Shutdown): its removal must come after it.
	o := embed.Options{StoreDir: t.TempDir(), Log: slog.New(slog.DiscardHandler)}
	for _, opt := range opts {
		opt(&o)
	}
	return &Server{t: t, opts: o}
}

// start needs mu held, or a server nobody else knows.
func (s *Server) start() error {
	srv, err := embed.Start(s.opts)
	if err != nil {
		return err
	}
	s.srv = srv
	u, err := url.Parse(srv.ClientURL())
	if err != nil {
		return err
	}
	s.opts.Port, err = strconv.Atoi(u.Port()) // for Restart
	return err
}

// URL is where clients connect. It stays the same over Restart.
func (s *Server) URL() string { return s.embedded().ClientURL() }

// Name is the server's name.
func (s *Server) Name() string { return s.embedded().Name() }

// InProcess makes nats.Connect use a pipe to this server instead of TCP.
func (s *Server) InProcess() nats.Option { return s.embedded().InProcess() }

func (s *Server) embedded() *embed.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.srv
}

// Shutdown stops the server and waits for its end. Stopping twice is allowed.
func (s *Server) Shutdown() {
	s.t.Helper()
	if err := s.embedded().Shutdown(); err != nil {
		s.t.Errorf("natstest: shutdown: %v", err)
	}
}

// Restart stops the server, if it still runs, and starts it again with the same
// port and the same data, and with what the options change.
func (s *Server) Restart(opts ...Option) {
	s.t.Helper()
	s.Shutdown()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, opt := range opts {
		opt(&s.opts)
	}
	if err := s.start(); err != nil {
		s.t.Fatalf("natstest: restart: %v", err)
	}
}

// Connect returns a connection that is closed when t ends.
func (s *Server) Connect(t testing.TB, opts ...nats.Option) *nats.Conn {
	t.Helper()
	return connect(t, s.URL(), opts)
}

func connect(t testing.TB, urls string, opts []nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(urls, append([]nats.Option{
		nats.Name(t.Name()), nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWait),
	}, opts...)...)
	if err != nil {
		t.Fatalf("natstest: connect to %s: %v", urls, err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// Subscriptions lists the subjects that clients of this server subscribe to,
// sorted, one entry per subscription. A client's request to subscribe is in the
// list once its Flush has returned.
func (s *Server) Subscriptions() []string {
	s.t.Helper()
	var subjects []string
	for _, d := range s.SubscriptionDetails() {
		subjects = append(subjects, d.Subject)
	}
	slices.Sort(subjects)
	return subjects
}

// SubscriptionDetails is Subscriptions with the client's name, account and queue
// group, in no order.
func (s *Server) SubscriptionDetails() []embed.Subscription {
	s.t.Helper()
	subs, err := s.embedded().Subscriptions()
	if err != nil {
		s.t.Fatalf("natstest: %v", err)
	}
	return subs
}

// Package gatewayd is the gateway as a value: [New] it, [Service.Run] it. The service's own main does, and
// the all-in-one command does.
//
// A program may also have a gateway inside, beside its own routes and handlers (examples/embedded is one):
//
//	settings := gatewayd.Defaults()
//	settings.Chat = false // the namespace / is the program's own
//	gateway, err := gatewayd.New(settings, log, gatewayd.WithoutListener(), gatewayd.WithNATS(broker.InProcess()))
//	mux.Handle("/socket.io/", gateway.Handler())
//	err = gateway.Run(ctx)
//
// where broker is an embedded nats-server of pkg/kit/embed; without WithNATS it connects to Config.NATS.
// [Service.Ready] returns when clients are served: NATS is there, the streams and buckets are made, and
// subscriptions hear. The context of Run is the gateway's life; when Run returns, its clients are disconnected
// and reconnect by themselves, and its NATS connection is closed. Services that are to hear of these
// disconnections stop after it, the NATS server last.
//
// It knows how the parts are put together, and in which order they start and stop; what they do stands in
// the internal packages.
package gatewayd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/health"
	"github.com/natter-io/natter/pkg/kit/natsconn"
	"github.com/natter-io/natter/pkg/kit/run"
)

// Option changes what [New] makes.
type Option func(*Service)

// WithNATS adds options to the connection, such as embed.Server.InProcess.
func WithNATS(opts ...nats.Option) Option {
	return func(s *Service) { s.natsOptions = append(s.natsOptions, opts...) }
}

// WithoutListener makes a gateway that takes no port of its own, whatever Config.Listen says: the program
// mounts its [Service.Handler] into a server that it has. WebTransport, if it is on, still needs a UDP port, at
// Config.WebTransport.Listen.
func WithoutListener() Option { return func(s *Service) { s.mounted = true } }

// Service is a gateway. It runs once.
type Service struct {
	cfg         Config
	id          string
	subjects    contract.Subjects
	log         *slog.Logger
	quiet       natsconn.Quiet
	health      *health.Server
	natsOptions []nats.Option
	mounted     bool                  // there is no listener: see WithoutListener
	running     atomic.Pointer[parts] // what Handler serves
	ready       chan struct{}         // closed once clients are served
	addr        net.Addr              // set before ready is closed
}

// New returns the gateway; a nil log is slog.Default(). It fails when a setting cannot work.
func New(cfg Config, log *slog.Logger, opts ...Option) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	subjects, err := contract.NewSubjects(cfg.Prefix)
	if err != nil {
		return nil, err
	}
	s := &Service{cfg: cfg, subjects: subjects, id: cfg.GatewayID, ready: make(chan struct{})}
	if s.id == "" {
		s.id = strings.ToLower(rand.Text()[:10]) // 50 random bits
	}
	if log == nil {
		log = slog.Default()
	}
	s.log = s.quiet.Log(log.With("service", Name, "gateway", s.id))
	for _, opt := range opts {
		opt(s)
	}
	if s.mounted && cfg.servesWebTransport() && cfg.WebTransport.Listen == "" {
		return nil, errors.New("webtransport.listen: a gateway without a listener has no address for WebTransport: name one")
	}
	s.health = health.New(cfg.Health, s.log)
	s.health.SetCheck("gateway", func(context.Context) error {
		select {
		case <-s.ready:
			return nil
		default:
			return errors.New("starting: waiting for NATS and its streams")
		}
	})
	return s, nil
}

// Health has the service's checks, metrics and, after the start, the address of its pages.
func (s *Service) Health() *health.Server { return s.health }

// ID is the gateway's id, the first part of the ids of its sockets.
func (s *Service) ID() string { return s.id }

// Addr is where clients connect. It is known once Ready has returned nil; nil with [WithoutListener].
func (s *Service) Addr() net.Addr { return s.addr }

// Ready blocks until clients are served or the context ends. It fits [run.Component].
func (s *Service) Ready(ctx context.Context) error {
	select {
	case <-s.ready:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Run serves until the context ends. It waits for NATS if that is not there, at the start and later. When it
// ends it closes the transports of its clients, which makes them connect to another gateway by themselves.
func (s *Service) Run(ctx context.Context) error {
	g := run.Group{Log: s.log}
	g.Add(run.Component{Name: "health", Run: s.health.Run, Ready: s.health.Ready})
	g.Add(run.Component{Name: "gateway", Run: s.serve})
	return g.Run(ctx)
}

func (s *Service) serve(ctx context.Context) error {
	clients := s.serveMounted
	var own net.Addr
	if !s.mounted {
		// The port is taken first: that it is in use should not come to light after a wait for NATS.
		listener, err := listen(ctx, s.cfg.Listen)
		if err != nil {
			return err
		}
		defer listener.Close() //nolint:errcheck // closed by the HTTP server in the end
		clients = func(ctx context.Context, p *parts) error { return s.serveHTTP(ctx, listener, p) }
		own = listener.Addr()
	}
	var udp net.PacketConn
	if s.cfg.servesWebTransport() {
		var err error
		if udp, err = s.openUDP(ctx, own); err != nil {
			return err
		}
		defer udp.Close() //nolint:errcheck // nothing waits to be written
	}

	opts := s.cfg.NATS
	opts.Name = Name + " " + s.id
	nc, err := natsconn.Dial(ctx, opts, s.log, s.natsOptions...)
	if err != nil {
		return err
	}
	defer nc.Close()
	s.quiet.Watch(nc)
	s.health.SetCheck("nats", natsconn.Check(nc))

	p, err := s.assemble(nc)
	if err != nil {
		return err
	}
	defer p.hub.Close()
	announced, err := micro.AddService(nc, micro.Config{
		Name: Name, Version: contract.Version, Description: About,
		Metadata: map[string]string{contract.MetadataVersion: contract.Version, "gateway": s.id},
	})
	if err != nil {
		return fmt.Errorf("announcing the service: %w", err)
	}
	defer announced.Stop() //nolint:errcheck // fails only on a closed connection

	g := run.Group{Log: s.log}
	g.Add(run.Component{Name: "bridge", Run: p.bridge.Run, Ready: p.bridge.WaitReady})
	// Before clients are served, since they may come with a session of another gateway; ended after them,
	// since other gateways' clients hear through it that this gateway stops.
	g.Add(run.Component{Name: "carry", Run: func(ctx context.Context) error {
		return p.carry.Run(ctx, newHTTPServer(boundBody(http.HandlerFunc(p.transport.ServeCarried), s.cfg.bodyTimeout()), s.log))
	}, Ready: p.carry.Ready})
	if udp != nil {
		g.Add(s.webTransport(udp, p.transport)) // ended when the clients below have been told that the gateway stops
	}
	g.Add(run.Component{Name: "http", Run: func(ctx context.Context) error { return clients(ctx, p) }})
	return g.Run(ctx)
}

// Package authd is the auth service as a value: [New] it, [Service.Run] it. The service's own main does, and
// the all-in-one command does.
//
// It knows how the parts are put together, and in which order they start and stop; what they do stands in
// the internal packages.
package authd

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/health"
	"github.com/natter-io/natter/pkg/kit/natsconn"
	"github.com/natter-io/natter/pkg/kit/run"
	"github.com/natter-io/natter/services/auth/internal/api"
)

// Option changes what [New] makes.
type Option func(*Service)

// OnFirstAdmin is told the name and the password of an administrator whose password was made up: at the first
// start, or by the setting resetAdmin. It is told once; without it nobody gets to know the password.
func OnFirstAdmin(tell func(name, password string)) Option {
	return func(s *Service) { s.onFirstAdmin = tell }
}

// WithNATS adds options to the connection, such as embed.Server.InProcess.
func WithNATS(opts ...nats.Option) Option {
	return func(s *Service) { s.natsOptions = append(s.natsOptions, opts...) }
}

// Service is the auth service. It runs once.
type Service struct {
	cfg          Config
	subjects     contract.Subjects
	log          *slog.Logger
	quiet        natsconn.Quiet
	health       *health.Server
	onFirstAdmin func(name, password string)
	natsOptions  []nats.Option
	ready        chan struct{} // closed once requests are answered
}

// New returns the service. It fails when a setting cannot work.
func New(cfg Config, log *slog.Logger, opts ...Option) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	subjects, err := contract.NewSubjects(cfg.Prefix)
	if err != nil {
		return nil, err
	}
	s := &Service{
		cfg: cfg, subjects: subjects,
		onFirstAdmin: func(string, string) {}, ready: make(chan struct{}),
	}
	s.log = s.quiet.Log(log.With("service", Name))
	for _, opt := range opts {
		opt(s)
	}
	s.health = health.New(cfg.Health, s.log)
	s.health.SetCheck("service", func(context.Context) error {
		select {
		case <-s.ready:
			return nil
		default:
			return errors.New("starting: waiting for NATS and its buckets")
		}
	})
	return s, nil
}

// Health has the service's checks, metrics and, after the start, the address of its pages.
func (s *Service) Health() *health.Server { return s.health }

// Ready blocks until requests are answered or the context ends. It fits [run.Component].
func (s *Service) Ready(ctx context.Context) error {
	select {
	case <-s.ready:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Run serves until the context ends, and then answers what has arrived before it returns. It waits for NATS
// if that is not there, at the start and later.
func (s *Service) Run(ctx context.Context) error {
	g := run.Group{Log: s.log}
	g.Add(run.Component{Name: "health", Run: s.health.Run, Ready: s.health.Ready})
	g.Add(run.Component{Name: "auth", Run: s.serve})
	return g.Run(ctx)
}

const stopTimeout = 10 * time.Second

func (s *Service) serve(ctx context.Context) error {
	opts := s.cfg.NATS
	opts.Name = Name
	nc, err := natsconn.Dial(ctx, opts, s.log, s.natsOptions...)
	if err != nil {
		return err
	}
	defer nc.Close()
	s.quiet.Watch(nc)
	s.health.SetCheck("nats", natsconn.Check(nc))

	p, err := s.prepare(ctx, nc)
	if err != nil {
		return err
	}
	endpoints, err := api.Start(nc, s.subjects, p, s.log, s.health.Registry())
	if err != nil {
		return err
	}
	s.flush(ctx, nc) // ready means that the server knows the subscriptions
	close(s.ready)
	s.log.Info("answering", "prefix", s.subjects.Prefix())

	runErr := p.Users.Run(ctx)
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	stopErr := endpoints.Stop(stopping)
	if nc.IsConnected() {
		stopErr = errors.Join(stopErr, nc.FlushWithContext(stopping)) // the last answers
	}
	return errors.Join(runErr, stopErr)
}

// flush waits until the server has seen what was said so far. If NATS is away just now, that is when it is back.
func (s *Service) flush(ctx context.Context, nc *nats.Conn) {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	if err := nc.FlushWithContext(ctx); err != nil {
		s.log.Warn("NATS is away; requests are answered when it is back", "error", err)
	}
}

const flushTimeout = 5 * time.Second

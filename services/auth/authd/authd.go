// Package authd is the auth service as a value: [New] it, [Service.Run] it. The service's own main does, and
// the all-in-one command does.
//
// It knows how the parts are put together, and in which order they start and stop; what they do stands in
// the internal packages.
package authd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/health"
	"github.com/natter-io/natter/pkg/kit/natsconn"
	"github.com/natter-io/natter/pkg/kit/provision"
	"github.com/natter-io/natter/pkg/kit/run"
	"github.com/natter-io/natter/services/auth/internal/accounts"
	"github.com/natter-io/natter/services/auth/internal/admin"
	"github.com/natter-io/natter/services/auth/internal/api"
	"github.com/natter-io/natter/services/auth/internal/login"
	"github.com/natter-io/natter/services/auth/internal/middleware"
	"github.com/natter-io/natter/services/auth/internal/passwords"
	"github.com/natter-io/natter/services/auth/internal/tokens"
	"github.com/natter-io/natter/services/auth/internal/users"
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
		cfg: cfg, subjects: subjects, log: log.With("service", Name),
		onFirstAdmin: func(string, string) {}, ready: make(chan struct{}),
	}
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
	s.health.SetCheck("nats", natsconn.Check(nc))

	p, err := s.prepare(ctx, nc)
	if err != nil {
		return err
	}
	endpoints, err := api.Start(nc, s.subjects, p, s.log)
	if err != nil {
		return err
	}
	if err := nc.FlushWithContext(ctx); err != nil { // the server knows the subscriptions
		s.log.Warn("NATS is away; requests are answered when it is back", "error", err)
	}
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

// The time one attempt to prepare may take, and the pause before the next.
const (
	prepareTimeout = 10 * time.Second
	prepareAgain   = time.Second
)

// prepare makes buckets, key and first admin, and tries until it can: JetStream may still be electing, or NATS
// may have gone away again.
func (s *Service) prepare(ctx context.Context, nc *nats.Conn) (api.Parts, error) {
	for {
		attempt, cancel := context.WithTimeout(ctx, prepareTimeout)
		p, err := s.prepareOnce(attempt, nc)
		cancel()
		if err == nil {
			return p, nil
		}
		if ctx.Err() != nil {
			return api.Parts{}, context.Cause(ctx)
		}
		s.log.Warn("cannot start yet; trying again", "error", err)
		select {
		case <-time.After(prepareAgain):
		case <-ctx.Done():
			return api.Parts{}, context.Cause(ctx)
		}
	}
}

func (s *Service) prepareOnce(ctx context.Context, nc *nats.Conn) (api.Parts, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return api.Parts{}, fmt.Errorf("using JetStream: %w", err)
	}
	storage := provision.Storage{Replicas: s.cfg.Replicas, MaxBytes: -1}
	if _, err := provision.Events(ctx, js, s.subjects, storage); err != nil {
		return api.Parts{}, err
	}
	names := s.subjects.Names()
	accountsKV, err := provision.Bucket(ctx, js, jetstream.KeyValueConfig{
		Bucket: names.Accounts, Description: "Accounts of users, with their password hashes.", History: 1, Replicas: s.cfg.Replicas,
	})
	if err != nil {
		return api.Parts{}, err
	}
	keysKV, err := provision.Bucket(ctx, js, jetstream.KeyValueConfig{
		Bucket: names.AuthKeys, Description: "The private key that signs tokens.", History: 1, Replicas: s.cfg.Replicas,
	})
	if err != nil {
		return api.Parts{}, err
	}
	key, err := tokens.LoadKey(ctx, keysKV)
	if err != nil {
		return api.Parts{}, err
	}
	store := accounts.NewStore(accountsKV)
	hasher := passwords.NewHasher(s.cfg.hashing())
	if err := s.ensureAdmin(ctx, store, hasher); err != nil {
		return api.Parts{}, err
	}
	issuer := tokens.NewIssuer(key, s.subjects.Prefix()+".auth", s.cfg.TokenLifetime)
	administration := users.New(store, hasher, js, s.subjects, s.log)
	return api.Parts{
		Middleware: middleware.New(store, issuer),
		Login:      login.New(store, hasher, issuer, login.Limits{PerName: s.cfg.LoginPerName, PerAddress: s.cfg.LoginPerAddress}),
		Users:      administration,
		Admin:      admin.New(nc, js, s.subjects, administration),
		Hashing:    s.cfg.hashing(),
	}, nil
}

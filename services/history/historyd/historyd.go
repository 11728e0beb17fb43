// Package historyd is the history service as a value: it keeps the messages that are posted to Socket.IO
// rooms in a database, answers for them on natter.history.>, and redacts what deleted users said.
//
// It wires the parts together and knows nothing of messages itself.
package historyd

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
	"github.com/natter-io/natter/services/history/internal/database"
	"github.com/natter-io/natter/services/history/internal/ingest"
	"github.com/natter-io/natter/services/history/internal/postgres"
	"github.com/natter-io/natter/services/history/internal/query"
	"github.com/natter-io/natter/services/history/internal/redact"
	"github.com/natter-io/natter/services/history/internal/sqlite"
	"github.com/natter-io/natter/services/history/internal/sweep"
)

const (
	// openRetry is how long to wait for a database that another process has locked.
	openRetry     = time.Second
	openRetryMost = 10 * time.Second
	// openWait bounds an attempt. Bringing the schema of a large database up to date is part of it.
	openWait = 10 * time.Minute
	// ackWait is after how long JetStream gives to others what an instance has in its hands that is silent: when the database has
	// ended its transaction.
	ackWait = 2 * postgres.AbandonedAfter
	// flushWait bounds the sending of the last acks.
	flushWait = 2 * time.Second
)

// Service is the history service. Make it with [New], call Run once.
type Service struct {
	cfg    Config
	log    *slog.Logger
	quiet  *natsconn.Quiet
	nats   []nats.Option
	health *health.Server
	ingest *ingest.Metrics
	query  *query.Metrics
	redact *redact.Metrics
	sweep  *sweep.Metrics

	sweepEvery, ackWait, storeWait time.Duration // shorter in tests
}

// New checks the settings and returns a service that is not running yet. The options are added to those of
// its connection: the all-in-one command passes an in-process one.
func New(cfg Config, log *slog.Logger, options ...nats.Option) (*Service, error) {
	if err := errors.Join(cfg.NATS.Validate(), cfg.Validate()); err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	quiet := new(natsconn.Quiet)
	log = quiet.Log(log.With("service", Name))
	h := health.New(cfg.Health, log)
	return &Service{
		cfg: cfg, log: log, quiet: quiet, nats: options, health: h,
		ingest: ingest.NewMetrics(h.Registry()), query: query.NewMetrics(h.Registry()), redact: redact.NewMetrics(h.Registry()),
		sweep: sweep.NewMetrics(h.Registry()), ackWait: ackWait,
	}, nil
}

// Health is the service's health server, which Run serves where the settings say.
func (s *Service) Health() *health.Server { return s.health }

// Run runs the service until ctx ends or the database cannot be used at all. It waits for a NATS that is not
// there yet and for a database that is locked, and goes on by itself when either comes back.
func (s *Service) Run(ctx context.Context) error {
	starting := errors.New("starting")
	s.health.SetCheck("database", func(context.Context) error { return starting })
	s.health.SetCheck("nats", func(context.Context) error { return starting })
	s.health.SetCheck("streams", func(context.Context) error { return starting })
	g := run.Group{Log: s.log}
	g.Add(run.Component{Name: "health", Run: s.health.Run, Ready: s.health.Ready})
	g.Add(run.Component{Name: "history", Run: s.serve})
	return g.Run(ctx)
}

func (s *Service) serve(ctx context.Context) (err error) {
	store, err := s.open(ctx)
	if ctx.Err() != nil && store == nil {
		return nil // stopped while it waited
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	s.health.SetCheck("database", store.Ping)

	options := s.cfg.NATS
	options.Name = Name
	nc, err := natsconn.Dial(ctx, options, s.log, s.nats...)
	if err != nil {
		return err
	}
	defer nc.Close()
	s.quiet.Watch(nc)
	s.health.SetCheck("nats", natsconn.Check(nc))

	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	subjects, err := contract.NewSubjects(s.cfg.Prefix)
	if err != nil {
		return err
	}
	storage := provision.Storage{Replicas: s.cfg.Replicas, Log: s.log}
	posts := storage
	posts.MaxBytes = int64(s.cfg.PostsMaxBytes)
	redactor, err := redact.New(nc, store, redact.Options{Subjects: subjects, Storage: storage, Posts: s.cfg.PostsAge, Log: s.log, Metrics: s.redact})
	if err != nil {
		return err
	}
	ingester, err := ingest.New(nc, store, ingest.Options{
		Subjects: subjects, Batch: s.cfg.Batch, Age: s.cfg.PostsAge, Storage: posts,
		Log: s.log, Metrics: s.ingest, Redacted: redactor.Poke, Facts: redactor.Known,
		AckWait: s.ackWait, StoreWait: s.storeWait,
	})
	if err != nil {
		return err
	}
	s.health.SetCheck("streams", streams(js, subjects.Names()))
	s.health.SetCheck("posts", ingester.Check)
	rules, err := s.cfg.rules()
	if err != nil {
		return err
	}
	sweeper := &sweep.Sweeper{Store: store, Rules: rules, Log: s.log, Metrics: s.sweep, Every: s.sweepEvery}
	work := func(ctx context.Context) error {
		answers := query.New(nc, store, query.Options{
			Subjects: subjects, Log: s.log, Metrics: s.query,
			Changed: redactor.Poke, Lag: ingester.Lag, Last: ingester.Last, Newest: ingester.Newest, Problem: ingester.Check, Settled: ingester.Settled,
			Largest: ingester.Largest, Expects: ingester.Expects,
		})
		g := run.Group{Log: s.log}
		g.Add(run.Component{Name: "redact", Run: redactor.Run})
		g.Add(run.Component{Name: "sweep", Run: sweeper.Run})
		g.Add(run.Component{Name: "ingest", Run: ingester.Run})
		g.Add(run.Component{Name: "query", Run: answers.Run})
		return g.Run(ctx)
	}
	owner := &owner{js: js, names: subjects.Names(), database: store.ID(), claim: redactor.Claim, log: s.log}
	owner.stands(errOwnerUnknown)
	s.health.SetCheck("queue", owner.check)
	g := run.Group{Log: s.log}
	g.Add(run.Component{Name: "lag", Run: ingester.WatchLag})
	g.Add(run.Component{Name: "owner", Run: func(ctx context.Context) error { return owner.run(ctx, work) }})
	err = g.Run(ctx)
	if ferr := nc.FlushTimeout(flushWait); ferr != nil {
		s.log.Warn("the last acknowledgements may be lost; those messages are delivered again, which changes nothing", "error", ferr)
	}
	return err
}

// streams checks that JetStream is there and that the service has made what it hears of deletions by. It does
// not wait for posts: the stream they come from is a gateway's to make.
func streams(js jetstream.JetStream, names contract.Names) health.Check {
	return func(ctx context.Context) error {
		if _, err := js.Consumer(ctx, names.Events, names.HistoryEvents); err != nil {
			return fmt.Errorf("consumer %s of %s: %w", names.HistoryEvents, names.Events, err)
		}
		return nil
	}
}

// open opens the database, again and again while that is locked or away.
func (s *Service) open(ctx context.Context) (*database.Store, error) {
	for delay := openRetry; ; delay = min(2*delay, openRetryMost) {
		attempt, cancel := context.WithTimeout(ctx, openWait)
		store, err := s.openOnce(attempt)
		cancel()
		if err == nil {
			return store, nil
		}
		if !sqlite.IsBusy(err) && !postgres.IsAway(err) || ctx.Err() != nil {
			return nil, err
		}
		s.health.SetCheck("database", func(context.Context) error { return err })
		s.log.Warn("the database is locked or cannot be reached; waiting for it", "error", err, "retry", delay)
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (s *Service) openOnce(ctx context.Context) (*database.Store, error) {
	if postgres.Scheme(s.cfg.Database) {
		return postgres.Open(ctx, s.cfg.Database, s.cfg.Password.Reveal())
	}
	return sqlite.Open(ctx, s.cfg.Database, sqlite.Sync(s.cfg.Sync))
}

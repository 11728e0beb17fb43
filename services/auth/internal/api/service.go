// Package api offers the auth service on NATS: as a micro service (NATS ADR-32) with the endpoints that
// docs/contract.md lists, and the middleware among them.
//
// It knows how requests and replies are written, and how many are worked on at a time; it does not know what
// they mean.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"golang.org/x/time/rate"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/auth/internal/reply"
)

// ServiceName is the service's name in "nats micro ls", and the queue group that its instances share.
const ServiceName = "natter-auth"

// endpoint is one subject and what answers it. micro calls an endpoint's handler for one request at a time, so
// that the handler only puts requests into a queue, and workers answer them.
type endpoint struct {
	name    string
	subject string
	answer  func(ctx context.Context, request micro.Request) (any, error)
	workers int           // how many requests are answered at a time
	queue   int           // how many wait; more are refused
	timeout time.Duration // from a request's arrival to its answer
	silent  bool          // refusals because of overload or failure are not said
	ack     bool          // what is answered is a client's ack: the arguments of its callback
}

// job is a request that waits.
type job struct {
	request micro.Request
	arrived time.Time
}

// Service is the running micro service.
type Service struct {
	nc      *nats.Conn
	log     *slog.Logger
	noise   rate.Sometimes // limits the log lines about failures
	metrics *metrics
	micro   micro.Service
	subs    int // subscriptions of micro
	pending sync.WaitGroup
	workers sync.WaitGroup
	stop    context.CancelFunc
}

// logEvery is how often at most a failure that repeats is logged.
const logEvery = 5 * time.Second

// start offers the endpoints.
func start(nc *nats.Conn, endpoints []endpoint, log *slog.Logger, m *metrics) (*Service, error) {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Service{nc: nc, log: log, metrics: m, noise: rate.Sometimes{First: 1, Interval: logEvery}, stop: cancel}
	before := nc.NumSubscriptions()
	var err error
	s.micro, err = micro.AddService(nc, micro.Config{
		Name:        ServiceName,
		Version:     contract.Version,
		Description: "Accounts, tokens, and the middleware auth of Socket.IO namespaces.",
		Metadata:    map[string]string{contract.MetadataVersion: contract.Version},
		QueueGroup:  ServiceName,
	})
	if err != nil {
		cancel()
		return nil, fmt.Errorf("offering the service %s: %w", ServiceName, err)
	}
	for _, e := range endpoints {
		if err := s.add(ctx, e); err != nil {
			return nil, errors.Join(fmt.Errorf("offering %s: %w", e.subject, err), s.Stop(ctx))
		}
	}
	s.subs = nc.NumSubscriptions() - before
	return s, nil
}

func (s *Service) add(ctx context.Context, e endpoint) error {
	jobs := make(chan job, e.queue)
	for range e.workers {
		s.workers.Go(func() {
			for {
				select {
				case j := <-jobs:
					s.work(ctx, e, j)
					s.pending.Done()
				case <-ctx.Done():
					s.abandon(jobs)
					return
				}
			}
		})
	}
	return s.micro.AddEndpoint(e.name, micro.HandlerFunc(func(r micro.Request) {
		s.pending.Add(1)
		select {
		case jobs <- job{request: r, arrived: time.Now()}:
		default:
			s.pending.Done()
			s.fail(e, r, errOverload)
		}
	}), micro.WithEndpointSubject(e.subject))
}

// abandon takes what is left out of a queue, at a stop that did not end in time.
func (s *Service) abandon(jobs <-chan job) {
	for {
		select {
		case <-jobs:
			s.pending.Done()
		default:
			return
		}
	}
}

var errOverload = errors.New("too many requests are waiting")

// work answers one request. One that has waited too long is dropped: who asked has given up or asked again.
func (s *Service) work(ctx context.Context, e endpoint, j job) {
	ctx, cancel := context.WithDeadline(ctx, j.arrived.Add(e.timeout))
	defer cancel()
	if ctx.Err() != nil {
		s.fail(e, j.request, errOverload)
		return
	}
	answer, err := e.answer(ctx, j.request)
	s.metrics.took(e, j.arrived)
	if err != nil {
		s.fail(e, j.request, err)
		return
	}
	s.metrics.count(e, resultOf(answer))
	if e.ack {
		answer = []any{answer}
	}
	s.respond(e, j.request, answer)
}

// fail answers with a refusal, or not at all where silence is what makes the other side ask again.
func (s *Service) fail(e endpoint, r micro.Request, err error) {
	refusal, complete := reply.Refusal(err)
	if !complete {
		s.complain(e, err)
		if e.silent {
			s.metrics.count(e, resultSilent)
			return
		}
	}
	s.metrics.count(e, refusal.Code)
	if e.ack {
		s.respond(e, r, []any{refusal})
		return
	}
	s.send(e, r, refusal, refusal.Header())
}

func (s *Service) respond(e endpoint, r micro.Request, answer any) { s.send(e, r, answer, nil) }

// send publishes an answer by hand: the methods of [micro.Request] that answer may be used in its handler only, since micro
// reads what they note as soon as that has returned.
func (s *Service) send(e endpoint, r micro.Request, answer any, h contract.Header) {
	if r.Reply() == "" {
		return // the client wants no ack
	}
	data, err := json.Marshal(answer)
	if err == nil {
		err = s.nc.PublishMsg(&nats.Msg{Subject: r.Reply(), Header: h, Data: data})
	}
	if err != nil {
		s.complain(e, fmt.Errorf("answering: %w", err))
	}
}

func (s *Service) complain(e endpoint, err error) {
	s.noise.Do(func() {
		s.log.Warn("a request could not be answered", "endpoint", e.name, "error", err)
	})
}

// Stop takes no new requests, answers those that have arrived until the context ends, and returns. While NATS
// is away it does not wait.
func (s *Service) Stop(ctx context.Context) error {
	defer s.workers.Wait()
	defer s.stop()
	before := s.nc.NumSubscriptions()
	if err := s.micro.Stop(); err != nil {
		return fmt.Errorf("stopping the service: %w", err)
	}
	// micro drains its subscriptions in the background: what had arrived reaches the handlers.
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for s.nc.NumSubscriptions() > before-s.subs {
		if !s.nc.IsConnected() {
			return nil // nothing arrives and nobody hears an answer
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("stopping the service: requests are left: %w", context.Cause(ctx))
		case <-tick.C:
		}
	}
	answered := make(chan struct{})
	go func() {
		s.pending.Wait()
		close(answered)
	}()
	select {
	case <-answered:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stopping the service: requests are left: %w", context.Cause(ctx))
	}
}

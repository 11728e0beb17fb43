package sdk

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/natter-io/natter/pkg/contract"
)

// run is what exists between Start and Stop.
type run struct {
	server     *Server
	ctx        context.Context // of handlers
	cancel     context.CancelFunc
	namespaces map[string]*Namespace // as they were at Start: not changed any more
	serverSide serverSide            // likewise
	filters    []RequestFilter       // likewise
	allow      string                // subject on which gateways ask for the filters' word, "" if there are none
	inbox      chan *nats.Msg        // of all subscriptions: one order
	subs       []*subscription
	lanes      *lanes[job]
	draining   chan struct{} // closed when nothing new comes into the inbox
	dispatched chan struct{} // closed when the inbox is empty
	keeper     chan struct{} // closed when the keeper has ended
	takes      *takes        // nil if no namespace is ordered
	closed     chan struct{} // closed when the connection was
	announced  bool          // it was said that the namespaces are registered
	flooded    atomic.Bool   // it was said, since the last report, that a socket says too much
	dropsTold  [2]uint64     // how many drops were reported: of the backlog, and of single sockets
}

// Run starts the server, waits for the end of the context, and stops it within [Options.StopTimeout]. It
// returns nil after the context's end and a clean stop, else the error of Start or Stop, or
// nats.ErrConnectionClosed.
func (s *Server) Run(ctx context.Context) error {
	err := s.Start(ctx)
	if err == nil {
		select {
		case <-ctx.Done():
		case <-s.run.closed:
			err = fmt.Errorf("sdk: %w", nats.ErrConnectionClosed)
		}
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opts.StopTimeout)
	defer cancel()
	return errors.Join(err, s.Stop(limited))
}

// Start registers the declared namespaces and begins to hear their events. The context bounds Start itself,
// not what it started. When no gateway has made the bucket of namespaces yet, or JetStream does not answer,
// Start returns nil and registration goes on in the background.
//
// A second call returns what the first did. Errors: names that are none of the contract, a registration of a
// reserved event ([ErrReservedEvent]), a closed connection, [ErrStopped].
func (s *Server) Start(ctx context.Context) error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.halted {
		return fmt.Errorf("sdk: %w: make a new one", ErrStopped)
	}
	if s.run != nil || s.startErr != nil {
		return s.startErr
	}
	s.mu.Lock()
	s.frozen = true
	namespaces, invalid := maps.Clone(s.namespaces), slices.Clone(s.invalid)
	s.mu.Unlock()
	for _, n := range namespaces {
		if err := n.wanted().Validate(n.name); err != nil {
			invalid = append(invalid, err)
		} else if n.config.Ordered != "" && !n.ordered() {
			invalid = append(invalid, fmt.Errorf("namespace %s: Ordered: %q is another service, this one is %q", n.name, n.config.Ordered, s.opts.Name))
		}
	}
	if s.startErr = errors.Join(invalid...); s.startErr == nil {
		s.startErr = s.start(ctx, namespaces)
	}
	if s.startErr != nil {
		s.startErr = fmt.Errorf("sdk: start: %w", s.startErr)
	}
	return s.startErr
}

func (s *Server) start(ctx context.Context, namespaces map[string]*Namespace) error {
	r := &run{
		server: s, namespaces: namespaces, serverSide: s.serverSide, filters: s.filters,
		inbox:      make(chan *nats.Msg, s.opts.Backlog),
		draining:   make(chan struct{}),
		dispatched: make(chan struct{}),
		keeper:     make(chan struct{}),
		closed:     make(chan struct{}),
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.lanes = newLanes(s.opts.Workers, s.opts.Backlog, r.handle)
	go r.dispatch()
	err := r.subscribe()
	if err == nil && !s.opts.NoMicro {
		s.service, err = micro.AddService(s.nc, micro.Config{
			Name: s.opts.Name, Version: s.opts.Version, Description: s.opts.Description,
			Metadata: map[string]string{contract.MetadataVersion: contract.Version},
		})
	}
	if err != nil {
		for _, sub := range r.subs {
			_ = sub.Unsubscribe() // fails only if the connection is closed
		}
		close(r.draining)
		<-r.dispatched
		r.lanes.close()
		r.lanes.wait()
		r.cancel()
		r.takes.wait()
		return err
	}
	s.mu.Lock()
	s.run = r
	s.mu.Unlock()
	// From here on it is heard. While there is no connection there is nobody to hear it yet.
	flush, cancel := context.WithTimeout(ctx, flushTimeout)
	_ = s.nc.FlushWithContext(flush)
	cancel()
	registered := r.register(ctx)
	r.announce(registered)
	if len(r.filters) > 0 {
		s.log.Info("who may connect is asked by gateways whose setting allowRequest names this service; all others let everybody connect", "allowRequest", s.opts.Name)
	}
	go r.keep(registered)
	return nil
}

// subscribe hears what has a handler, and nothing else; for a pattern, that of all namespaces. Subscriptions that
// overlap hear a message once, since they share the service's queue group.
func (r *run) subscribe() error {
	s := r.server
	for name, n := range r.namespaces {
		var subjects []string
		var events []string
		on := s.subjects.OnAny
		if n.ordered() {
			on = s.subjects.OnFree // what is said by sockets that nobody has taken; those of others are not ours
		}
		switch {
		case len(n.any) > 0 || len(n.eventUses) > 0:
			subject, err := on(name)
			if err != nil {
				return err
			}
			subjects = append(subjects, subject)
		default:
			events = slices.Collect(maps.Keys(n.events))
			for event, wanted := range map[string]bool{
				contract.EventConnect:       len(n.connect) > 0,
				contract.EventDisconnecting: len(n.disconnecting) > 0,
				contract.EventDisconnect:    len(n.disconnect) > 0,
			} {
				if wanted {
					events = append(events, event)
				}
			}
		}
		for _, event := range events {
			subject, err := on(name, event)
			if err != nil {
				return err
			}
			subjects = append(subjects, subject)
		}
		for _, more := range []func() ([]string, error){n.functionSubjects, n.roomSubjects} {
			added, err := more()
			if err != nil {
				return err
			}
			subjects = append(subjects, added...)
		}
		for _, u := range n.uses {
			subject, err := s.subjects.Use(name, u.name)
			if contract.IsPattern(name) {
				subject, err = s.subjects.UseAny(u.name)
			}
			if err != nil {
				return err
			}
			subjects = append(subjects, subject)
		}
		if n.ordered() {
			subject, err := s.subjects.OnMine(name, s.id)
			if err != nil {
				return err
			}
			subjects = append(subjects, subject)
		}
		for _, subject := range subjects {
			if err := r.subscribeTo(subject); err != nil {
				return err
			}
		}
	}
	if err := r.subscribeAllow(); err != nil {
		return err
	}
	if err := r.subscribeServerSide(); err != nil {
		return err
	}
	return r.takeSockets()
}

// subscribeTo hears a subject as one of the service's instances.
func (r *run) subscribeTo(subject string) error {
	sub, err := r.server.nc.ChanQueueSubscribe(subject, r.server.opts.Name, r.inbox)
	if err != nil {
		return fmt.Errorf("subscribing to %s: %w", subject, err)
	}
	r.subs = append(r.subs, &subscription{Subscription: sub})
	return nil
}

// subscribeServerSide hears what other instances say: each of them, so without a queue group.
func (r *run) subscribeServerSide() error {
	s := r.server
	for namespace, events := range r.serverSide {
		for event := range events {
			subject, err := s.subjects.Server(namespace, event)
			if err != nil {
				return err
			}
			sub, err := s.nc.ChanSubscribe(subject, r.inbox)
			if err != nil {
				return fmt.Errorf("subscribing to %s: %w", subject, err)
			}
			r.subs = append(r.subs, &subscription{Subscription: sub})
		}
	}
	return nil
}

func (r *run) dispatch() {
	defer close(r.dispatched)
	for {
		select {
		case msg := <-r.inbox:
			r.route(msg)
		case <-r.draining:
			for {
				select {
				case msg := <-r.inbox:
					r.route(msg)
				default:
					return
				}
			}
		}
	}
}

// flushTimeout bounds a round trip to the NATS server.
const flushTimeout = 2 * time.Second

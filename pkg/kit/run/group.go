// Package run starts a program's components in order and stops them in reverse,
// and ends a program on a signal.
//
// It knows nothing of what the components do. Part of the kit: small, for
// Natter's own programs, no compatibility promise.
package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// ErrStopTimeout: a component did not return in time after it was told to stop.
var ErrStopTimeout = errors.New("did not stop in time")

const defaultStopTimeout = 15 * time.Second

// Component is a part of a program.
type Component struct {
	Name string
	// Run blocks until its context ends or it fails. A nil result before it was
	// told to stop means done: the others go on.
	Run func(ctx context.Context) error
	// Ready, if not nil, blocks until the component can serve the ones added after
	// it, which start then. Its context ends with the group's or with Run's return.
	Ready func(ctx context.Context) error
}

// Group runs components. Fill it before Run; it is used once.
type Group struct {
	// Log hears about starts and stops; nil for silence.
	Log *slog.Logger
	// StopTimeout bounds the stop of all components together; 15 s if 0.
	StopTimeout time.Duration

	components []Component
}

// Add appends a component. Those added before it are its dependencies: it starts
// after they are ready and stops before they do.
func (g *Group) Add(c Component) { g.components = append(g.components, c) }

// member is a started component. err may be read once done is closed.
type member struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

// Run starts the components in order, waits until ctx ends, a component fails or
// all are done, and stops them in reverse order.
//
// The result joins all failures, each with its component's name; it is nil if ctx
// ended and every component stopped in time. A context.Canceled from a component
// that was told to stop is no failure.
func (g *Group) Run(ctx context.Context) error {
	log := g.Log
	if log == nil {
		log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	// ended tells that a component has failed; the group then stops.
	ended, fail := context.WithCancel(ctx)
	defer fail()

	var members []*member
	var readyErr error
	for _, c := range g.components {
		if ended.Err() != nil {
			break
		}
		m := start(ctx, c, fail)
		members = append(members, m)
		log.Debug("component started", "name", c.Name)
		if err := awaitReady(ended, c, m); err != nil {
			if ended.Err() == nil {
				readyErr = fmt.Errorf("%s: not ready: %w", c.Name, err)
			}
			break
		}
	}
	if readyErr == nil {
		awaitEnd(ended, members)
	}
	return errors.Join(readyErr, g.stop(members, log))
}

// start runs c with a context of its own, so that the end of ctx does not stop
// all components at once but stop can go in reverse order.
func start(ctx context.Context, c Component, fail func()) *member {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	m := &member{name: c.Name, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(m.done)
		defer cancel()
		err := c.Run(own)
		if err != nil && !(own.Err() != nil && errors.Is(err, context.Canceled)) {
			m.err = fmt.Errorf("%s: %w", c.Name, err)
			fail()
		}
	}()
	return m
}

// awaitReady returns when c is ready, has returned, or the group ends.
func awaitReady(ended context.Context, c Component, m *member) error {
	if c.Ready == nil {
		return nil
	}
	ctx, cancel := context.WithCancel(ended)
	defer cancel()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-m.done:
			cancel()
		case <-stop:
		}
	}()
	err := c.Ready(ctx)
	select {
	case <-m.done:
		return m.err // nil: done before it was ready, such as a task that ran once
	default:
		return err
	}
}

// awaitEnd returns when the group ends or every member is done.
func awaitEnd(ended context.Context, members []*member) {
	for _, m := range members {
		select {
		case <-m.done:
		case <-ended.Done():
			return
		}
	}
}

// stop ends the members from the last to the first, one after the other, within
// the timeout. After it, the rest are told to stop and not waited for.
func (g *Group) stop(members []*member, log *slog.Logger) error {
	timeout := g.StopTimeout
	if timeout == 0 {
		timeout = defaultStopTimeout
	}
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	var errs []error
	for i := len(members) - 1; i >= 0; i-- {
		m := members[i]
		m.cancel()
		select {
		case <-m.done:
			log.Debug("component stopped", "name", m.name)
			errs = append(errs, m.err)
			continue
		case <-deadline.C:
		}
		errs = append(errs, fmt.Errorf("%s: %w (%s for the whole program)", m.name, ErrStopTimeout, timeout))
		for _, rest := range members[:i] {
			rest.cancel()
		}
		break
	}
	return errors.Join(errs...)
}

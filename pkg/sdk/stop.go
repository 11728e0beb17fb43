package sdk

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// obey is how long handlers may take to return after their context was cancelled.
const obey = time.Second

// Stop drains the server: no new events are taken, those that were delivered are handled, then it returns. First,
// gateways let go of the sockets that this instance has taken ([contract.Namespace] Ordered), so that their clients come
// back to other instances.
//
// When the context ends first, waiting events are dropped and the contexts of running handlers are cancelled;
// handlers that do not return within a second of that are [ErrStillRunning]. The connection stays open, and
// emitting goes on working.
//
// A second call returns what the first did. A server that was never started stops at once. A handler must not
// call Stop, which waits for it.
func (s *Server) Stop(ctx context.Context) error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.halted {
		return s.stopErr
	}
	s.halted = true
	if s.run != nil {
		s.stopErr = s.run.stop(ctx)
	}
	return s.stopErr
}

// unsubscribe ends the subscriptions. What the server had sent before is in the inbox when it returns.
func (r *run) unsubscribe(ctx context.Context) {
	if !r.server.nc.IsConnected() {
		// Nothing is on its way. Drained now, they would be in force again when the connection is, and nats.go would take the
		// service's share of messages and drop it.
		for _, sub := range r.subs {
			_ = sub.Unsubscribe() // fails only if the connection is closed
		}
		return
	}
	for _, sub := range r.subs {
		_ = sub.Drain() // fails only if the connection is closed: then nothing comes any more
	}
	flush, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	_ = r.server.nc.FlushWithContext(flush) // fails only if the connection is lost: then nothing comes either
}

func (r *run) stop(ctx context.Context) error {
	r.leave(ctx)
	r.dropped() // the last look before the subscriptions end
	defer r.reportDrops()
	r.unsubscribe(ctx)
	close(r.draining)
	done := make(chan struct{})
	go func() {
		defer close(done)
		<-r.dispatched
		r.lanes.close()
		r.lanes.wait()
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		r.cancel()
		select {
		case <-done:
		case <-time.After(obey):
			err = fmt.Errorf("sdk: stop: %w", ErrStillRunning)
		}
	}
	r.cancel()
	<-r.keeper
	r.takes.wait()
	if service := r.server.service; service != nil {
		if stopErr := service.Stop(); stopErr != nil && !r.server.nc.IsClosed() {
			err = errors.Join(err, fmt.Errorf("sdk: stop: micro service: %w", stopErr))
		}
	}
	return err
}

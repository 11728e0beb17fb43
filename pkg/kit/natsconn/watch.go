package natsconn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// watcher follows one connection from its first attempt on. Its handlers run on
// the connection's callback goroutine.
type watcher struct {
	log       *slog.Logger
	inProcess bool          // no URL was followed
	attempt   chan error    // the latest failed attempt, while Dial waits
	connected chan struct{} // closed at the first success
	once      sync.Once
	quiet     atomic.Bool // Dial failed and says why itself
}

func (w *watcher) handlers() []nats.Option {
	return []nats.Option{
		nats.ConnectHandler(func(nc *nats.Conn) {
			w.log.Info("connected to NATS", w.server(nc)...)
			w.once.Do(func() { close(w.connected) })
		}),
		nats.DisconnectErrHandler(func(nc *nats.Conn, err error) {
			if err == nil || w.quiet.Load() { // closed on purpose
				return
			}
			w.log.Warn("lost the connection to NATS; reconnecting, until then publishing fails", "error", err)
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			w.log.Info("connected to NATS again; core messages sent meanwhile are lost", append(w.server(nc), "reconnects", nc.Statistics.Reconnects)...)
			w.once.Do(func() { close(w.connected) })
		}),
		nats.ReconnectErrHandler(w.failed),
		nats.ErrorHandler(w.asyncError),
		nats.ClosedHandler(func(nc *nats.Conn) {
			if err := nc.LastError(); err != nil && !w.quiet.Load() && !w.isConnected() {
				w.failed(nc, err)
			}
		}),
	}
}

// server is where the connection leads, for the log.
func (w *watcher) server(nc *nats.Conn) []any {
	args := []any{"server", nc.ConnectedServerName()}
	if !w.inProcess {
		args = append(args, "url", nc.ConnectedUrlRedacted())
	}
	return args
}

func (w *watcher) isConnected() bool {
	select {
	case <-w.connected:
		return true
	default:
		return false
	}
}

// failed takes note of an attempt that failed: for Dial while it waits, for the log later.
func (w *watcher) failed(_ *nats.Conn, err error) {
	if w.isConnected() {
		if isRefusal(err) {
			w.log.Error("NATS refuses our credentials since the connection was lost; trying on", "error", err)
			return
		}
		w.log.Debug("NATS cannot be reached yet", "error", err)
		return
	}
	select {
	case <-w.attempt:
	default:
	}
	w.attempt <- err // cannot block: one writer, and the slot was just emptied
}

// wait blocks until the first connection, a refusal, or the end of ctx.
func (w *watcher) wait(ctx context.Context, nc *nats.Conn) error {
	if nc.IsConnected() {
		return nil
	}
	last := nc.LastError()
	if isRefusal(last) {
		return refusal(last)
	}
	w.waiting(last)
	tick := time.NewTicker(waitingEvery)
	defer tick.Stop()
	for {
		select {
		case <-w.connected:
			return nil
		case <-ctx.Done():
			if last == nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("%w; the last attempt failed: %w", context.Cause(ctx), last)
		case last = <-w.attempt:
			if isRefusal(last) {
				return refusal(last)
			}
		case <-tick.C:
			w.waiting(last)
		}
	}
}

func (w *watcher) waiting(last error) {
	args := []any{}
	if last != nil {
		args = append(args, "error", last)
	}
	w.log.Warn("waiting for NATS: is it running?", args...)
}

func refusal(err error) error {
	return fmt.Errorf("%w: check user and password, token, creds, nkeyFile or the certificate: %w", ErrRefused, err)
}

func isRefusal(err error) bool {
	return err != nil && (errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) ||
		errors.Is(err, nats.ErrAuthRevoked) || errors.Is(err, nats.ErrAccountAuthExpired) ||
		strings.Contains(strings.ToLower(err.Error()), "authorization violation"))
}

// asyncError reports what NATS tells outside of any call.
func (w *watcher) asyncError(nc *nats.Conn, sub *nats.Subscription, err error) {
	log := w.log
	if sub != nil {
		log = log.With("subject", sub.Subject)
		if sub.Queue != "" {
			log = log.With("queue", sub.Queue)
		}
	}
	switch {
	case errors.Is(err, nats.ErrSlowConsumer):
		if sub != nil {
			dropped, derr := sub.Dropped()
			if derr == nil {
				log = log.With("dropped", dropped)
			}
		}
		log.Warn("slow consumer: this subscription's queue is full and messages were dropped; "+
			"the service cannot keep up, give it more instances or CPU", "error", err)
	case errors.Is(err, nats.ErrPermissionViolation):
		log.Error("NATS denied a subject: allow it for this service's user in the NATS configuration", "error", err)
	case isRefusal(err):
		if w.isConnected() {
			log.Error("NATS refuses our credentials", "error", err)
		} else {
			w.failed(nc, err)
		}
	default:
		log.Error("NATS reported an error", "error", err)
	}
}

package natsconn

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// quietEvery is how often a warning is repeated while there is no connection.
const quietEvery = 30 * time.Second

// Quiet keeps a log readable while NATS is away: that the connection is lost, and that it is back, is one line each, and
// everything that fails meanwhile would bury them. Without a connection, warnings and errors for that very reason are
// of level debug, and any other with the same words comes once in 30 s.
//
// The zero value is ready to use, and does nothing until Watch is called.
type Quiet struct {
	nc atomic.Pointer[nats.Conn]

	mu   sync.Mutex
	said map[string]time.Time // what was said without a connection, and when
}

// Watch says which connection it is about.
func (q *Quiet) Watch(nc *nats.Conn) { q.nc.Store(nc) }

// Log returns a log like the given one that is quiet.
func (q *Quiet) Log(log *slog.Logger) *slog.Logger {
	return slog.New(quietHandler{log.Handler(), q})
}

// lowers says whether a record is not worth its level now.
func (q *Quiet) lowers(r slog.Record) bool {
	nc := q.nc.Load()
	q.mu.Lock()
	defer q.mu.Unlock()
	if nc == nil || nc.IsConnected() || nc.IsClosed() {
		clear(q.said)
		return false
	}
	unconnected := false
	r.Attrs(func(a slog.Attr) bool {
		err, ok := a.Value.Any().(error)
		unconnected = unconnected || ok && isUnconnected(err)
		return !unconnected
	})
	if unconnected || time.Since(q.said[r.Message]) < quietEvery {
		return true
	}
	if q.said == nil {
		q.said = make(map[string]time.Time)
	}
	q.said[r.Message] = time.Now()
	return false
}

// isUnconnected says whether something failed for want of a connection. With [noLoss] a client has no buffer that could take
// more: that is what it complains about.
func isUnconnected(err error) bool {
	return errors.Is(err, nats.ErrReconnectBufExceeded) || errors.Is(err, nats.ErrDisconnected) ||
		errors.Is(err, nats.ErrConnectionReconnecting) || errors.Is(err, nats.ErrConsumerNotActive)
}

type quietHandler struct {
	slog.Handler
	quiet *Quiet
}

func (h quietHandler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn && h.quiet.lowers(r) {
		if r.Level = slog.LevelDebug; !h.Enabled(ctx, r.Level) {
			return nil
		}
	}
	return h.Handler.Handle(ctx, r)
}

func (h quietHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return quietHandler{h.Handler.WithAttrs(attrs), h.quiet}
}

func (h quietHandler) WithGroup(name string) slog.Handler {
	return quietHandler{h.Handler.WithGroup(name), h.quiet}
}

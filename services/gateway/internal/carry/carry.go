// Package carry takes HTTP requests, WebSockets and WebTransport streams from the gateway that they reached to the gateway that
// holds their session, over NATS. So a plain round-robin proxy in front of several gateways will do: long
// polling is many requests, and an upgrade is one more.
//
// It makes a byte stream between two gateways for each such request ([link], [stream]), with a
// window that holds the sender back, and speaks HTTP/1.1 over it: the gateway that was reached is a
// reverse proxy, the one that holds the session serves the stream as a network connection. Whatever
// HTTP has, the answer before the end of a body, a client that goes away, a WebSocket, needs no message
// of its own that way, and every limit and check is that of a request which came directly.
//
// NATS delivers at most once. A stream whose bytes do not follow each other is broken, and so are all
// streams when messages may have been lost; a client sees its request fail, and connects again.
//
// It knows requests, gateways' ids and NATS; it does not know sessions, nor what is said in them.
package carry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/internal/transport"
)

// Options of a carrier.
type Options struct {
	Gateway  string // this gateway's id
	Subjects contract.Subjects
	Max      int           // exchanges carried at a time, of others' sessions and of one's own each
	Silence  time.Duration // a gateway not heard of for so long is gone
	// Alive says whether a gateway is known to live. One that is not known is given less time to answer.
	Alive func(gateway string) bool

	Log     *slog.Logger
	Metrics Metrics
}

// Metrics counts what is carried. All methods may be called concurrently.
type Metrics interface {
	// Carried is a request for another gateway's session, by how it ended: Done or one of the others.
	Carried(result string)
	// Streams are the exchanges with other gateways now: those that reached this one (out), and those of
	// its own sessions that reached others (in).
	Streams(out, in int)
	// Tunnels changes the number of WebSockets and WebTransport streams that reached this gateway and are carried.
	Tunnels(change int)
}

// How carried requests end.
const (
	Done        = "done"        // answered
	Broken      = "broken"      // the answer broke off, or the client went away
	Gone        = "gone"        // the session's gateway is not there
	Unavailable = "unavailable" // not connected to NATS, too much at a time, or stopping
)

// Carrier implements [transport.Carrier].
type Carrier struct {
	link     *link
	opts     Options
	carrying sync.WaitGroup
	ready    chan struct{}
}

var _ transport.Carrier = (*Carrier)(nil)

// New makes a carrier over the gateway's connection. Nothing happens before Run.
func New(nc *nats.Conn, opts Options) *Carrier {
	return &Carrier{link: newLink(nc, opts), opts: opts, ready: make(chan struct{})}
}

// Ready blocks until other gateways reach this one.
func (c *Carrier) Ready(ctx context.Context) error {
	select {
	case <-c.ready:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// headerRoom is how much more than the gateway itself the server of carried requests takes of header
// fields, since it is told to close the connection.
const headerRoom = 4 << 10

// Run serves what other gateways carry here with the server's handler and limits, until the context ends.
// Then it breaks what is still carried.
func (c *Carrier) Run(ctx context.Context, server *http.Server) error {
	stop, err := c.link.start()
	if err != nil {
		return err
	}
	defer stop()
	server.MaxHeaderBytes += headerRoom
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := server.Serve(c.link); !errors.Is(err, http.ErrServerClosed) {
			c.opts.Log.Error("carried requests are not served any more", "error", err)
		}
	})
	close(c.ready)
	c.link.watch(ctx)
	c.Stop()
	c.link.breakAll(errStopping)
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if server.Shutdown(ending) != nil {
		_ = server.Close() // its handlers are told; closing streams does not fail
	}
	wg.Wait()
	c.carrying.Wait()
	return nil
}

// Stop ends what reached this gateway for others, with [transport.ErrCannotCarry], and takes no more. What is
// carried here goes on.
func (c *Carrier) Stop() { c.link.stopOut() }

// Carry implements [transport.Carrier].
func (c *Carrier) Carry(w http.ResponseWriter, r *http.Request, name string) error {
	return c.carry(r, name, func(s *stream) error { return c.exchange(w, r, s) })
}

// carry makes a stream to the gateway for one exchange.
func (c *Carrier) carry(r *http.Request, name string, exchange func(*stream) error) error {
	c.carrying.Add(1)
	defer c.carrying.Done()
	result := Broken
	defer func() { c.opts.Metrics.Carried(result) }()
	s, err := c.link.open(name)
	if err == nil {
		defer s.abort() // unless it was closed before
		err = exchange(s)
	}
	switch {
	case err == nil:
		result = Done
	case errors.Is(err, transport.ErrNoHolder):
		result = Gone
	case errors.Is(err, transport.ErrCannotCarry):
		result = Unavailable
	case r.Context().Err() == nil:
		// What the session's gateway had begun to do with the request is unknown.
		err = fmt.Errorf("%w: %w", transport.ErrCannotCarry, err)
	}
	return err
}

var _ net.Listener = (*link)(nil)

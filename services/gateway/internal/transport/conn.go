package transport

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// Session is what the layer above makes of a connection.
type Session interface {
	// Message is called for each message of the client, serially and in order. data is valid only
	// during the call. As long as the call lasts nothing more is read from this client: that is
	// how a session slows one down; over PingTimeout, the client counts as gone. It should
	// return when [Conn.Done] is closed.
	Message(data []byte, binary bool)
	// Closed is called exactly once, after the last Message, on a goroutine of its own. The reason
	// is one of the Reason constants, or what Close was called with.
	Closed(reason string)
}

// Why connections end. The names are those of stock Engine.IO servers.
const (
	// ReasonTransportError is a broken connection, a violation of the transport's rules, or a
	// client that takes less than it is sent.
	ReasonTransportError = "transport error"
	// ReasonTransportClose is a client that closed the connection.
	ReasonTransportClose = "transport close"
	// ReasonPingTimeout is a client that did not answer a ping.
	ReasonPingTimeout = "ping timeout"
	// ReasonParseError is a client that sent something which is not Engine.IO.
	ReasonParseError = "parse error"
	// ReasonForcedClose is Close without a reason.
	ReasonForcedClose = "forced close"
	// ReasonServerShutdown is [Server.Shutdown].
	ReasonServerShutdown = "server shutting down"
)

var (
	// ErrClosed reports that the connection is closing or closed: the message was not taken.
	ErrClosed = errors.New("transport: connection is closed")
	// ErrQueueFull reports that the client takes less than it is sent. The connection was closed:
	// nothing is ever skipped.
	ErrQueueFull = errors.New("transport: queue is full, connection closed")
)

// Conn is one Engine.IO connection, whatever its transport. All methods may be called concurrently,
// from within Session's methods too, and none of them blocks or calls the Session.
type Conn struct {
	id      string
	srv     *Server
	request *Request
	session Session
	done    chan struct{}

	// Of the handshake, never changed.
	eio3   bool // the client speaks revision 3 of the protocol
	base64 bool // it asked for text in place of binary payloads, which only revision 3 has: query parameter b64

	// delivery is held while Session's methods run, so that they never overlap. It is never taken
	// with mu held.
	delivery sync.Mutex

	mu     sync.Mutex // before wire.mu and Server.mu
	state  state
	reason string // of closing and closed
	// farewell is the packet for a GET in closing.
	farewell *Message

	wire      *wire      // the current transport; nil is polling
	candidate *candidate // the WebSocket or WebTransport that may take over, in upgrading

	// Of polling.
	queue     []*Message // waiting for a GET
	queueSize int
	poll      *poll // the pending GET
	posting   bool  // a POST is being read or delivered

	// The one timer: next ping, pong timeout, or end of closing.
	timer     *time.Timer
	deadline  time.Time
	awaiting  bool // a ping waits for its pong
	refreshed bool // another packet extended the wait once

	unsure []func() // see Confirm; as many of them as pinged were there when the last ping was sent
	pinged int
}

// ID returns the session id: 20 characters [A-Za-z0-9_-] that cannot be guessed, after [Options.Name] and
// a dot if the server has a name. It is a secret between the servers and this client, since whoever
// knows it can speak for the client.
func (c *Conn) ID() string { return c.id }

// LogID returns the beginning of the session id, for logs: the whole is a secret.
func (c *Conn) LogID() string { return redact(c.id) }

// Request returns the HTTP request that opened the connection.
func (c *Conn) Request() *Request { return c.request }

// Done returns a channel that is closed as soon as the connection is, before Session.Closed.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Transport returns the current transport: [Polling], [WebSocket] or [WebTransport].
func (c *Conn) Transport() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wire != nil {
		return c.wire.transport()
	}
	return Polling
}

// Send sends m after everything that was sent before. It fails with [ErrClosed], or with
// [ErrQueueFull], which closes the connection with [ReasonTransportError]. A nil error means that
// the message is on its way, not that it has arrived.
func (c *Conn) Send(m *Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sendLocked(m)
}

// sendLocked is Send, with c.mu held.
func (c *Conn) sendLocked(m *Message) error {
	if c.wire != nil && c.state == websocket {
		err := c.wire.send(c.wire.frames(m))
		if err == nil {
			return nil
		}
		c.end(ReasonTransportError, nil, nil)
		if err == errWireFull {
			return ErrQueueFull
		}
		return fmt.Errorf("%w: %w", ErrClosed, err)
	}
	switch {
	case c.state != opening && !c.state.open():
		return ErrClosed
	case c.queueSize > 0 && (len(c.queue) >= c.srv.opts.MaxQueueMessages || c.queueSize+m.Size() > c.srv.opts.MaxQueueBytes):
		c.end(ReasonTransportError, closeMessage, nil)
		return ErrQueueFull
	}
	c.enqueue(m)
	return nil
}

// SendAll sends messages after everything that was sent before, and together: in one answer to a poll, or with as few
// writes as it takes. They are taken past the bounds of the queue, since the client waits for all of them. It fails with
// [ErrClosed].
func (c *Conn) SendAll(messages []*Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wire != nil && c.state == websocket {
		if err := c.wire.sendAll(messages); err != nil {
			c.end(ReasonTransportError, nil, nil)
			return fmt.Errorf("%w: %w", ErrClosed, err)
		}
		return nil
	}
	if c.state != opening && !c.state.open() {
		return ErrClosed
	}
	for _, m := range messages {
		c.queue = append(c.queue, m)
		c.queueSize += m.Size()
	}
	if c.poll != nil && c.state != opening && len(messages) > 0 {
		c.answer()
	}
	return nil
}

// SendVolatile sends m only if the client can take it right now: nothing waits before it, and the
// transport is writable (for polling: a GET is pending). It reports whether it did.
func (c *Conn) SendVolatile(m *Message) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !c.state.open():
		return false
	case c.wire != nil:
		return c.wire.sendVolatile(c.wire.frames(m))
	case c.poll == nil || len(c.queue) > 0:
		return false
	}
	c.enqueue(m)
	return true
}

// enqueue queues m for polling and answers the pending GET, if there is one. The caller holds c.mu.
func (c *Conn) enqueue(m *Message) {
	c.queue = append(c.queue, m)
	c.queueSize += m.Size()
	if c.poll != nil && c.state != opening {
		c.answer()
	}
}

// takeQueue returns what waits for a GET. The caller holds c.mu.
func (c *Conn) takeQueue() []*Message {
	queue := c.queue
	c.queue, c.queueSize = nil, 0
	return queue
}

// Close sends what was queued, within Options.CloseTimeout, and closes the connection. An empty
// reason is [ReasonForcedClose]. The client sees a transport that closes, and so reconnects. Only the
// first call has an effect.
func (c *Conn) Close(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if reason == "" {
		reason = ReasonForcedClose
	}
	c.closeWith(reason, closePlain)
}

// closeWith is Close, with c.mu held.
func (c *Conn) closeWith(reason string, frame []byte) {
	switch {
	case c.state == opening || c.poll != nil:
		c.end(reason, closeMessage, nil)
	case !c.switchState(closing):
	case c.wire != nil:
		c.reason = reason
		c.setTimer(c.srv.opts.CloseTimeout)
		if c.wire.finish(frame, c.srv.opts.CloseTimeout, c.flushed) {
			c.end(reason, nil, frame)
		}
	default: // the next GETs, or a WebSocket that completes its upgrade, take the rest
		c.reason, c.farewell = reason, closeMessage
		// A client that does not poll for as long as it may take for a ping is gone.
		c.setTimer(min(c.srv.opts.CloseTimeout, c.srv.opts.PingInterval+c.srv.opts.PingTimeout))
	}
}

// flushed ends closing when all is written.
func (c *Conn) flushed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end(c.reason, nil, closePlain)
}

// end closes the connection at once. A pending GET is answered with what is queued and poll, which
// may be nil; a WebSocket is closed with frame, or aborted if frame is nil. The caller holds c.mu. Only the first
// call has an effect.
func (c *Conn) end(reason string, poll *Message, frame []byte) {
	if !c.switchState(closed) {
		return
	}
	c.reason = reason
	c.timer.Stop()
	if c.poll != nil {
		if poll != nil {
			c.queue = append(c.queue, poll)
		}
		c.answer()
	}
	c.takeQueue()
	if c.candidate != nil {
		c.candidate.stop()
		c.candidate = nil
	}
	if c.wire != nil {
		if frame == nil {
			c.wire.abort()
		} else {
			c.wire.finish(frame, lingerTimeout, nil)
		}
	}
	close(c.done)
	c.srv.remove(c)
	if c.session != nil {
		go c.notifyClosed()
	}
}

// adopt gives the connection its session, nil if the layer above refused it, and reports whether
// the connection goes on.
func (c *Conn) adopt(s Session) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s == nil {
		c.end(ReasonForcedClose, nil, nil)
		c.srv.running.Done()
		return false
	}
	c.session = s
	if c.state == closed { // in the meantime, and nobody was told
		go c.notifyClosed()
		return false
	}
	return true
}

const (
	// lingerTimeout is how long a client may take to see that its WebSocket was closed.
	lingerTimeout = 2 * time.Second
	// lastPollTimeout is how long a client that closed the connection may take to poll once more.
	lastPollTimeout = 50 * time.Millisecond
)

// notifyClosed tells the session, once a Message that is being delivered has returned.
func (c *Conn) notifyClosed() {
	defer c.srv.running.Done()
	c.delivery.Lock()
	defer c.delivery.Unlock()
	c.srv.opts.Log.Debug("connection closed", "sid", redact(c.id), "reason", c.reason)
	c.session.Closed(c.reason)
}

package transport

import (
	"runtime/debug"

	"github.com/natter-io/natter/pkg/engineio"
)

// packet handles what arrived on the transport from, nil for polling: a packet, or the error of
// decoding one. The caller reads that transport, and so calls this serially for it.
func (c *Conn) packet(from *wire, p engineio.Packet, err error) {
	if c.packetLocked(from, p, err) {
		c.deliver(from, p)
	}
}

// packetLocked handles all but messages, for which it reports true.
func (c *Conn) packetLocked(from *wire, p engineio.Packet, err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if from != nil && c.candidate != nil && c.candidate.wire == from {
		c.probe(p, err)
		return false
	}
	if !c.listens(from) {
		return false
	}
	if err != nil {
		c.srv.opts.Log.Debug("client sent a bad packet", "sid", redact(c.id), "error", err)
		c.end(ReasonParseError, closeMessage, closePlain)
		return false
	}
	c.heard()
	switch p.Type {
	case engineio.Message:
		return true
	case engineio.Pong, engineio.Ping:
		switch {
		case c.eio3 != (p.Type == engineio.Ping): // the other side's part
			c.end(ReasonTransportError, closeMessage, closePlain)
		case c.eio3:
			c.answerPing(p.Data)
		default:
			c.pong()
		}
	case engineio.Close:
		switch {
		case from == nil:
			c.closedByClient()
		case c.eio3: // in revision 4, a WebSocket is closed by closing it
			c.end(ReasonTransportClose, nil, closePlain)
		}
	}
	return false
}

// listens reports whether packets from this transport count. The caller holds c.mu.
func (c *Conn) listens(from *wire) bool { return c.state.open() && c.wire == from }

// deliver hands a message to the session, if the connection still listens to this transport by
// then. A session that panics loses its connection, not the process with all the others.
func (c *Conn) deliver(from *wire, p engineio.Packet) {
	c.delivery.Lock()
	defer c.delivery.Unlock()
	c.mu.Lock()
	listens := c.listens(from)
	c.mu.Unlock()
	if !listens {
		return
	}
	defer func() {
		if v := recover(); v != nil {
			c.srv.opts.Log.Error("session panicked, connection closed", "sid", redact(c.id), "panic", v, "stack", string(debug.Stack()))
			c.mu.Lock()
			c.end(ReasonTransportError, closeMessage, closePlain)
			c.mu.Unlock()
		}
	}()
	c.session.Message(p.Data, p.Binary)
}

// closedByClient ends a polling connection that the client closed. A GET that it sent at the same time,
// on another network connection, may still be on its way: it is answered like one that is pending.
// The caller holds c.mu.
func (c *Conn) closedByClient() {
	if c.poll != nil {
		c.end(ReasonTransportClose, noopMessage, nil)
		return
	}
	if c.switchState(closing) {
		c.reason, c.farewell = ReasonTransportClose, noopMessage
		c.takeQueue()
		c.setTimer(lastPollTimeout)
	}
}

package transport

import (
	"github.com/natter-io/natter/pkg/engineio"
)

// packet handles a packet that arrived on the transport from; nil is polling. The caller reads
// that transport, and so calls this serially for it.
func (c *Conn) packet(from *wire, p engineio.Packet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.listens(from) {
		return
	}
	c.heard()
	switch p.Type {
	case engineio.Message:
		c.mu.Unlock()
		c.deliver(from, p)
		c.mu.Lock()
	case engineio.Pong:
		c.pong()
	case engineio.Ping: // only servers ping
		c.end(ReasonTransportError, closeMessage, closePlain)
	case engineio.Close:
		if from == nil {
			c.end(ReasonTransportClose, noopMessage, nil)
		}
		// A WebSocket is closed by closing it.
	}
}

// listens reports whether packets from this transport count. The caller holds c.mu.
func (c *Conn) listens(from *wire) bool { return c.state.open() && c.wire == from }

// deliver hands a message to the session, if the connection still listens to this transport by
// then.
func (c *Conn) deliver(from *wire, p engineio.Packet) {
	c.delivery.Lock()
	defer c.delivery.Unlock()
	c.mu.Lock()
	listens := c.listens(from)
	c.mu.Unlock()
	if listens {
		c.session.Message(p.Data, p.Binary)
	}
}

// parseError closes the connection for something that is not Engine.IO.
func (c *Conn) parseError(from *wire, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.listens(from) {
		return
	}
	c.srv.opts.Log.Debug("client sent a bad packet", "sid", redact(c.id), "error", err)
	c.end(ReasonParseError, closeMessage, closePlain)
}

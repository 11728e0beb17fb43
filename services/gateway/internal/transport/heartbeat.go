package transport

import "time"

// The server pings, the client answers (protocol section "Heartbeat"); in revision 3, the client pings, and must
// not be silent for longer than both times together. One timer serves a connection
// for its whole life. It may fire while its deadline is being moved, so the deadline decides and not
// the firing.

// setTimer moves the deadline. The caller holds c.mu.
func (c *Conn) setTimer(d time.Duration) {
	c.deadline = time.Now().Add(d)
	c.timer.Reset(d)
}

func (c *Conn) timerFired() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if early := time.Until(c.deadline); early > 0 {
		c.timer.Reset(early)
		return
	}
	switch {
	case c.state == closing:
		c.end(c.reason, nil, nil)
	case !c.state.open():
	case c.awaiting || c.eio3:
		c.end(ReasonPingTimeout, closeMessage, closePlain)
	default:
		c.ping()
	}
}

// ping asks the client whether it lives. The caller holds c.mu.
func (c *Conn) ping() {
	// The timeout counts from when the ping was due, so that a client is gone when it says it is; a
	// server that was stopped for a while does not blame its clients for that.
	timeout := c.srv.opts.PingTimeout
	late := min(time.Since(c.deadline), timeout/10)
	c.awaiting, c.refreshed, c.pinged = true, false, len(c.unsure)
	c.setTimer(timeout - late)
	if c.wire == nil {
		c.enqueue(pingMessage)
		return
	}
	// A full queue means that the client takes nothing, and a ping behind it would not be
	// answered in time either.
	if c.wire.send(c.wire.frames(pingMessage)) != nil {
		c.end(ReasonTransportError, nil, nil)
	}
}

// expired reports whether the client should have been heard by now, which the timer will find out in a moment. The caller
// holds c.mu.
func (c *Conn) expired() bool {
	return c.state.open() && (c.awaiting || c.eio3) && !time.Now().Before(c.deadline)
}

// heard notes that the client sent a packet: the first one after a ping, whatever it is, shows that
// the client lives but may be busy sending, and gives the pong more time. In revision 3 every packet counts. The
// caller holds c.mu.
func (c *Conn) heard() {
	if c.eio3 {
		c.deadline = time.Now().Add(c.silence()) // the timer finds out that it is early
		return
	}
	if c.awaiting && !c.refreshed {
		c.refreshed = true
		c.setTimer(c.srv.opts.PingTimeout)
	}
}

// pong notes an answer, asked for or not. The caller holds c.mu.
func (c *Conn) pong() {
	if c.awaiting && c.pinged > 0 {
		for _, then := range c.unsure[:c.pinged] {
			go then()
		}
		c.unsure, c.pinged = c.unsure[c.pinged:], 0
	}
	c.awaiting = false
	c.setTimer(c.srv.opts.PingInterval)
}

// Confirm calls then, on a goroutine of its own, when the client has answered a ping that was sent after all that was sent so far: it
// has that, too. If the connection ends before, then is never called; nor is it for clients of revision 3, who are not pinged.
func (c *Conn) Confirm(then func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unsure = append(c.unsure, then)
}

package transport

import (
	"net/http"
	"time"

	"github.com/natter-io/natter/pkg/engineio"
)

// The upgrade from polling to WebSocket or WebTransport (protocol section "Upgrade"): the client probes the new
// transport with "2probe", lets its last poll end, and completes with "5". Until then packets go
// to polling; from then on, to the new transport, what is queued first.

const (
	// probeHold is how long the answer to a probe is held back. From the answer on a stock client sends nothing
	// until its pending GET has ended; so that what it says right after connecting does not wait, and the GET that
	// brings the first answers is not ended on top of them, the connection settles on polling first. It is
	// the time after which the stock server ends that GET.
	probeHold = 100 * time.Millisecond
	// noopInterval is how soon after the answer a pending GET is ended, which the client now waits for. It
	// lets the answer arrive first, or the client would begin another GET.
	noopInterval = 10 * time.Millisecond
)

// candidate is a WebSocket or WebTransport stream that may take over from polling. Conn.mu guards it.
type candidate struct {
	wire     *wire
	probed   bool // the client asked
	answered bool // and was told that it may upgrade
	deadline time.Time
	timer    *time.Timer
}

// stop closes what cannot take over.
func (u *candidate) stop() {
	u.timer.Stop()
	u.wire.finish(closePlain, lingerTimeout, nil)
}

// serveUpgrade takes a WebSocket with the connection's sid. One that cannot take over is opened and
// closed: that is what stock clients know how to handle.
func (c *Conn) serveUpgrade(w http.ResponseWriter, r *http.Request) {
	sock, wire, err := c.acceptWebSocket(w, r)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == closed {
		wire.abort()
		return
	}
	c.read(sock, wire)
	c.consider(wire)
}

// consider makes a wire the candidate, if there is none and the connection is on polling; else it closes the wire.
// The caller holds c.mu.
func (c *Conn) consider(w *wire) {
	if !c.switchState(upgrading) {
		w.finish(closePlain, lingerTimeout, nil)
		return
	}
	timeout := c.srv.opts.UpgradeTimeout
	u := &candidate{wire: w, deadline: time.Now().Add(timeout)}
	u.timer = time.AfterFunc(timeout, func() { c.upgradeTick(u) })
	c.candidate = u
}

// upgradeTick ends an upgrade that takes too long, answers a probe whose time has come, and ends a pending GET.
func (c *Conn) upgradeTick(u *candidate) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.candidate != u {
		return
	}
	left := time.Until(u.deadline)
	if left <= 0 {
		c.dropCandidate()
		return
	}
	switch {
	case u.answered:
		c.endPoll()
	case u.probed:
		u.answered = true
		if u.wire.send(u.wire.frames(probeMessage)) != nil {
			c.dropCandidate()
			return
		}
	}
	u.timer.Reset(min(left, noopInterval))
}

// dropCandidate gives up the upgrade; the connection stays on polling. The caller holds c.mu.
func (c *Conn) dropCandidate() {
	c.candidate.stop()
	c.candidate = nil
	c.switchState(polling) // unless it is closing
}

// probe handles a packet from the candidate, or the error of decoding one. The caller holds c.mu.
func (c *Conn) probe(p engineio.Packet, err error) {
	u := c.candidate
	switch {
	case err == nil && p.Type == engineio.Ping && string(p.Data) == "probe":
		u.probed, u.answered = true, false
		u.timer.Reset(min(probeHold, c.srv.opts.UpgradeTimeout/2))
	case err == nil && p.Type == engineio.Upgrade:
		c.completeUpgrade(u)
	default:
		c.dropCandidate()
	}
}

// endPoll lets the client complete its upgrade, for which no GET may be pending. The caller holds c.mu.
func (c *Conn) endPoll() {
	if c.poll != nil {
		c.enqueue(noopMessage)
	}
}

// completeUpgrade makes the candidate the transport. The caller holds c.mu.
func (c *Conn) completeUpgrade(u *candidate) {
	u.timer.Stop()
	c.candidate = nil
	c.wire = u.wire
	if c.poll != nil { // it came too late: it would have been refused a moment later
		c.poll.refused = true
		close(c.poll.ready)
		c.poll = nil
	}
	isClosing := !c.switchState(websocket)
	if u.wire.sendAll(c.takeQueue()) != nil {
		c.end(ReasonTransportError, nil, nil)
		return
	}
	if isClosing {
		if u.wire.finish(closePlain, c.srv.opts.CloseTimeout, c.flushed) {
			c.end(c.reason, nil, closePlain)
		}
		return
	}
	if c.awaiting { // the answer may have to come over the new transport
		c.setTimer(c.srv.opts.PingTimeout)
	}
}

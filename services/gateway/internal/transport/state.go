package transport

import "slices"

// state is where a connection stands.
//
//	           handshake            a WebSocket with its sid        "5"
//	opening ──────────────▶ polling ─────────────────────▶ upgrading ───▶ websocket
//	   │ │                   │ │  ▲                          │  │  │        │  ▲ │
//	   │ └───────────────────┼─┼──┼── handshake ─────────────┼──┼──┼────────┼──┘ │
//	   │                     │ │  └── timeout, anything else ┘  │  │        │    │
//	   │                     │ └──────── Close ────────────────▶ closing ◀──┘    │
//	   ▼                     ▼                                  ▼  ▼             ▼
//	closed ◀───────────────────────────────────────────────────────────────────────
//
// websocket stands for WebTransport too: a connection that both sides write to at any time.
//
// closing sends what was queued when Close was called, and hears nothing any more. closed is final.
// Everything else that ends a connection, an error or the client, leads to closed at once.
type state uint8

const (
	opening   state = iota // the session is asked whether it wants the connection
	polling                // open; packets wait for a GET
	upgrading              // as polling, and a WebSocket may take over
	websocket              // open
	closing
	closed
)

func (s state) String() string {
	return [...]string{"opening", "polling", "upgrading", "websocket", "closing", "closed"}[s]
}

// open reports whether packets are sent and received.
func (s state) open() bool { return s == polling || s == upgrading || s == websocket }

var transitions = [...][]state{
	opening:   {polling, websocket, closed},
	polling:   {upgrading, closing, closed},
	upgrading: {polling, websocket, closing, closed},
	websocket: {closing, closed},
	closing:   {closed},
	closed:    nil,
}

// switchState is the only place that changes the state. It reports whether the transition exists,
// so whoever races for one knows who won. The caller holds c.mu.
func (c *Conn) switchState(to state) bool {
	if !slices.Contains(transitions[c.state], to) {
		return false
	}
	from := c.state
	c.state = to
	if c.srv.onState != nil {
		c.srv.onState(c, from, to)
	}
	return true
}

package main

import (
	"time"

	"github.com/natter-io/natter/services/gateway/internal/transport"
)

// newEcho serves the protocol's suites: it says back what it hears.
func newEcho(eio3 bool) (*transport.Server, error) {
	return transport.New(transport.Options{
		Path:         "/engine.io/",
		PingInterval: 300 * time.Millisecond,
		PingTimeout:  200 * time.Millisecond,
		AllowEIO3:    eio3,
	}, func(c *transport.Conn) transport.Session { return echo{c} })
}

// echo is a session that says back what it hears.
type echo struct{ conn *transport.Conn }

// Message implements [transport.Session].
func (e echo) Message(data []byte, binary bool) {
	if binary {
		e.send(transport.NewBinary(data))
	} else {
		e.send(transport.NewMessage(data))
	}
}

// Closed implements [transport.Session].
func (e echo) Closed(string) {}

// send fails for connections that are closing alone, and then nobody waits for it.
func (e echo) send(m *transport.Message) { _ = e.conn.Send(m) }

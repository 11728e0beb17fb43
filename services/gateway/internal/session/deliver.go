package session

import (
	"slices"

	"github.com/natter-io/natter/services/gateway/internal/transport"
)

// held is what is said to a socket that is coming back, until what it missed is sent. It belongs to the hub's worker.
type held struct {
	waiting []heldMessage
	over    bool // more than may wait
}

type heldMessage struct {
	sequence uint64
	message  *transport.Message
}

// Deliver sends what was stored at a sequence of the stream, once and in its turn. The hub's worker calls it.
func (s *Socket) Deliver(sequence uint64, m *transport.Message) {
	switch {
	case s.held != nil:
		if len(s.held.waiting) >= s.client.srv.opts.MaxHeld {
			s.held.over = true
			s.held.waiting = nil
			s.CloseTransport() // it comes back and misses nothing
			return
		}
		s.held.waiting = append(s.held.waiting, heldMessage{sequence, m})
	case sequence > s.floor:
		s.Send(m)
	}
}

// DeliverVolatile sends a message if the client can take it right now, and reports whether it did. The message tells
// the client that it has heard what was stored up to the position, after which it would hear again what else it has. The
// hub's worker calls it.
func (s *Socket) DeliverVolatile(position uint64, m *transport.Message) bool {
	return s.held == nil && position >= s.floor && s.SendVolatile(m)
}

// release sends what was missed, the answer to CONNECT, and what was said meanwhile. The hub's worker calls it.
func (s *Socket) release(missed Missed, answer []*transport.Message) {
	h := s.held
	s.held, s.floor = nil, missed.UpTo
	if h == nil || h.over {
		return
	}
	// Together, as far as the transport can: the stock client keeps what it has received before the answer to CONNECT, and if
	// the connection breaks in between it gets that once more.
	_ = s.client.conn.SendAll(slices.Concat(missed.Packets, answer)) // an error closes the connection, which is told on its own
	for _, m := range h.waiting {
		s.Deliver(m.sequence, m.message)
	}
}

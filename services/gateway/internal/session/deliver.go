package session

import "github.com/natter-io/natter/services/gateway/internal/transport"

// held is what is said to a socket until its CONNECT is answered and what it missed is sent. It belongs to the hub's
// worker.
type held struct {
	waiting []heldMessage
	size    int  // of what waits, in bytes
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
		s.hold(sequence, m)
	case sequence > s.floor:
		s.Send(m)
	}
}

func (s *Socket) hold(sequence uint64, m *transport.Message) {
	h, opts := s.held, s.client.srv.opts
	if h.over {
		return
	}
	if h.size += m.Size(); len(h.waiting) >= opts.MaxHeld || h.size > opts.MaxHeldBytes {
		h.over, h.waiting = true, nil
		s.CloseTransport() // it comes back and misses nothing
		return
	}
	h.waiting = append(h.waiting, heldMessage{sequence, m})
}

// DeliverVolatile sends a message if the client can take it right now, and reports whether it did. The message says that
// the client has heard what is stored up to an offset; for a client that has heard more, encode makes another one. The
// hub's worker calls it.
func (s *Socket) DeliverVolatile(offset uint64, m *transport.Message, encode func(offset uint64) (*transport.Message, error)) bool {
	if s.held != nil {
		return false
	}
	if offset < s.floor { // it came back, and was sent what the gateway has not read yet
		var err error
		if m, err = encode(s.floor); err != nil {
			return false
		}
	}
	return s.SendVolatile(m)
}

// StartOver forgets how far the socket was sent what is stored: the stream is another one, whose sequences begin again.
// What a client that is just coming back has missed is gone with the other. The hub's worker calls it.
func (s *Socket) StartOver() {
	s.floor = 0
	s.mu.Lock()
	s.orders.upTo, s.orders.obeyed, s.orders.data = 0, 0, 0
	s.mu.Unlock()
	if s.held != nil && s.found != nil {
		s.CloseTransport()
	}
}

// StartAfresh ends the session and closes the connection without a word, so that the client comes back as a new one: nobody knows
// what it has missed, and nothing that came later is sent. The hub's worker calls it.
func (s *Socket) StartAfresh() {
	s.held = &held{over: true}
	s.mu.Lock()
	if s.state == connected && s.kept.fate == Here {
		s.kept.fate = Ended
	}
	ends := s.kept.fate == Ended
	s.mu.Unlock()
	if !ends {
		s.CloseTransport()
		return
	}
	s.keep(func(error) { s.CloseTransport() }) // else it could be back before that is stored
}

// release answers CONNECT, sends what was missed, and what was said meanwhile. The hub's worker calls it.
//
// The stock client keeps what it receives before the answer to CONNECT, does not note how far it has heard, and does not
// forget it when the connection breaks: on the next one it would get all that once more. After the answer each event
// moves its offset, so that it comes back for the rest.
func (s *Socket) release(missed Missed) {
	h := s.held
	s.held, s.floor = nil, missed.UpTo
	if h == nil || h.over {
		return
	}
	packets := missed.Packets
	for _, m := range h.waiting {
		if m.sequence > s.floor {
			packets = append(packets, m.message)
		}
	}
	s.welcome(packets)
	if s.found != nil {
		s.client.conn.Confirm(s.confirmed)
	}
}

// welcome answers CONNECT, unless that was done, and sends what comes after it: together, as far as the transport can.
func (s *Socket) welcome(then []*transport.Message) {
	s.mu.Lock()
	defer s.mu.Unlock() // so that nobody comes between
	s.welcomeLocked(then)
}

// welcomeLocked is welcome; mu is held.
func (s *Socket) welcomeLocked(then []*transport.Message) {
	all := append(s.entry, then...)
	s.entry = nil
	switch len(all) {
	case 0:
	case 1:
		s.Send(all[0])
	default:
		_ = s.client.conn.SendAll(all) // an error closes the connection, which is told on its own
	}
}

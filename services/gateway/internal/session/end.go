package session

import (
	"errors"

	"github.com/natter-io/natter/pkg/contract"
)

// end takes the socket out of everything and tells services, and the client if the server wants it; it acts
// once.
func (s *Socket) end(reason string, byServer bool) {
	for _, asker := range s.finish(reason, byServer) {
		asker.Gone(s)
	}
}

// finish is end but for those who wait for acks, whom it returns. Who stores that the client is gone tells services: another gateway
// that has taken the session over has told them by now, or will, and the client may be there already.
func (s *Socket) finish(reason string, byServer bool) map[uint64]Asker {
	s.life.Lock()
	defer s.life.Unlock()
	s.mu.Lock()
	was := s.state
	if was == connected {
		s.kept.at = max(s.kept.at, s.orders.obeyed, s.client.srv.backend.Position()) // orders after this may not find the socket
	}
	s.state = closed
	asked := s.asked
	s.asked = nil
	if s.expiry != nil {
		s.expiry.Stop()
	}
	s.mu.Unlock()
	if was == closed {
		return nil
	}
	s.client.drop(s, byServer)
	if was != connected {
		return nil
	}
	s.mu.Lock()
	switch {
	case byServer:
		s.kept.fate = Ended
	case s.kept.fate == Here: // else its session is too large, and ended
		s.kept.fate = fateOf(reason)
	}
	moved := s.kept.moved
	s.mu.Unlock()
	if byServer && !moved {
		s.welcome(nil)
		s.Send(s.client.srv.opts.Parser.Disconnect(s.namespace))
	}
	rooms := s.client.srv.hub.Rooms(s)
	s.leaveAll()
	s.client.srv.backend.Exit(s.namespace)
	s.abandonID()
	s.keep(func(err error) {
		if !errors.Is(err, ErrClaimed) {
			s.tellEnd(reason, rooms)
		}
		s.untake()
		s.disclaim()
	})
	return asked
}

// tellEnd tells services, and those in the rooms, that the client is gone.
func (s *Socket) tellEnd(reason string, rooms []string) {
	s.tell(contract.EventDisconnecting, reason, rooms)
	if s.announces() {
		for _, room := range rooms {
			s.announce(contract.EventLeft, room)
		}
	}
	s.tell(contract.EventDisconnect, reason)
}

// tell publishes an event of the socket's life to services. The lock life is held, or the socket is closed.
func (s *Socket) tell(event string, args ...any) {
	array := encode(append([]any{event}, args...))
	if err := s.client.srv.backend.On(s, event, array, nil, nil); err != nil {
		s.client.srv.often("services were not told of a socket's "+event, "socket", s.id, "namespace", s.namespace, "error", err)
	}
}

package session

import "context"

// orders are how a socket that comes back keeps apart what services ordered while it was away, which is replayed from the
// stream, and what they order from then on, which takes effect when the gateway's reader comes to it. That reader may lag, or
// be ahead of the replay. Guarded by the socket's mu.
type orders struct {
	replaying bool   // what comes now must be replayed, too
	latest    uint64 // the last one that came meanwhile
	upTo      uint64 // the stream's sequence up to which orders were replayed
	obeyed    uint64 // the highest one that has taken effect since
	data      uint64 // the one that has set the data
}

// Obeys says whether an order at a sequence of the stream is to take effect on the socket now, by who reads them in turn. Else
// it has taken effect, or will with what the socket missed.
func (s *Socket) Obeys(sequence uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.orders.replaying {
		s.orders.latest = max(s.orders.latest, sequence)
		return false
	}
	// One with a lower sequence than others is late, since it was lost at first, and takes effect all the same.
	return sequence > s.orders.upTo && sequence != s.orders.obeyed
}

// Obeyed notes that an order has taken effect on the socket, so that it is not repeated if what the client does next is all
// that is stored: the gateway may die before the order has taken effect on others.
func (s *Socket) Obeyed(sequence uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.orders.obeyed = max(s.orders.obeyed, sequence)
}

// replayed takes over what was ordered while the client was away, and says whether that is all: else more was ordered meanwhile.
func (s *Socket) replayed(missed Missed) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.orders.latest > missed.UpTo {
		return false
	}
	if missed.Data != nil {
		s.setData(*missed.Data)
	}
	if missed.Moved {
		s.kept.at = missed.UpTo
	}
	s.orders = orders{upTo: missed.UpTo}
	return true
}

// MoveTo puts the socket into rooms, each as ordered at a sequence of the stream, and out of all others. It says whether that
// changed anything.
func (s *Socket) MoveTo(ctx context.Context, rooms map[string]uint64) (moved bool, err error) {
	srv := s.client.srv
	for _, room := range srv.hub.Rooms(s) {
		if _, in := rooms[room]; !in {
			s.Leave(room)
			moved = true
		}
	}
	for room, sequence := range rooms {
		if srv.hub.In(s, room) {
			continue
		}
		if _, err := srv.backend.Acquire(ctx, s.namespace, room); err != nil {
			return moved, err
		}
		moved = s.joinAt(room, sequence) || moved
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for room := range s.kept.joined { // it may have been out in between
		s.kept.joined[room] = rooms[room]
	}
	return moved, nil
}

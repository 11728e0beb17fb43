package session

import "context"

// Join puts the socket into a room. When it returns nil, the socket hears all that is said to the room from
// then on.
func (s *Socket) Join(ctx context.Context, room string) error {
	sequence, err := s.client.srv.backend.Acquire(ctx, s.namespace, room)
	if err != nil {
		return err
	}
	s.joinAt(room, sequence)
	return nil
}

// JoinAt is Join, as ordered at a sequence of the stream.
func (s *Socket) JoinAt(ctx context.Context, room string, sequence uint64) error {
	if _, err := s.client.srv.backend.Acquire(ctx, s.namespace, room); err != nil {
		return err
	}
	s.joinAt(room, sequence)
	return nil
}

// joinAt puts the socket into a room that was acquired for it, and whose messages from a sequence of the stream on
// are for it. It says whether the socket was not in it.
func (s *Socket) joinAt(room string, sequence uint64) bool {
	srv := s.client.srv
	s.membership.Lock()
	joined := srv.hub.Join(s, room)
	if joined {
		srv.backend.Joined(s, room)
		s.mu.Lock()
		if s.kept.joined == nil {
			s.kept.joined = make(map[string]uint64)
		}
		s.kept.joined[room] = sequence
		s.mu.Unlock()
	}
	s.membership.Unlock()
	if !joined {
		srv.backend.Release(s.namespace, room)
		return false
	}
	s.keepIfIn()
	return true
}

// Leave takes the socket out of a room.
func (s *Socket) Leave(room string) {
	srv := s.client.srv
	s.membership.Lock()
	left := srv.hub.Leave(s, room)
	if left {
		srv.backend.Left(s, room)
		s.mu.Lock()
		s.kept.stays = s.kept.stays.add(srv.opts.StreamAge, Stay{room, s.kept.joined[room], srv.backend.Position()})
		delete(s.kept.joined, room)
		s.mu.Unlock()
	}
	s.membership.Unlock()
	if !left {
		return
	}
	srv.backend.Release(s.namespace, room)
	s.keepIfIn()
}

// keepIfIn stores the socket's session, if it is in. Who enters stores it then; a new one has no session until it begins to
// store it, and what changes after that is stored, too.
func (s *Socket) keepIfIn() {
	if s.found == nil || s.connected() {
		s.keep(nil)
	}
}

// enterHub puts the socket into the hub, in the place of an earlier connection of it that has not ended yet; false if that
// one has taken the session over later, and stays.
func (s *Socket) enterHub() bool {
	srv := s.client.srv
	s.membership.Lock()
	old, left, ok := srv.hub.Replace(s, func(old *Socket) bool { return old.Claimed() < s.Claimed() })
	for _, room := range left {
		srv.backend.Left(s, room)
	}
	s.membership.Unlock()
	for _, room := range left {
		srv.backend.Release(s.namespace, room)
	}
	if ok && old != nil {
		old.MovedOn()
	}
	return ok
}

// leaveAll takes the socket out of the hub and returns the rooms that it was in.
func (s *Socket) leaveAll() []string {
	srv := s.client.srv
	s.membership.Lock()
	rooms := srv.hub.Remove(s)
	for _, room := range rooms {
		srv.backend.Left(s, room)
	}
	s.membership.Unlock()
	for _, room := range rooms {
		srv.backend.Release(s.namespace, room)
	}
	return rooms
}

package session

import "context"

// Join puts the socket into a room. When it returns nil, the socket hears all that is said to the room from
// then on.
func (s *Socket) Join(ctx context.Context, room string) error {
	srv := s.client.srv
	if err := srv.backend.Acquire(ctx, s.namespace, room); err != nil {
		return err
	}
	s.membership.Lock()
	joined := srv.hub.Join(s, room)
	if joined {
		srv.backend.Joined(s, room)
	}
	s.membership.Unlock()
	if !joined {
		srv.backend.Release(s.namespace, room)
	}
	return nil
}

// Leave takes the socket out of a room.
func (s *Socket) Leave(room string) {
	srv := s.client.srv
	s.membership.Lock()
	left := srv.hub.Leave(s, room)
	if left {
		srv.backend.Left(s, room)
	}
	s.membership.Unlock()
	if left {
		srv.backend.Release(s.namespace, room)
	}
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

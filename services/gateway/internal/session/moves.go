package session

import "github.com/natter-io/natter/pkg/contract"

// join puts the client into a room, and leave takes it out. They are acked once that is stored: a client that was told
// where it is, is there when it comes back, too.

func (e *event) join(room string) *contract.Refusal {
	s, srv := e.socket, e.socket.client.srv
	in := srv.hub.In(s, room)
	if !in && len(srv.hub.Rooms(s)) >= srv.opts.MaxRooms {
		return refuse(contract.CodeForbidden, "a client can be in %d rooms at most", srv.opts.MaxRooms)
	}
	if !s.startReply() {
		return errTooManyReplies(e.name)
	}
	if !in {
		if err := s.Join(s.client.ctx, room); err != nil {
			s.endReply()
			srv.often("a client could not join a room now", "room", room, "namespace", s.namespace, "error", err)
			return nil // not answered: the client's own timeout is its error
		}
	}
	a, announce := e.answer, e.rule.Announce && !in
	s.settled(func(err error) {
		s.endReply()
		if err == nil {
			a.ack(accepted{OK: true})
		}
		if announce && srv.hub.In(s, room) { // it may have been put out meanwhile
			s.announce(contract.EventJoined, room)
		}
	})
	return nil
}

func (e *event) leave(room string) *contract.Refusal {
	s := e.socket
	if !s.startReply() {
		return errTooManyReplies(e.name)
	}
	in := s.client.srv.hub.In(s, room)
	s.Leave(room)
	if in && s.announces() {
		s.announce(contract.EventLeft, room)
	}
	a := e.answer
	s.settled(func(err error) {
		s.endReply()
		if err == nil {
			a.ack(accepted{OK: true})
		}
	})
	return nil
}

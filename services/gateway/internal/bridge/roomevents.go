package bridge

import (
	"encoding/json"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/internal/session"
)

// Joined counts the socket into the room and says so where the namespace asks for it.
func (b *Bridge) Joined(s *session.Socket, room string) { b.moved(s, room, 1) }

// Left counts the socket out.
func (b *Bridge) Left(s *session.Socket, room string) { b.moved(s, room, -1) }

func (b *Bridge) moved(s *session.Socket, room string, by int) {
	path, err := b.rooms.path(s.Namespace(), contract.To(room))
	if err != nil {
		return // it could not have been joined
	}
	if _, ns, _ := b.spaces.find(s.Namespace()); !ns.RoomEvents {
		b.rooms.move(path, by)
		return
	}
	// Held while it is said: two sockets that move at once are told of in the order in which they were counted. The
	// rooms' own lock is not held, which every message needs.
	b.moving.Lock()
	defer b.moving.Unlock()
	now := b.rooms.move(path, by)
	if by > 0 {
		if now == 1 {
			b.sayRoom(s, contract.EventCreateRoom, room)
		}
		b.sayRoom(s, contract.EventJoinRoom, room, s.ID())
		return
	}
	b.sayRoom(s, contract.EventLeaveRoom, room, s.ID())
	if now == 0 {
		b.sayRoom(s, contract.EventDeleteRoom, room)
	}
}

func (b *Bridge) sayRoom(s *session.Socket, event, room string, id ...string) {
	subject, err := b.opts.Subjects.Room(s.Namespace(), event, room, b.opts.Gateway)
	if err == nil {
		msg := &nats.Msg{Subject: subject, Header: nats.Header{}}
		b.signPattern(msg, s.Namespace())
		if msg.Data, err = json.Marshal(append([]string{event, room}, id...)); err == nil {
			err = b.nc.PublishMsg(msg)
		}
	}
	if err != nil {
		b.often(&b.lately.room, "services were not told who comes into rooms and leaves them", "namespace", s.Namespace(), "event", event, "error", err)
	}
}

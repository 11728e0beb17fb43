package sdk

import (
	"context"

	"github.com/natter-io/natter/pkg/contract"
)

// RoomEvent is what happened to a room at one gateway.
type RoomEvent struct {
	Event     string // contract.EventCreateRoom, EventJoinRoom, EventLeaveRoom or EventDeleteRoom
	Namespace string
	Room      string
	Socket    string // the socket's id; "" when a room was created or deleted
	Gateway   string
}

// OnRoom adds a handler for what happens to rooms, as the adapter's events create-room, join-room, leave-room and
// delete-room in Socket.IO: each gateway speaks of its own sockets, so that a room is created at every gateway where
// somebody joins it, and deleted when the last one there has left. It has the namespace's configuration ask for these
// events, which cost a message whenever somebody joins or leaves. Each event is handled by one
// instance of the service; those of one room at one gateway come to an instance in order, but instances do not wait for
// each other. What was said while no instance ran is not heard: [Broadcast.FetchSockets]
// tells who is there.
func (n *Namespace) OnRoom(h func(ctx context.Context, e RoomEvent)) {
	n.add("room events", "room", func() { n.rooms = append(n.rooms, h) })
}

// roomSubjects are where room events are heard.
func (n *Namespace) roomSubjects() ([]string, error) {
	if len(n.rooms) == 0 {
		return nil, nil
	}
	subject, err := n.server.subjects.RoomAny(n.name)
	return []string{subject}, err
}

// room runs the handlers of a room event.
func (r *run) room(j job, args Args) {
	rooms := j.what.Target.Rooms()
	if len(rooms) != 1 {
		return // the subject's parser gives one
	}
	e := RoomEvent{Event: j.what.Event, Namespace: j.what.Namespace, Room: rooms[0], Gateway: j.what.Gateway}
	if j.what.Event == contract.EventJoinRoom || j.what.Event == contract.EventLeaveRoom {
		e.Socket = args.String(1)
	}
	for _, h := range j.of.rooms {
		r.tell(j.msg.Subject, func(ctx context.Context) { h(ctx, e) })
	}
}

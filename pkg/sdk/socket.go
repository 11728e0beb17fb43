package sdk

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
)

// Socket is a client in a namespace, as a service sees it. It is a name, not a connection: the client may be
// gone, and what is said to it then reaches nobody. Its methods may be called from any goroutine.
//
// It has what came with the event that it is handed for. For what did not, such as its rooms, ask the gateway: see
// [Socket.Fetch].
type Socket struct {
	server    *Server
	namespace string
	id        string
	gateway   string // that has it, as far as is known; "": that of its id
	user      string
	name      string
	data      *socketData
	timeout   time.Duration
}

// ID is the socket's id, <gateway>.<id>.
func (s *Socket) ID() string { return s.id }

// Namespace is the name of the namespace the socket is in.
func (s *Socket) Namespace() string { return s.namespace }

// User is the id of the user whom a middleware verified, "" for a guest.
func (s *Socket) User() string { return s.user }

// Name is the user's name, or the one a guest chose: do not decide by it.
func (s *Socket) Name() string { return s.name }

// Data decodes the socket's data, socket.data in Socket.IO, as encoding/json does; null if it has none. It has them in
// every handler, as they were when the client said the event, or as [Socket.SetData] has set them since. What a handler
// sets with SetData is there for the socket's next event, unless the client had said that already.
//
// Errors: those of encoding/json; [ErrDataElsewhere] if they are too large to come with events.
func (s *Socket) Data(pointer any) error { return s.data.decode(pointer) }

// self is this socket as a target.
func (s *Socket) self() Broadcast {
	return Broadcast{server: s.server, namespace: s.namespace, rooms: []string{s.id}, timeout: s.timeout}
}

// others is the rest of the namespace, told that this socket says it.
func (s *Socket) others() Broadcast {
	return Broadcast{server: s.server, namespace: s.namespace, except: []string{s.id}, sender: s, timeout: s.timeout}
}

// To is a broadcast to rooms in the name of this socket, which does not hear it: stamps and history name it and
// its user as the sender.
func (s *Socket) To(rooms ...string) Broadcast { return s.others().To(rooms...) }

// In is the same as To.
func (s *Socket) In(rooms ...string) Broadcast { return s.others().To(rooms...) }

// Except is a broadcast to everybody but this socket and those in the rooms, in its name.
func (s *Socket) Except(rooms ...string) Broadcast { return s.others().Except(rooms...) }

// Broadcast is everybody else in the namespace, in the name of this socket.
func (s *Socket) Broadcast() Broadcast { return s.others() }

// Local is everybody else in the namespace at the gateway that holds this socket, in its name. That is the gateway which it had
// when the event was said, or the socket was fetched: a client that comes back later may be at another one.
func (s *Socket) Local() Broadcast {
	gateway, _, _ := strings.Cut(s.id, ".")
	return s.others().Local(cmp.Or(s.gateway, gateway))
}

// Volatile is [Broadcast.Volatile] to this socket.
func (s *Socket) Volatile() Broadcast { return s.self().Volatile() }

// Compress is [Broadcast.Compress] to this socket.
func (s *Socket) Compress(compress bool) Broadcast { return s.self().Compress(compress) }

// Timeout is the same socket, whose EmitWithAck waits that long.
func (s *Socket) Timeout(d time.Duration) *Socket {
	copied := *s
	copied.timeout = d
	return &copied
}

// Emit is [Broadcast.Emit] to this socket.
func (s *Socket) Emit(ctx context.Context, event string, args ...any) error {
	return s.self().Emit(ctx, event, args...)
}

// EmitWithAck says an event to this socket and returns its ack.
//
// Errors: [ErrTimeout], [ErrNoGateway] when the socket or its gateway is gone, those of [Broadcast.EmitWithAck].
func (s *Socket) EmitWithAck(ctx context.Context, event string, args ...any) (Args, error) {
	answers, err := s.self().EmitWithAck(ctx, event, args...)
	if err != nil {
		return Args{}, err
	}
	if len(answers) == 0 {
		return Args{}, fmt.Errorf("emit %q with ack: %w: the socket %s is not there", event, ErrNoGateway, s.id)
	}
	return answers[0].Args, nil
}

// Join is [Broadcast.Join] of this socket.
func (s *Socket) Join(ctx context.Context, rooms ...string) error {
	return s.self().Join(ctx, rooms...)
}

// Leave is [Broadcast.Leave] of this socket.
func (s *Socket) Leave(ctx context.Context, rooms ...string) error {
	return s.self().Leave(ctx, rooms...)
}

// SetData is [Broadcast.SetData] of this socket. From then on [Socket.Data] of this Socket has them too, in all handlers of
// the event.
func (s *Socket) SetData(ctx context.Context, data any) error {
	text, err := encodeData(data)
	if err != nil {
		return err
	}
	if err := s.self().do(ctx, "data", json.RawMessage(text)); err != nil {
		return err
	}
	s.data.set(text, nil)
	return nil
}

// Disconnect is [Broadcast.Disconnect] of this socket.
func (s *Socket) Disconnect(ctx context.Context, closeConnection bool) error {
	return s.self().Disconnect(ctx, closeConnection)
}

// sign names the socket as the sender.
func (s *Socket) sign(msg *nats.Msg) {
	msg.Header.Set(contract.HeaderSocket, s.id)
	if s.user != "" {
		msg.Header.Set(contract.HeaderUser, s.user)
	}
	if s.name != "" {
		msg.Header.Set(contract.HeaderName, s.name)
	}
}

package sdk

import (
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
type Socket struct {
	server    *Server
	namespace string
	info      contract.SocketInfo
	recovered bool
	timeout   time.Duration
}

func newSocket(server *Server, namespace string, info contract.SocketInfo) *Socket {
	return &Socket{server: server, namespace: namespace, info: info}
}

// ID is the socket's id, <gateway>.<id>.
func (s *Socket) ID() string { return s.info.ID }

// Namespace is the name of the namespace the socket is in.
func (s *Socket) Namespace() string { return s.namespace }

// User is the id of the user whom a middleware verified, "" for a guest.
func (s *Socket) User() string { return s.info.User }

// Name is the user's name, or the one a guest chose: do not decide by it.
func (s *Socket) Name() string { return s.info.Name }

// Info is what the gateway said of the socket. It is complete in OnConnect and from FetchSockets. In handlers
// of events only ID, User and Name are set, and in OnDisconnecting also Rooms: fetch the socket if you need
// more.
func (s *Socket) Info() contract.SocketInfo { return s.info }

// Recovered says, in OnConnect, whether the client resumed a session that was interrupted.
func (s *Socket) Recovered() bool { return s.recovered }

// Rooms are those that the socket was in, without the room of its own id, as far as [Socket.Info] has them.
func (s *Socket) Rooms() []string { return s.info.Rooms }

// Handshake is what the gateway knows of the client's connection, as far as [Socket.Info] has it.
func (s *Socket) Handshake() contract.Handshake { return s.info.Handshake }

// Auth decodes what the client gave as auth, if the namespace's configuration has services told: HandshakeAuth. Without
// it, and in handlers of events, it is {}. Its error is a [Refusal].
func (s *Socket) Auth(pointer any) error { return decodeAuth(s.info.Handshake.Auth, pointer) }

// Data decodes the socket's data, as far as [Socket.Info] has them; null if it has none. Its error is encoding/json's.
func (s *Socket) Data(pointer any) error {
	if len(s.info.Data) == 0 {
		return json.Unmarshal([]byte("null"), pointer)
	}
	return json.Unmarshal(s.info.Data, pointer)
}

// self is this socket as a target.
func (s *Socket) self() Broadcast {
	return Broadcast{server: s.server, namespace: s.namespace, rooms: []string{s.info.ID}, timeout: s.timeout}
}

// others is the rest of the namespace, told that this socket says it.
func (s *Socket) others() Broadcast {
	return Broadcast{server: s.server, namespace: s.namespace, except: []string{s.info.ID}, sender: s, timeout: s.timeout}
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

// Local is everybody else in the namespace at the gateway that holds this socket, in its name.
func (s *Socket) Local() Broadcast {
	gateway, _, _ := strings.Cut(s.info.ID, ".")
	return s.others().Local(gateway)
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
		return Args{}, fmt.Errorf("emit %q with ack: %w: the socket %s is not there", event, ErrNoGateway, s.info.ID)
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

// SetData is [Broadcast.SetData] of this socket. What [Socket.Info] has of it here does not change.
func (s *Socket) SetData(ctx context.Context, data any) error { return s.self().SetData(ctx, data) }

// Disconnect is [Broadcast.Disconnect] of this socket.
func (s *Socket) Disconnect(ctx context.Context, closeConnection bool) error {
	return s.self().Disconnect(ctx, closeConnection)
}

// sign names the socket as the sender.
func (s *Socket) sign(msg *nats.Msg) {
	msg.Header.Set(contract.HeaderSocket, s.info.ID)
	if s.info.User != "" {
		msg.Header.Set(contract.HeaderUser, s.info.User)
	}
	if s.info.Name != "" {
		msg.Header.Set(contract.HeaderName, s.info.Name)
	}
}

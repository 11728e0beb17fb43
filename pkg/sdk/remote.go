package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/natter-io/natter/pkg/contract"
)

// RemoteSocket is a socket with all that its gateway knew of it at one moment: when it was fetched, or when it connected.
// Fetch it again to know what is now.
type RemoteSocket struct {
	*Socket
	info contract.SocketInfo
}

// ConnectedSocket is a socket that has just entered its namespace.
type ConnectedSocket struct {
	*RemoteSocket
	recovered bool
}

// Info is all that the gateway said of the socket.
func (s *RemoteSocket) Info() contract.SocketInfo { return s.info }

// Rooms are those that the socket was in, without the room of its own id.
func (s *RemoteSocket) Rooms() []string { return s.info.Rooms }

// Handshake is what the gateway knows of the client's connection, without what proves who the client is.
func (s *RemoteSocket) Handshake() contract.Handshake { return s.info.Handshake }

// Auth decodes what the client gave as auth. Services are told only if the namespace's configuration says so with
// HandshakeAuth: without it, [ErrNoAuth].
func (s *RemoteSocket) Auth(pointer any) error {
	if len(s.info.Handshake.Auth) == 0 {
		return fmt.Errorf("%w %s", ErrNoAuth, s.namespace)
	}
	return decodeAuth(s.info.Handshake.Auth, pointer)
}

// Recovered says whether the client resumed a session that was interrupted.
func (s *ConnectedSocket) Recovered() bool { return s.recovered }

// newSocket is a socket of which an event is all that is known.
func newSocket(server *Server, namespace, id string, h contract.Header) *Socket {
	data, err := contract.ParseData(h)
	return &Socket{
		server: server, namespace: namespace, id: id,
		gateway: contract.Last(h, contract.HeaderGateway),
		user:    contract.Last(h, contract.HeaderUser), name: contract.Last(h, contract.HeaderName),
		data: &socketData{text: data, err: err},
	}
}

func newRemoteSocket(server *Server, namespace, gateway string, info contract.SocketInfo) *RemoteSocket {
	return &RemoteSocket{
		info: info,
		Socket: &Socket{
			server: server, namespace: namespace, id: info.ID, gateway: gateway, user: info.User, name: info.Name, data: &socketData{text: info.Data},
		},
	}
}

// Fetch asks the socket's gateway for all that it knows of it now: rooms, data, handshake. What this server ordered
// before, such as [Socket.Join], has taken effect there.
//
// Errors: [ErrNoSocket] if the client or its gateway is gone, and those of [Broadcast.FetchSockets].
func (s *Socket) Fetch(ctx context.Context) (*RemoteSocket, error) {
	sockets, err := s.self().FetchSockets(ctx)
	if errors.Is(err, ErrNoGateway) || err == nil && len(sockets) == 0 {
		return nil, fmt.Errorf("fetch: %w: %s", ErrNoSocket, s.id)
	}
	if err != nil {
		return nil, err
	}
	return sockets[0], nil
}

// socketData are shared by all copies of a socket.
type socketData struct {
	mu   sync.Mutex
	text json.RawMessage
	err  error // why they are not here
}

func (d *socketData) decode(pointer any) error {
	d.mu.Lock()
	text, err := d.text, d.err
	d.mu.Unlock()
	switch {
	case err != nil:
		return fmt.Errorf("data: %w", err)
	case len(text) == 0:
		text = json.RawMessage("null")
	}
	return json.Unmarshal(text, pointer)
}

func (d *socketData) set(text json.RawMessage, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.text, d.err = text, err
}

// encodeData writes what [Socket.SetData], [Broadcast.SetData] and [Client.SetData] are given.
func encodeData(data any) ([]byte, error) {
	text, err := encodeJSON(data)
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	if len(text) > contract.MaxData {
		return nil, fmt.Errorf("%w: %d bytes of JSON, at most %d are allowed", ErrDataTooLarge, len(text), contract.MaxData)
	}
	return text, nil
}

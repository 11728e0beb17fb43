package session

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/socketio"
	"github.com/natter-io/natter/services/gateway/internal/transport"
)

// Socket is a client in one namespace. Its methods may be called by anyone at any time; those that send do
// not block.
type Socket struct {
	client    *Client
	id        string
	namespace string
	cancel    context.CancelFunc // ends enter

	// Written by enter, before the socket becomes a member of the hub; read-only afterwards.
	handshake contract.Handshake
	user      string
	name      string
	roles     []string
	rooms     []string  // those that middlewares grant; the hub knows the current ones
	expires   time.Time // when the admission ends; zero: never
	back      comeback  // what the client says of its earlier session
	origin    string    // what stays of a client's private ids; "" if it has none
	secret    string    // by which a guest is known again; "" if it has given none
	found     *Found    // the session with which it goes on, or nil
	greetings []contract.Greeting
	claimed   bool // whether it holds the namespace for a function

	// life is held while services, and the client, are told that the socket is in, says something or is out,
	// so that nobody hears them in another order. It is taken before the client's lock.
	life sync.Mutex

	// membership is held while the socket comes into a room or leaves it and that is noted and told, so that both are in the
	// order in which it happens. It is taken after life, before mu and the locks of hub and backend.
	membership sync.Mutex

	mu       sync.Mutex
	state    state
	added    bool // to the hub
	kept     kept
	orders   orders
	taken    taken
	data     json.RawMessage  // as the middlewares gave it, or services have set it since; see setData
	brief    brief            // of the data
	expelled bool             // whether it was put out before it was in
	asked    map[uint64]Asker // acks that the client owes, by id
	expiry   *time.Timer
	entry    []*transport.Message // the answer to CONNECT and what stands before it, until they are sent

	// Of the hub's worker, once the socket is added.
	floor uint64 // what was stored up to here was sent already
	held  *held  // what waits until CONNECT is answered and what was missed is sent; nil: nothing waits

	replies atomic.Int32 // acks that services or gateways owe this client
	storing storing      // what it said and is not stored yet; made by the connection's reader with the first post
}

// startReply takes one of the places for acks that the client waits for; false if all are taken.
func (s *Socket) startReply() bool {
	if s.replies.Add(1) > int32(s.client.srv.opts.MaxPendingAcks) {
		s.replies.Add(-1)
		return false
	}
	return true
}

func (s *Socket) endReply() { s.replies.Add(-1) }

// state of a socket: entering → connected → closed, or entering → closed.
type state int

const (
	entering state = iota // middlewares decide
	connected
	closed
)

// Asker waits for a client's ack. Each method is called at most once for a socket, and only one of them.
type Asker interface {
	Answered(s *Socket, args []byte, attachments [][]byte) // a JSON array, valid during the call
	Gone(s *Socket)                                        // the socket closed without an answer
}

// ID is the socket's id, <gateway>.<random>.
func (s *Socket) ID() string { return s.id }

// Namespace is the namespace that the socket is in.
func (s *Socket) Namespace() string { return s.namespace }

// User is the verified user id, or "".
func (s *Socket) User() string { return s.user }

// Name is the account's name, or the one that the client chose, or "".
func (s *Socket) Name() string { return s.name }

// secretHeaders carry what proves who a client is. Middlewares see them, others do not.
var secretHeaders = []string{"authorization", "cookie", "proxy-authorization"}

// Info describes the socket to services, without what proves who it is: [secretHeaders], and auth unless the
// namespace asks for it.
func (s *Socket) Info() contract.SocketInfo {
	rooms := s.client.srv.hub.Rooms(s)
	slices.Sort(rooms)
	if rooms == nil {
		rooms = []string{}
	}
	h := s.handshake
	h.Headers = maps.Clone(h.Headers)
	for _, name := range secretHeaders {
		delete(h.Headers, name)
	}
	s.mu.Lock()
	data := s.data
	s.mu.Unlock()
	return contract.SocketInfo{ID: s.id, User: s.user, Name: s.name, Roles: s.roles, Rooms: rooms, Data: data, Transport: s.client.conn.Transport(), Handshake: h}
}

// Send sends an encoded packet after all that was sent before.
func (s *Socket) Send(m *transport.Message) { _ = s.client.conn.Send(m) } // an error closes the connection, which is told on its own

// SendVolatile sends an encoded packet if the client can take it right now, and reports whether it did.
func (s *Socket) SendVolatile(m *transport.Message) bool { return s.client.conn.SendVolatile(m) }

// Ask sends an event that wants the ack id; the asker hears the answer. It returns false, and the asker
// hears nothing, if the socket is closed or owes too many acks.
func (s *Socket) Ask(id uint64, m *transport.Message, asker Asker) bool {
	s.mu.Lock()
	if s.state != connected || len(s.asked) >= s.client.srv.opts.MaxPendingAcks {
		s.mu.Unlock()
		return false
	}
	if s.asked == nil {
		s.asked = make(map[uint64]Asker)
	}
	s.asked[id] = asker
	s.welcomeLocked(nil)
	s.mu.Unlock()
	s.Send(m)
	return true
}

// Forget drops an ack that nobody waits for any more.
func (s *Socket) Forget(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.asked, id)
}

func (s *Socket) acked(p *socketio.Packet) {
	s.mu.Lock()
	asker := s.asked[p.ID]
	delete(s.asked, p.ID)
	s.mu.Unlock()
	if asker == nil {
		s.client.srv.opts.Metrics.LateAck()
		return
	}
	args := p.Data
	if len(args) == 0 {
		args = []byte("[]")
	}
	asker.Answered(s, args, p.Attachments)
}

// Disconnect puts the client out of the namespace, or out of all namespaces and closes its connection, after
// all that was sent before. A client that is put out does not come back by itself.
func (s *Socket) Disconnect(connection bool) {
	if connection {
		s.client.disconnect()
		return
	}
	if !s.expel() {
		s.end(ReasonServerDisconnect, true)
	}
}

// expel sees to it that a socket which is about to be told that it is in is put out right after, and hears
// nothing until then. It returns false if that moment has passed.
func (s *Socket) expel() bool {
	s.mu.Lock()
	s.expelled = s.expelled || s.state == entering
	expelled, added := s.expelled && s.state == entering, s.added
	s.mu.Unlock()
	if expelled && added {
		s.leaveAll()
	}
	return expelled
}

// abandon ends a socket that is not in yet, and reports whether it was in time.
func (s *Socket) abandon() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != entering {
		return false
	}
	s.state = closed
	s.cancel()
	return true
}

// CloseTransport closes the connection without a word, so that the client reconnects by itself.
func (s *Socket) CloseTransport() { s.client.conn.Close(ReasonForcedClose) }

func (s *Socket) connected() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state == connected
}

func (s *Socket) close(reason string) { s.end(reason, false) }

// newID draws the second part of a socket id: 120 random bits.
func newID() string {
	var b [contract.SocketIDLength / 4 * 3]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Package session is the Socket.IO server's side of a connection: namespaces multiplexed over it, the
// sockets in them, events, acks, and the rules that say what a client's event does
// (Socket.IO protocol v5, https://socket.io/docs/v4/socket-io-protocol/, and v4 for older clients).
//
// It knows connections from package transport, membership from package hub, and the world outside as a
// [Backend]; it does not know NATS.
package session

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/internal/hub"
	"github.com/natter-io/natter/services/gateway/internal/parser"
	"github.com/natter-io/natter/services/gateway/internal/transport"
)

// ErrUnavailable says that a part of the system does not answer. Nothing was done.
var ErrUnavailable = errors.New("unavailable")

// ErrTooLarge says that a message is larger than the backend takes.
var ErrTooLarge = errors.New("message too large")

// Say is something that a client says to others.
type Say struct {
	Kind        contract.Kind // Emit, Post or Volatile
	Namespace   string
	Target      contract.Target
	Except      []string
	From        *Socket
	Event       []byte   // the event array, JSON
	ID          string   // the application id, by which it is known if it is said again; "" if it has none
	Attachments [][]byte // for the placeholders in it
}

// Backend is what sockets need of the world outside. Its methods are safe for concurrent use; what they
// are given is not kept after they return, nor after done is called.
type Backend interface {
	// Namespace looks up a namespace's configuration and the name under which it stands, which is the namespace's
	// own or a pattern; false if there is no such namespace.
	Namespace(name string) (configured string, ns contract.Namespace, ok bool)
	// Functions lists what to ask whether a namespace exists that has no configuration of its own and none from a
	// pattern, in order; if somebody is in it, the function that said so alone.
	Functions(namespace string) []string
	// Claim gives the namespace its configuration from a function that said that it exists, until as many calls of
	// Disclaim; false if it has it from another one already.
	Claim(namespace, function string) bool
	Disclaim(namespace string)
	// Use asks a middleware of a namespace, or a function, about a client until it answers or the context ends.
	Use(ctx context.Context, namespace, middleware string, entry contract.Entry) (contract.Admission, error)
	// Take asks the instances of a service until one takes the socket, or the context ends, and returns its id. Until
	// Untake the socket's connection is closed when the instance is gone, with [Socket.Lose], or wants to go.
	Take(ctx context.Context, s *Socket, service string) (instance string, err error)
	Untake(s *Socket)
	// Enter hears what is said to the whole namespace, Acquire what is said to a room. When they return
	// nil, all that is published from then on is heard, until as many calls of Exit and Release.
	// They return how far the stream was at that moment, or earlier. Adopt is Acquire for what is said to a socket by its
	// id, if the id is another gateway's.
	Enter(ctx context.Context, namespace string) (sequence uint64, err error)
	Exit(namespace string)
	Acquire(ctx context.Context, namespace, room string) (sequence uint64, err error)
	Release(namespace, room string)
	Adopt(ctx context.Context, namespace, id string) error
	Abandon(namespace, id string)
	// FindSession looks for the session of a client that comes back; nil if there is none that it could go on with. The
	// offset is how far the client has heard, "" if it has heard nothing in this session.
	FindSession(ctx context.Context, namespace, pid, offset string) (*Found, error)
	// ClaimSession takes a session over from the gateway that has it, or had it. It fails with [ErrClaimed] if somebody else was
	// quicker. If services were told that the client is gone they were until the session is stored as that of a client that is here:
	// nobody tells them again. If not, whoever lets the client in or stores that it is gone does, with TellGone.
	ClaimSession(ctx context.Context, f *Found) (Claim, error)
	TellGone(saved Saved)
	// Missed reads what the socket, which is in the hub already, missed after a sequence of the stream. It was as saved: later orders of
	// services have not taken effect, and it puts the socket into the rooms in which it is by them, and out of others. It fails with [ErrClaimed] if somebody took the session over meanwhile.
	Missed(ctx context.Context, s *Socket, from uint64, was Saved) (Missed, error)
	// Slept says whether this process has stood still since a moment, for so long that others may have taken over what it had then.
	Slept(since time.Time) bool
	// Epoch is the incarnation of the stream that sequences are of.
	Epoch() string
	// Position is the stream's sequence until which everything has been handed to the hub, and orders have taken effect.
	Position() uint64
	// Keep stores a session; done is called once, with the revision or with an error: [ErrClaimed] if it is another
	// gateway's, or another one has told services that the client is gone. That a client is gone is tried for a while before there is
	// an error.
	Keep(c Claim, saved Saved, fate Fate, done func(revision uint64, err error))
	// Joined and Left tell whoever wants to know that the socket came into a room and left it. The calls for one
	// socket come in order.
	Joined(s *Socket, room string)
	Left(s *Socket, room string)
	// Store publishes a durable event, after those that the same socket said before; done is called with the message's id
	// once it is stored, or was when it was said for the first time, with [ErrTooLarge] if it never can be, or with another
	// error if it is not known to be stored.
	Store(say Say, done func(id string, err error))
	// Volatile publishes an event for whoever is there.
	Volatile(say Say) error
	// On tells services what a client said; of the service that has taken the socket, that instance. With ack it wants an answer: unless On fails, ack is called once,
	// with the ack's arguments as a JSON array, or with the error that there is none.
	On(s *Socket, event string, array []byte, attachments [][]byte, ack func(array []byte, attachments [][]byte, err error)) error
	// Who lists the sockets in a room over all gateways, within seconds. With an error, the list lacks some.
	Who(namespace, room string) ([]contract.SocketInfo, error)
	// History asks an endpoint of the history service; done is called once with the JSON of its answer or of a refusal,
	// or with an error, which is [ErrTooLarge] if the request never can be sent.
	History(endpoint string, request any, done func(reply []byte, err error))
	// Change is History for what changes a message. It is asked once all is over that was to be changed for the same socket before.
	Change(s *Socket, endpoint string, request any, done func(reply []byte, err error))
}

// Options are the limits of sessions.
type Options struct {
	Gateway            string        // the gateway's id, first part of socket ids
	ConnectTimeout     time.Duration // for a client to enter its first namespace, and for middleware to answer
	MaxNamespaces      int           // sockets over one connection
	MaxPendingAcks     int           // unanswered acks of one socket in each direction, and posts not yet stored
	MaxRooms           int           // rooms of one socket
	StreamAge          time.Duration // for which what was said can be read back
	Recovery           bool          // whether clients that come back may go on as the same socket
	MaxHeld            int           // messages that a client that comes back may have missed, and that may wait for it
	MaxHeldBytes       int           // the same, in bytes
	MaxAttachmentBytes int           // of one packet
	Parser             parser.Parser // how all clients of the gateway spell packets
	Log                *slog.Logger
	Metrics            Metrics
}

// Metrics counts what happens to packets. All methods may be called concurrently.
type Metrics interface {
	Received(namespace, action string) // an event of a client, by the configured name and what was done; "" for a namespace that was removed
	Refused(code string)               // an event of a client that was refused
	Malformed(reason string)           // a packet that ended its connection
	LateAck()                          // an ack for which nobody waits any more
}

// Server makes sessions. It is safe for concurrent use.
type Server struct {
	opts    Options
	hub     *hub.Hub[*Socket]
	backend Backend
	rosters *rosters
	nextAck atomic.Uint64
	lately  rate.Sometimes // warnings that clients can cause at will
}

// NewServer returns a server whose sockets are members of the hub.
func NewServer(opts Options, h *hub.Hub[*Socket], backend Backend) *Server {
	return &Server{opts: opts, hub: h, backend: backend, rosters: newRosters(backend.Who), lately: rate.Sometimes{First: 10, Interval: time.Second}}
}

// often warns of what clients can cause at will: the first times, then once a second. Counters have them all.
func (srv *Server) often(message string, args ...any) {
	srv.lately.Do(func() { srv.opts.Log.Warn(message, args...) })
}

// Accept makes the session of a new connection.
func (srv *Server) Accept(conn *transport.Conn) transport.Session {
	c := newClient(srv, conn)
	if c.speaksV4() {
		c.enterMain()
	}
	return c
}

// NextAck draws an ack id that no other event of this gateway has, so that one encoded packet serves every
// socket that is asked.
func (srv *Server) NextAck() uint64 { return srv.nextAck.Add(1) }

// encode writes v as JSON for a client or service, without escaping < > &.
func encode(v any) []byte {
	var b jsonBuffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("session: encoding our own type: " + err.Error()) // contract types always encode
	}
	return b[:len(b)-1] // without the encoder's newline
}

type jsonBuffer []byte

func (b *jsonBuffer) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

package sdk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"
	"github.com/nats-io/nuid"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/gather"
)

// mainNamespace is where a Socket.IO server's own methods say things.
const mainNamespace = "/"

// Server is a service of the contract: the counterpart of Socket.IO's Server, outside the gateway. Its methods
// may be called from any goroutine. Handlers are registered before [Server.Start].
//
// Those of [Broadcast] mean every socket of the main namespace, which is not declared by saying something to it.
type Server struct {
	Broadcast
	nc       *nats.Conn
	gatherer *gather.Gatherer
	js       jetstream.JetStream
	opts     Options
	subjects contract.Subjects
	id       string
	log      *slog.Logger
	epochs   *epochs
	stats    counters
	outgoing atomic.Pointer[[]func(context.Context, Outgoing)]
	done     atomic.Uint64 // the highest sequence that was stored, which later questions come after

	life     sync.Mutex // held by Start and Stop, before mu
	startErr error
	stopErr  error
	halted   bool // Stop was called
	service  micro.Service

	mu         sync.Mutex
	frozen     bool // Start was called: nothing is registered any more
	namespaces map[string]*Namespace
	serverSide serverSide
	filters    []RequestFilter
	invalid    []error // registrations that Start refuses
	run        *run
}

// New makes a server on the connection, which stays the caller's. It does no I/O. For back ends that must not
// say anything late, give the connection nats.ReconnectBufSize(-1), and nats.MaxReconnects(-1) for any.
//
// It fails if an option is invalid.
func New(nc *nats.Conn, opts Options) (*Server, error) {
	if nc == nil {
		return nil, errors.New("sdk: no NATS connection")
	}
	subjects, err := opts.complete()
	if err != nil {
		return nil, fmt.Errorf("sdk: %w", err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("sdk: JetStream: %w", err)
	}
	s := &Server{
		nc: nc, gatherer: gather.New(nc), js: js, opts: opts, subjects: subjects, id: nuid.Next(),
		epochs: newEpochs(), log: opts.Log.With("service", opts.Name),
		namespaces: make(map[string]*Namespace),
	}
	s.Broadcast = Broadcast{server: s, namespace: mainNamespace}
	return s, nil
}

// Of is the namespace of that name ("/", "/admin"). A namespace asked for before Start is declared: Start
// registers it with the gateways, so that clients can connect to it. config says how to register one that is
// not there yet, above all its Role; without config it has no rules, and everybody may enter whom the
// middlewares admit. A namespace that is there already keeps its configuration, to which Ordered is added if it has
// none.
//
// Ordered, set to [Options.Name], has each socket belong to one instance of the service, which alone hears what it
// says, in order. One service can have the sockets of a namespace ([ErrOrdered] in the log); others hear them without.
//
// A name with * is a pattern, "/game-*": * stands for one or more characters other than a slash. Handlers are called
// for all namespaces that have their configuration from it, and find the one that they are called for in
// [Socket.Namespace]; what is said to the pattern reaches all of them. It hears their events among those of every
// namespace, for which it needs the permission.
//
// After Start, Of is for emitting.
func (s *Server) Of(name string, config ...contract.Namespace) *Namespace {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.namespaces[name]
	if n == nil {
		n = &Namespace{server: s, name: name, events: make(map[string][]Handler)}
		n.Broadcast = Broadcast{server: s, namespace: name}
	}
	if s.frozen {
		return n // not kept: names may come from clients, without end
	}
	if s.namespaces[name] == nil && strings.ContainsAny(name, `^\`) {
		s.log.Warn("a namespace whose name looks like a regular expression: it stands for itself alone; use a pattern, /game-*, or OfFunc", "namespace", name)
	}
	s.namespaces[name] = n
	if len(config) > 0 {
		n.config = config[0]
	}
	return n
}

// Use is [Namespace.Use] of the main namespace, which it declares, as io.use in Socket.IO.
func (s *Server) Use(m Middleware) { s.Of(mainNamespace).Use(m) }

// OnConnect is [Namespace.OnConnect] of the main namespace, which it declares, as io.on("connection") in Socket.IO.
func (s *Server) OnConnect(h func(ctx context.Context, s *ConnectedSocket)) {
	s.Of(mainNamespace).OnConnect(h)
}

// On is [Namespace.On] of the main namespace, which it declares: an event of a client. What Socket.IO has io.on for is
// [Server.OnConnect] and [Server.OnServerSide].
func (s *Server) On(event string, h Handler) { s.Of(mainNamespace).On(event, h) }

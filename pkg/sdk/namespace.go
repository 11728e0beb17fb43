package sdk

import (
	"context"
	"fmt"
	"slices"

	"github.com/natter-io/natter/pkg/contract"
)

// Handler answers an event of a client. What it returns is acked if the client asked for an ack; the first
// handler of an event that returns an Ack answers. A [Refusal] is acked as a refusal, any other error is logged
// and not answered. The context ends after [Options.HandlerTimeout], or when a stop can wait no longer.
type Handler func(ctx context.Context, s *Socket, args Args) (Ack, error)

// AnyHandler is a [Handler] for every event.
type AnyHandler func(ctx context.Context, s *Socket, event string, args Args) (Ack, error)

// Middleware decides whether a client may enter a namespace: nil admits it with what was set on the client, a
// [Refusal] refuses it. Any other error gives no answer, so that the gateway holds the client and asks again:
// nobody enters because a database was down, and nobody is turned away for good.
type Middleware func(ctx context.Context, c *Client) error

// Namespace is a namespace of the server: register handlers, or say something to all its sockets with the
// methods of [Broadcast]. Registering panics once the server was started, since it would have no effect.
type Namespace struct {
	Broadcast
	server *Server
	name   string
	config contract.Namespace

	uses          []use
	eventUses     []EventMiddleware
	events        map[string][]Handler
	any           []AnyHandler
	connect       []func(context.Context, *ConnectedSocket)
	disconnecting []func(context.Context, *Socket, string, []string)
	disconnect    []func(context.Context, *Socket, string)
	rooms         []func(context.Context, RoomEvent)
	exists        Decider // of a function
}

// use is a named chain of middlewares.
type use struct {
	name  string
	chain []Middleware
}

// Name is the namespace's name: "/", "/admin", "/game-*".
func (n *Namespace) Name() string { return n.name }

// Use adds a middleware under the service's name. Several run in the order in which they were added, until
// one does not admit.
func (n *Namespace) Use(m Middleware) { n.UseAs(n.server.opts.Name, m) }

// UseAs adds a middleware under a name of its own: gateways ask each name once, in the order in which the
// namespace's configuration lists them, first those of its "use", then those that services registered.
//
// A name stays registered when the service ends, and clients wait until it is back: who was let in by it must
// not get in without it. An operator who wants it gone takes it out of the bucket of namespaces.
func (n *Namespace) UseAs(name string, m Middleware) {
	n.add("middleware "+name, name, func() {
		i := slices.IndexFunc(n.uses, func(u use) bool { return u.name == name })
		if i < 0 {
			n.uses = append(n.uses, use{name: name})
			i = len(n.uses) - 1
		}
		n.uses[i].chain = append(n.uses[i].chain, m)
	})
}

// On adds a handler for an event.
func (n *Namespace) On(event string, h Handler) {
	n.add("event "+event, event, func() {
		if slices.Contains(reserved, event) {
			n.server.invalid = append(n.server.invalid,
				fmt.Errorf("%w: %s: %q: use OnConnect, OnDisconnecting or OnDisconnect", ErrReservedEvent, n.name, event))
		}
		if event == "connection" {
			n.server.log.Warn(`a handler for an event "connection" that clients say: OnConnect is told who has entered`, "namespace", n.name)
		}
		n.events[event] = append(n.events[event], h)
	})
}

// OnAny adds a handler for every event of a client, as socket.onAny does in Socket.IO: it runs before the middlewares for
// events, also for what these refuse, and before the event's own handlers.
func (n *Namespace) OnAny(h AnyHandler) {
	n.add("any event", "any", func() { n.any = append(n.any, h) })
}

// OnConnect adds a handler for sockets that have entered.
func (n *Namespace) OnConnect(h func(ctx context.Context, s *ConnectedSocket)) {
	n.add("connect", "connect", func() { n.connect = append(n.connect, h) })
}

// OnDisconnecting adds a handler for sockets that leave, with the rooms that they are still in, but for that of their own
// id.
func (n *Namespace) OnDisconnecting(h func(ctx context.Context, s *Socket, reason string, rooms []string)) {
	n.add("disconnecting", "disconnecting", func() { n.disconnecting = append(n.disconnecting, h) })
}

// OnDisconnect adds a handler for sockets that have left, with Socket.IO's reason: "transport close",
// "client namespace disconnect", "ping timeout", ….
func (n *Namespace) OnDisconnect(h func(ctx context.Context, s *Socket, reason string)) {
	n.add("disconnect", "disconnect", func() { n.disconnect = append(n.disconnect, h) })
}

// add runs change under the server's lock. A name that is no subject token is an error of Start.
func (n *Namespace) add(what, name string, change func()) {
	s := n.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen {
		panic(fmt.Sprintf("sdk: namespace %s: %s: registered after Start", n.name, what))
	}
	if _, err := contract.EncodeToken(name); err != nil {
		s.invalid = append(s.invalid, fmt.Errorf("namespace %s: %s: %w", n.name, what, err))
		return
	}
	change()
}

package sdk

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/natter-io/natter/pkg/contract"
)

// EventMiddleware decides whether an event of a client is handled: nil lets it on, a [Refusal] is acked as such, any
// other error is logged and not answered.
type EventMiddleware func(ctx context.Context, s *Socket, event string, args Args) error

// UseEvents adds a middleware for events, as socket.use does in Socket.IO: it runs for every event of the namespace, behind the
// handlers of OnAny and before those of the event. A refusal is acked if there is a handler here for the event; what
// others handle, another service or nobody, it does not answer. Several run in the order in which they were added, until one does not let
// the event on. Connecting and disconnecting are no events of a client, and what a rule of the namespace takes care
// of does not come here.
func (n *Namespace) UseEvents(m EventMiddleware) {
	n.add("middleware for events", "events", func() { n.eventUses = append(n.eventUses, m) })
}

// letOn runs the middlewares for events.
func (n *Namespace) letOn(ctx context.Context, socket *Socket, event string, args Args) error {
	for _, m := range n.eventUses {
		if err := m(ctx, socket, event, args); err != nil {
			return err
		}
	}
	return nil
}

// Outgoing is an event that this server says to clients. Its slices belong to the sender: do not change them.
type Outgoing struct {
	Kind      contract.Kind // Emit, Post, Volatile or Ask
	Namespace string
	Rooms     []string // and socket ids; none: all sockets of the namespace
	Except    []string
	Gateway   string // the only one that is meant: [Broadcast.Local]
	Event     string
	Args      Args // as clients hear them, to be read as those of a [Handler]
}

// OnAnyOutgoing adds a listener for what this server says to clients, in any namespace, as socket.onAnyOutgoing does
// in Socket.IO: for logs, counters, traces. It is called by the goroutine that says it, after the event was
// encoded and before it is published, which may still fail. What a middleware gives a client by [Client.Emit] goes with its
// admission and is not told here. It may be added at any time.
func (s *Server) OnAnyOutgoing(listener func(context.Context, Outgoing)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	listeners := slices.Clone(s.listeners())
	listeners = append(listeners, listener)
	s.outgoing.Store(&listeners)
}

func (s *Server) listeners() []func(context.Context, Outgoing) {
	if listeners := s.outgoing.Load(); listeners != nil {
		return *listeners
	}
	return nil
}

// told tells the listeners what is about to be said: an event array, as it was encoded.
func (b Broadcast) told(ctx context.Context, kind contract.Kind, event string, text []byte, attachments [][]byte) {
	listeners := b.server.listeners()
	if len(listeners) == 0 {
		return
	}
	var values []json.RawMessage
	if err := json.Unmarshal(text, &values); err != nil {
		return // it was encoded here
	}
	for _, listener := range listeners {
		listener(ctx, Outgoing{
			Kind: kind, Namespace: b.namespace, Rooms: b.rooms, Except: b.except, Gateway: b.gateway, Event: event, Args: Args{values[1:], attachments},
		})
	}
}

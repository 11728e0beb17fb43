package sdk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
)

// ServerSideHandler hears what another instance says with ServerSideEmit; from is its [Server.ID], "" if it has none.
// What it returns is answered as a [Handler]'s is acked.
type ServerSideHandler func(ctx context.Context, from string, args Args) (Ack, error)

// serverSide are the handlers of what instances say to each other, by namespace and event.
type serverSide map[string]map[string][]ServerSideHandler

// ID is drawn at random for each server: it tells instances apart in [ServerSideHandler] and in the answers to
// ServerSideEmitWithAck.
func (s *Server) ID() string { return s.id }

// OnServerSide is [Namespace.OnServerSide] in the main namespace.
func (s *Server) OnServerSide(event string, h ServerSideHandler) {
	s.onServerSide(mainNamespace, event, h)
}

// OnServerSide adds a handler for what other instances say in the namespace: those of this service and those of
// others, since all back ends of a deployment hear it, whatever their [Options.Name].
func (n *Namespace) OnServerSide(event string, h ServerSideHandler) {
	n.server.onServerSide(n.name, event, h)
}

func (s *Server) onServerSide(namespace, event string, h ServerSideHandler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen {
		panic(fmt.Sprintf("sdk: namespace %s: server-side event %s: registered after Start", namespace, event))
	}
	if _, err := s.subjects.Server(namespace, event); err != nil {
		s.invalid = append(s.invalid, fmt.Errorf("server-side event: %w", err))
		return
	}
	if s.serverSide == nil {
		s.serverSide = make(serverSide)
	}
	if s.serverSide[namespace] == nil {
		s.serverSide[namespace] = make(map[string][]ServerSideHandler)
	}
	s.serverSide[namespace][event] = append(s.serverSide[namespace][event], h)
}

// ServerSideEmit is [Namespace.ServerSideEmit] in the main namespace.
func (s *Server) ServerSideEmit(ctx context.Context, event string, args ...any) error {
	return s.serverSideEmit(ctx, mainNamespace, event, args)
}

// ServerSideEmit says an event to all other instances of back ends that have a handler for it; clients do not hear it.
// At most once, to those that run now.
//
// Errors: [ErrReservedEvent], [ErrTooManyAttachments], contract.ErrTokenTooLong, nats.ErrMaxPayload, those of the
// context, encoding and connection.
func (n *Namespace) ServerSideEmit(ctx context.Context, event string, args ...any) error {
	return n.server.serverSideEmit(ctx, n.name, event, args)
}

func (s *Server) serverSideEmit(ctx context.Context, namespace, event string, args []any) error {
	msg, err := s.sideMessage(namespace, event, args)
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = s.nc.PublishMsg(msg)
	}
	if err != nil {
		return fmt.Errorf("server-side emit %q: %w", event, err)
	}
	return nil
}

// ServerSideEmitWithAck is [Namespace.ServerSideEmitWithAck] in the main namespace.
func (s *Server) ServerSideEmitWithAck(ctx context.Context, event string, args ...any) ([]Answer, error) {
	return s.serverSideAsk(ctx, mainNamespace, event, args)
}

// ServerSideEmitWithAck says an event to all other instances and returns what they answer within
// [Options.AckTimeout], or until the context's deadline if that is sooner: nobody knows how many instances there
// are, so it waits until then, unless nobody, this instance included, has a handler. An answer's ID is the instance's.
//
// Errors: those of ServerSideEmit. Answers that came may be returned beside one.
func (n *Namespace) ServerSideEmitWithAck(ctx context.Context, event string, args ...any) ([]Answer, error) {
	return n.server.serverSideAsk(ctx, n.name, event, args)
}

func (s *Server) serverSideAsk(ctx context.Context, namespace, event string, args []any) ([]Answer, error) {
	answers, err := s.gatherSide(ctx, namespace, event, args)
	if err != nil {
		err = fmt.Errorf("server-side emit %q with ack: %w", event, err)
	}
	return answers, err
}

func (s *Server) gatherSide(ctx context.Context, namespace, event string, args []any) ([]Answer, error) {
	msg, err := s.sideMessage(namespace, event, args)
	if err != nil {
		return nil, err
	}
	msg.Reply = s.nc.NewInbox()
	sub, err := s.nc.SubscribeSync(msg.Reply)
	if err != nil {
		return nil, err
	}
	defer sub.Unsubscribe() //nolint:errcheck // fails only on a closed connection
	timeout := s.opts.AckTimeout
	if deadline, ok := ctx.Deadline(); ok {
		timeout = min(timeout, time.Until(deadline))
	}
	over := time.Now().Add(timeout)
	if err := errors.Join(ctx.Err(), s.nc.PublishMsg(msg)); err != nil {
		return nil, err
	}
	var answers []Answer
	waiting, cancel := context.WithDeadline(ctx, over)
	defer cancel()
	for {
		reply, err := sub.NextMsgWithContext(waiting)
		switch {
		case errors.Is(err, nats.ErrNoResponders):
			return answers, nil
		case err != nil && !time.Now().Before(over):
			return answers, nil
		case err != nil:
			return answers, err
		}
		h := contract.Header(reply.Header)
		from := contract.Last(h, contract.HeaderServer)
		got, err := decodeArray(h, reply.Data)
		if err != nil {
			return answers, fmt.Errorf("answer of instance %q: %w", from, err)
		}
		answers = append(answers, Answer{from, got})
	}
}

func (s *Server) sideMessage(namespace, event string, args []any) (*nats.Msg, error) {
	text, attachments, err := encodeEvent(event, args)
	if err != nil {
		return nil, err
	}
	subject, err := s.subjects.Server(namespace, event)
	if err != nil {
		return nil, err
	}
	msg := nats.NewMsg(subject)
	msg.Header.Set(contract.HeaderServer, s.id)
	msg.Data = contract.JoinPayload(text, attachments)
	if len(attachments) > 0 {
		msg.Header.Set(contract.HeaderAttachments, contract.FormatAttachments(attachments))
	}
	return msg, nil
}

// side hears what another instance says; its own it does not mind. It runs in a worker.
func (r *run) side(j job, args Args) {
	from := contract.Last(contract.Header(j.msg.Header), contract.HeaderServer)
	r.answer(j, func(call calling) {
		for _, h := range r.serverSide[j.what.Namespace][j.what.Event] {
			call("handler", func(ctx context.Context) (Ack, error) { return h(ctx, from, args) })
		}
	})
}

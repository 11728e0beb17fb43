package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"sync/atomic"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
)

// job is a message and what its subject says.
type job struct {
	msg  *nats.Msg
	what contract.Parsed
	of   *Namespace     // the namespace declared, or the pattern
	told *atomic.Uint64 // of a client's event: the highest sequence that its handlers stored
}

// context is of the handlers of an event.
func (r *run) context(j job) context.Context {
	if j.told == nil {
		return r.ctx
	}
	return context.WithValue(r.ctx, tellingKey{}, j.told)
}

// declared finds what was declared for a namespace: itself, or the pattern that the gateway names in the header, which
// knows what else there is. nil if neither was.
func (r *run) declared(namespace string, h contract.Header) *Namespace {
	if n := r.namespaces[namespace]; n != nil {
		return n
	}
	pattern, err := contract.DecodeNamespace(contract.Last(h, contract.HeaderPattern))
	if err != nil || !contract.MatchNamespace(pattern, namespace) {
		return nil
	}
	return r.namespaces[pattern]
}

// route hands a message to its lane: one per socket, one per request of a gateway, and one per other instance.
func (r *run) route(msg *nats.Msg) {
	s := r.server
	if r.allow != "" && msg.Subject == r.allow {
		r.lanes.add(msg.Reply, job{msg: msg, what: contract.Parsed{Kind: contract.Allow}}, true)
		return
	}
	what, err := s.subjects.Parse(msg.Subject)
	if err != nil {
		s.stats.malformed.Add(1)
		s.log.Warn("a message that is none of the contract was ignored", "subject", msg.Subject, "error", err)
		return
	}
	n := r.declared(what.Namespace, contract.Header(msg.Header))
	key, must := what.Socket, lifecycle(what.Event)
	switch {
	case what.Kind == contract.Server:
		if key, must = contract.Last(contract.Header(msg.Header), contract.HeaderServer), false; key == s.id {
			return // what it says itself
		}
	case n == nil:
		return // of a namespace that is somebody else's
	case what.Kind == contract.Use:
		key, must = msg.Reply, true
	case what.Instance != "" && !n.hears(what.Event):
		return
	case what.Kind == contract.Room:
		key, must = what.Gateway+" "+what.Namespace+" "+what.Target.String(), true
	}
	if !r.lanes.add(key, job{msg: msg, what: what, of: n}, must) {
		s.stats.flooded.Add(1)
		if r.flooded.CompareAndSwap(false, true) {
			s.log.Warn("a socket says more than its handlers can take, some of it is dropped: an eighth of Options.Backlog may wait for one socket",
				"socket", what.Socket, "subject", msg.Subject, "may wait", r.lanes.keyed)
		}
	}
}

func lifecycle(event string) bool {
	return event == contract.EventConnect || event == contract.EventDisconnecting || event == contract.EventDisconnect
}

// handle runs in a worker.
func (r *run) handle(j job) {
	if r.ctx.Err() != nil {
		r.server.stats.abandoned.Add(1)
		return
	}
	n := j.of
	if j.what.Kind == contract.Allow {
		r.allowRequest(j.msg)
		return
	}
	if j.what.Kind == contract.Use && contract.IsFunction(j.what.Namespace) {
		r.decide(j.msg, n)
		return
	}
	if j.what.Kind == contract.Use {
		for i := range n.uses {
			if n.uses[i].name == j.what.Middleware {
				r.admit(j.msg, &n.uses[i], j.what.Namespace)
			}
		}
		return
	}
	args, err := decodeEvent(contract.Header(j.msg.Header), j.msg.Data)
	if err != nil {
		r.server.stats.malformed.Add(1)
		r.server.log.Warn("an event that cannot be read was ignored", "subject", j.msg.Subject, "error", err)
		return
	}
	r.server.stats.events.Add(1)
	if j.what.Kind == contract.Server {
		r.side(j, args)
		return
	}
	if j.what.Kind == contract.Room {
		r.room(j, args)
		return
	}
	socket := newSocket(r.server, j.what.Namespace, j.what.Socket, contract.Header(j.msg.Header))
	if lifecycle(j.what.Event) {
		r.live(j, n, socket, args)
		return
	}
	r.event(j, n, socket, args)
}

// event runs the handlers of a client's event and acks with what the first of them answers.
func (r *run) event(j job, n *Namespace, socket *Socket, args Args) {
	if j.msg.Reply != "" {
		j.told = new(atomic.Uint64)
	}
	if len(n.any) == 0 && len(n.events[j.what.Event]) == 0 {
		r.unhandled(j, n, socket, args)
		return
	}
	r.answer(j, func(call calling) {
		for _, h := range n.any {
			call("handler", func(ctx context.Context) (Ack, error) { return h(ctx, socket, j.what.Event, args) })
		}
		if len(n.eventUses) > 0 && !call("middleware for events", func(ctx context.Context) (Ack, error) {
			return nil, n.letOn(ctx, socket, j.what.Event, args)
		}) {
			return
		}
		for _, h := range n.events[j.what.Event] {
			call("handler", func(ctx context.Context) (Ack, error) { return h(ctx, socket, args) })
		}
	})
}

// unhandled runs the middlewares of an event that has no handler here. It is not theirs to answer.
func (r *run) unhandled(j job, n *Namespace, socket *Socket, args Args) {
	err := r.guardIn(r.context(j), func(ctx context.Context) error { return n.letOn(ctx, socket, j.what.Event, args) })
	var refusal *Refusal
	if err != nil && !errors.As(err, &refusal) {
		r.failed("middleware for events failed", err, "subject", j.msg.Subject)
	}
}

// calling calls a handler, or what stands before it, and reports whether it went well.
type calling func(what string, h func(context.Context) (Ack, error)) bool

// answer calls handlers and acks with what the first of them answers.
func (r *run) answer(j job, each func(calling)) {
	var answer, detail Ack
	each(func(what string, h func(context.Context) (Ack, error)) bool {
		var ack Ack
		err := r.guardIn(r.context(j), func(ctx context.Context) (err error) {
			ack, err = h(ctx)
			return err
		})
		var refusal *Refusal
		switch {
		case errors.As(err, &refusal):
			ack = refusal.ack()
		case err != nil:
			r.failed(what+" failed", err, "subject", j.msg.Subject)
			if detail == nil {
				detail = r.detail(j, err)
			}
			return false
		}
		if answer == nil {
			answer = ack
		}
		return err == nil
	})
	if answer == nil {
		answer = detail
	}
	if answer == nil && j.msg.Reply != "" && r.server.opts.ErrorDetail {
		r.server.log.Warn("somebody waits for an ack and no handler here gave one: return an Ack, sdk.Ack{} if it has no arguments", "subject", j.msg.Subject)
	}
	r.reply(j, answer)
}

// reply acks, if there is an answer and somebody who wants it.
func (r *run) reply(j job, answer Ack) {
	if answer == nil || j.msg.Reply == "" {
		return
	}
	err := r.ack(j, answer)
	if err != nil {
		r.failed("ack was not sent", err, "subject", j.msg.Subject)
		if detail := r.detail(j, err); detail == nil || r.ack(j, detail) != nil {
			return
		}
	}
	r.server.stats.acks.Add(1)
}

func (r *run) ack(j job, answer Ack) error {
	text, attachments, err := encodeArray(answer)
	if err != nil {
		return err
	}
	msg := nats.NewMsg(j.msg.Reply)
	if j.what.Kind == contract.Server {
		msg.Header.Set(contract.HeaderServer, r.server.id)
	}
	if j.told != nil && j.told.Load() > 0 {
		msg.Header.Set(contract.HeaderAfter, strconv.FormatUint(j.told.Load(), 10))
	}
	msg.Data = contract.JoinPayload(text, attachments)
	if len(attachments) > 0 {
		msg.Header.Set(contract.HeaderAttachments, contract.FormatAttachments(attachments))
	}
	return r.server.nc.PublishMsg(msg)
}

// live runs the handlers of a socket's coming and going: ["connect", {…}], ["disconnecting", reason, [room, …]],
// ["disconnect", reason].
func (r *run) live(j job, n *Namespace, socket *Socket, args Args) {
	if j.what.Event == contract.EventConnect {
		var c contract.Connected
		if err := json.Unmarshal(args.Raw(0), &c); err != nil {
			r.server.stats.malformed.Add(1)
			r.server.log.Warn("a connect event that cannot be read was ignored", "subject", j.msg.Subject, "error", err)
			return
		}
		c.SocketInfo.ID = j.what.Socket
		connected := &ConnectedSocket{newRemoteSocket(r.server, socket.namespace, socket.gateway, c.SocketInfo), c.Recovered}
		for _, h := range n.connect {
			r.tell(j.msg.Subject, func(ctx context.Context) { h(ctx, connected) })
		}
		return
	}
	reason := args.String(0)
	if j.what.Event == contract.EventDisconnect {
		for _, h := range n.disconnect {
			r.tell(j.msg.Subject, func(ctx context.Context) { h(ctx, socket, reason) })
		}
		return
	}
	var rooms []string
	_ = json.Unmarshal(args.Raw(1), &rooms) // without them the event still holds
	for _, h := range n.disconnecting {
		r.tell(j.msg.Subject, func(ctx context.Context) { h(ctx, socket, reason, rooms) })
	}
}

func (r *run) tell(subject string, h func(context.Context)) {
	err := r.guard(func(ctx context.Context) error {
		h(ctx)
		return nil
	})
	if err != nil {
		r.failed("handler failed", err, "subject", subject)
	}
}

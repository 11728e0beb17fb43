package session

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/socketio"
)

// event does what the namespace's rules say with one event of the client. An error violates the protocol.
func (s *Socket) event(p *socketio.Packet) error {
	name, err := p.EventName()
	if errors.Is(err, socketio.ErrNoEvent) {
		return nil // legal, and nothing to dispatch
	}
	if err != nil {
		return err
	}
	configured, ns, _ := s.client.srv.backend.Namespace(s.namespace)
	rule, ok := ns.Events[name]
	if !ok {
		rule.Action = contract.ActionService
	}
	s.client.srv.opts.Metrics.Received(configured, string(rule.Action))
	e := &event{answer: answer{socket: s, ackID: p.ID, wanted: p.HasID}, packet: p, name: name, rule: rule, array: p.Data}
	if no := e.run(); no != nil {
		s.client.srv.opts.Metrics.Refused(no.Code)
		about := []any{"socket", s.id, "namespace", s.namespace, "event", clip(name), "code", no.Code, "reason", clip(no.Message)}
		if p.HasID {
			s.client.srv.opts.Log.Debug("refused an event", about...)
		} else {
			s.client.srv.often("refused an event; its sender asked for no ack and does not know", about...)
		}
		e.ack(no)
	}
	return nil
}

// event is one event on its way through a rule. It must not outlive the call that brings it: what is answered
// later keeps the answer alone, or one client could make the gateway hold all that it ever sent.
type event struct {
	answer
	packet *socketio.Packet
	name   string
	rule   contract.Rule
	args   [][]byte
	id     string // the application id, or ""
	array  []byte // what is passed on: the event's array without an id behind the arguments
}

// answer is where the ack of an event goes.
type answer struct {
	socket *Socket
	ackID  uint64
	wanted bool // whether the client wants one
}

// accepted is the ack of a rule that did what it says.
type accepted struct {
	OK bool   `json:"ok"`
	ID string `json:"id,omitempty"` // of a stored message
}

func refuse(code, format string, args ...any) *contract.Refusal {
	r := contract.Refuse(code, fmt.Sprintf(format, args...))
	return &r
}

// run does it. A refusal is final: the client hears it if it wants an ack. What cannot be done now is
// not answered, since any answer would end the client's own retries.
func (e *event) run() *contract.Refusal {
	switch e.rule.Action {
	case contract.ActionService:
		return e.service()
	case contract.ActionRefuse:
		return refuse(contract.CodeForbidden, "the event %q is not accepted in %s", e.name, e.socket.namespace)
	}
	elements, err := socketio.Elements(e.packet.Data)
	if err != nil {
		return refuse(contract.CodeInvalid, "%v", err)
	}
	e.args = elements[1:]
	if no := e.takeID(elements); no != nil {
		return no
	}
	if len(e.args) != e.rule.Args && e.rule.Args > 0 {
		return refuse(contract.CodeInvalid, "the event %q takes %d arguments, not %d", e.name, e.rule.Args, len(e.args))
	}
	switch e.rule.Action {
	case contract.ActionPost, contract.ActionEmit, contract.ActionVolatile:
		return e.relay()
	case contract.ActionHistory, contract.ActionSearch, contract.ActionEdit, contract.ActionDelete, contract.ActionRead, contract.ActionUnread:
		return e.history()
	}
	room, no := e.room()
	if no != nil {
		return no
	}
	switch e.rule.Action {
	case contract.ActionJoin:
		return e.join(room)
	case contract.ActionLeave:
		return e.leave(room)
	case contract.ActionWho:
		return e.who(room)
	}
	return nil
}

// room is the first argument, the name of a room that clients may name.
func (e *event) room() (string, *contract.Refusal) {
	var room *string
	if len(e.args) == 0 || json.Unmarshal(e.args[0], &room) != nil || room == nil {
		return "", refuse(contract.CodeInvalid, "the first argument of %q is the name of a room, a string", e.name)
	}
	return *room, e.checkRoom(*room)
}

func (e *event) checkRoom(room string) *contract.Refusal {
	if contract.IsReservedRoom(room) {
		return refuse(contract.CodeForbidden, "the room %q is not open to clients", room)
	}
	if _, err := contract.EncodeToken(room); err != nil {
		return refuse(contract.CodeInvalid, "room: %v", err)
	}
	return nil
}

func (e *event) member(room string) *contract.Refusal {
	if !e.socket.client.srv.hub.In(e.socket, room) {
		return refuse(contract.CodeForbidden, "you are not in the room %q: join it first", room)
	}
	return nil
}

func (e *event) relay() *contract.Refusal {
	say := Say{Namespace: e.socket.namespace, From: e.socket, Event: e.array, Attachments: e.packet.Attachments, ID: e.id}
	if e.rule.To == "room" {
		room, no := e.room()
		if no == nil && e.rule.Members {
			no = e.member(room)
		}
		if no != nil {
			return no
		}
		say.Target = contract.To(room)
	}
	if e.rule.Except == "sender" {
		say.Except = []string{e.socket.id}
	}
	backend := e.socket.client.srv.backend
	switch e.rule.Action {
	case contract.ActionVolatile:
		say.Kind = contract.Volatile
		if err := backend.Volatile(say); errors.Is(err, ErrTooLarge) {
			return refuse(contract.CodeInvalid, "%v", err)
		}
		e.ack(accepted{OK: true})
		return nil
	case contract.ActionEmit:
		say.Kind = contract.Emit
	default:
		say.Kind = contract.Post
	}
	size := len(say.Event)
	for _, a := range say.Attachments {
		size += len(a)
	}
	if !e.socket.startStore(size) {
		return nil
	}
	a := e.answer
	backend.Store(say, func(id string, err error) {
		a.socket.endStore(size)
		switch {
		case err == nil:
			a.ack(accepted{OK: true, ID: id})
		case errors.Is(err, ErrTooLarge):
			a.ack(refuse(contract.CodeInvalid, "%v", err))
		}
	})
	return nil
}

// service passes the event on to services.
func (e *event) service() *contract.Refusal {
	var ack func([]byte, [][]byte, error)
	if e.wanted {
		if !e.socket.startReply() {
			return errTooManyReplies(e.name)
		}
		a := e.answer
		ack = func(args []byte, attachments [][]byte, err error) {
			a.socket.endReply()
			if err == nil { // else the client's own timeout is its error
				a.reply(args, attachments)
			}
		}
	}
	e.socket.life.Lock()
	if !e.socket.connected() || e.socket.lost() { // meanwhile, and services know
		e.socket.life.Unlock()
		return nil
	}
	err := e.socket.client.srv.backend.On(e.socket, e.name, e.packet.Data, e.packet.Attachments, ack)
	e.socket.life.Unlock()
	if err == nil {
		e.socket.holdIfLeaving()
		return nil
	}
	if e.wanted {
		e.socket.endReply()
	}
	if errors.Is(err, ErrTooLarge) || errors.Is(err, contract.ErrTokenTooLong) {
		return refuse(contract.CodeInvalid, "%v", err)
	}
	e.socket.client.srv.often("services did not get an event", "socket", e.socket.id, "namespace", e.socket.namespace, "event", clip(e.name), "error", err)
	return nil
}

func errTooManyReplies(event string) *contract.Refusal {
	return refuse(contract.CodeRateLimited, "too many acks are awaited already: %q was not passed on", clip(event))
}

// clip shortens what a client said for a line of the log.
func clip(s string) string {
	const most = 100
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

// ack answers with one object, if the client wants an answer.
func (a answer) ack(object any) {
	if a.wanted {
		a.reply(arguments(object), nil)
	}
}

// arguments are those of an ack with one object.
func arguments(object any) []byte { return append(append([]byte{'['}, encode(object)...), ']') }

// reply sends the ack's arguments, a JSON array.
func (a answer) reply(array []byte, attachments [][]byte) {
	srv := a.socket.client.srv
	m, err := srv.opts.Parser.Ack(socketio.Head{Namespace: a.socket.namespace, ID: a.ackID, HasID: true}, array, attachments)
	if err != nil {
		srv.often("an ack cannot be put into a packet; the client does not get it", "socket", a.socket.id, "namespace", a.socket.namespace, "error", err)
		return
	}
	a.socket.Send(m)
}

// announces says whether the namespace tells a room's members who comes and goes.
func (s *Socket) announces() bool {
	_, ns, _ := s.client.srv.backend.Namespace(s.namespace)
	for _, rule := range ns.Events {
		if rule.Announce {
			return true
		}
	}
	return false
}

// announce tells the others in a room that the socket came or went.
func (s *Socket) announce(what, room string) {
	if contract.IsReservedRoom(room) {
		return
	}
	say := Say{Kind: contract.Volatile, Namespace: s.namespace, Target: contract.To(room), Except: []string{s.id}, From: s, Event: encode([]string{what, room})}
	if err := s.client.srv.backend.Volatile(say); err != nil {
		s.client.srv.often("a room was not told who "+what, "room", room, "namespace", s.namespace, "error", err)
	}
}

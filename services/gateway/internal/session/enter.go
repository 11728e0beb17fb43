package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/socketio"
	"github.com/natter-io/natter/services/gateway/internal/hub"
	"github.com/natter-io/natter/services/gateway/internal/transport"
)

// refusal is a final no, which the client hears as connect_error; it does not try again by itself.
type refusal struct {
	message string
	data    json.RawMessage
}

func (r refusal) Error() string { return "refused: " + r.message }

// enter lets the socket into its namespace, or not. It runs on a goroutine of its own, since middlewares
// take their time, and ends with the connection.
func (s *Socket) enter(ctx context.Context) {
	defer s.client.entering.Done()
	defer s.cancel()
	err := s.findSession(ctx)
	if err == nil {
		err = s.admit(ctx)
	}
	if err == nil {
		err = s.claimSession(ctx)
	}
	if s.client.speaksV4() {
		forgetToken(&s.handshake)
	}
	if err == nil {
		err = s.join(ctx)
	}
	if err != nil {
		s.untake()
		s.giveBack()
		s.disclaim()
	}
	var no refusal
	switch {
	case err == nil:
	case ctx.Err() != nil: // the connection is gone, or the client has asked anew
		s.client.drop(s, false)
	case errors.As(err, &no):
		s.client.drop(s, false)
		s.Send(s.refused(no))
		s.client.closeIfIdleLater()
	case errors.Is(err, errPutOut):
		s.client.conn.Close(transport.ReasonForcedClose)
	default:
		// Nothing that a CONNECT_ERROR could say is true, and it would end the client's own attempts.
		s.client.srv.opts.Log.Warn("closing a connection whose namespace cannot be entered now; the client will try again",
			"namespace", s.namespace, "error", err)
		s.client.conn.Close(transport.ReasonForcedClose)
	}
}

// errSlept says that the client may have gone on elsewhere.
var errSlept = fmt.Errorf("%w: the gateway stood still", ErrUnavailable)

// errReordered says that another service shall take the socket, so that it must enter again.
var errReordered = fmt.Errorf("%w: the namespace's order has just been changed", ErrUnavailable)

// join makes the socket a member and tells it so.
func (s *Socket) join(ctx context.Context) error {
	missed, err := s.restore(ctx)
	if err != nil {
		return err
	}
	if s.found == nil {
		if err := s.start(ctx); err != nil {
			return err
		}
	}
	if s.found != nil && !s.owes() { // a claim lets the session be one of a client that is gone
		if err := s.keepNow(ctx, func(error) {}); err != nil {
			s.undo()
			return fmt.Errorf("storing that the client is back: %w", err)
		}
	}
	if !s.inOrder() { // who is a member by now is looked at when that changes
		s.undo()
		return errReordered
	}
	expelled, err := s.begin(ctx, missed)
	if err != nil {
		s.undo()
		return err
	}
	if expelled {
		s.Disconnect(false)
		return nil
	}
	if !s.expires.IsZero() {
		s.mu.Lock()
		if s.state == connected {
			s.expiry = time.AfterFunc(time.Until(s.expires), func() { s.Disconnect(false) })
		}
		s.mu.Unlock()
	}
	return nil
}

// start makes a member of a socket that has no earlier life.
func (s *Socket) start(ctx context.Context) error {
	srv := s.client.srv
	epoch := srv.backend.Epoch() // before the sequence: if the stream changes in between, the session is not taken for one of the new
	sequence, err := srv.backend.Enter(ctx, s.namespace)
	if err != nil {
		return fmt.Errorf("subscribing to the namespace: %w", err)
	}
	pid := newPrivateID(s.back.pid)
	if s.client.recovers() {
		s.origin = originOf(pid)
	}
	s.held = &held{}
	s.mu.Lock()
	s.added = true
	s.kept.epoch, s.kept.start, s.kept.at, s.kept.granted, s.kept.admitted = epoch, sequence, sequence, s.rooms, s.data
	s.mu.Unlock()
	srv.hub.Add(s)
	for _, room := range s.rooms {
		if err := s.Join(ctx, room); err != nil {
			s.undo()
			return fmt.Errorf("joining the room %q: %w", room, err)
		}
	}
	if s.client.recovers() {
		s.mu.Lock()
		s.kept.claim = Claim{PID: pid, Number: 1}
		s.mu.Unlock()
		if err := s.keepNow(ctx, func(error) {}); err != nil {
			s.undo()
			return fmt.Errorf("storing the session: %w", err)
		}
	}
	return nil
}

// begin tells services and the client that the socket is in, and reports whether it must go at once.
func (s *Socket) begin(ctx context.Context, missed Missed) (expelled bool, err error) {
	entry := append(s.greeted(), s.accepted())
	s.life.Lock()
	defer s.life.Unlock()
	s.mu.Lock()
	if ctx.Err() != nil || s.state == closed {
		s.mu.Unlock()
		return false, context.Canceled
	}
	if s.client.srv.backend.Slept(s.client.since) {
		s.mu.Unlock()
		return false, errSlept
	}
	s.state = connected
	s.entry = entry
	expelled = s.expelled
	s.mu.Unlock()
	s.client.hasEntered()
	if s.owes() {
		s.client.srv.backend.TellGone(s.found.Saved)
	}
	s.tell(contract.EventConnect, contract.Connected{SocketInfo: s.Info(), Recovered: s.found != nil})
	srv := s.client.srv
	srv.hub.Each(hub.Selection{Namespace: s.namespace, Rooms: []string{s.id}}, func(member *Socket) {
		if member == s {
			s.release(missed)
		}
	})
	if s.found == nil {
		return expelled, nil
	}
	if s.changed() {
		s.keep(nil)
	}
	if !s.owes() && s.announces() { // else nobody was told that it left
		for _, room := range s.client.srv.hub.Rooms(s) {
			s.announce(contract.EventJoined, room)
		}
	}
	return expelled, nil
}

// greeted is what middlewares have for the client: a client that is not in yet keeps it until it is. Like all events it
// says how far the client has heard.
func (s *Socket) greeted() []*transport.Message {
	var all []*transport.Message
	var extra [][]byte
	if s.client.recovers() {
		extra = [][]byte{encode(s.heard())}
	}
	for _, g := range s.greetings {
		head := socketio.Head{Namespace: s.namespace, Attachments: len(g.Attachments)}
		m, err := s.client.srv.opts.Parser.Event(head, g.Event, g.Attachments, extra...)
		if err != nil { // the parser has no way to say it
			s.client.srv.often("a client was not sent what a middleware gave it", "socket", s.id, "namespace", s.namespace, "error", err)
			continue
		}
		all = append(all, m)
	}
	s.greetings = nil
	return all
}

// undo takes back what join has done so far.
func (s *Socket) undo() {
	s.leaveAll()
	s.client.srv.backend.Exit(s.namespace)
	s.abandonID()
}

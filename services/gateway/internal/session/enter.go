package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

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

// maxAdmission is how old the word of a middleware may be when the socket gets in.
const maxAdmission = 10 * time.Second

// admit asks the namespace's middlewares, and who takes the socket if the namespace is ordered; the middlewares again,
// if one of all these was so slow that what another said may not be true any more.
func (s *Socket) admit(ctx context.Context) error {
	name := s.name
	for {
		start := time.Now()
		s.user, s.name, s.roles, s.greetings = "", name, nil, nil
		s.SetData(nil)
		if err := s.admitOnce(ctx); err != nil {
			return err
		}
		if err := s.take(ctx); err != nil {
			return err
		}
		if time.Since(start) < maxAdmission {
			return s.keepAuth()
		}
	}
}

// keepAuth forgets what the client gave as auth, which proved who it is and may hold secrets, unless the namespace
// wants its services to know.
func (s *Socket) keepAuth() error {
	_, ns, _ := s.client.srv.backend.Namespace(s.namespace)
	switch {
	case !ns.HandshakeAuth:
		s.handshake.Auth = nil
	case len(s.handshake.Auth) > contract.MaxData: // it is in every answer that lists the socket
		return refusal{message: fmt.Sprintf("auth has %d bytes, at most %d are allowed", len(s.handshake.Auth), contract.MaxData), data: encode(map[string]string{"code": contract.CodeInvalid})}
	}
	return nil
}

func (s *Socket) admitOnce(ctx context.Context) error {
	entry := contract.Entry{ID: s.id, Namespace: s.namespace, Handshake: s.handshake}
	ns, err := s.find(ctx, entry)
	if err != nil {
		return err
	}
	var rooms []string
	var expires time.Time
	for _, middleware := range ns.Middlewares(presentsToken(s.handshake.Auth)) {
		a, err := s.ask(ctx, s.namespace, middleware, entry)
		if err != nil {
			return err
		}
		if !a.OK {
			message := a.Message
			if message == "" {
				message = "refused by " + middleware
			}
			return refusal{message: message, data: a.Data}
		}
		s.add(a)
		rooms = append(rooms, a.Rooms...)
		if !a.Expires.IsZero() && (expires.IsZero() || a.Expires.Before(expires)) {
			expires = a.Expires
		}
	}
	if ns.Role != "" && !slices.Contains(s.roles, ns.Role) {
		return refusal{message: fmt.Sprintf("the namespace %s is open to the role %s only", s.namespace, ns.Role), data: encode(map[string]string{"code": contract.CodeForbidden})}
	}
	if !expires.IsZero() && !expires.After(time.Now()) {
		return refusal{message: "the admission has expired", data: encode(map[string]string{"code": contract.CodeUnauthorized})}
	}
	if s.user != "" {
		rooms = append(rooms, contract.UserRoom(s.user))
	}
	slices.Sort(rooms)
	s.rooms = slices.Compact(rooms)
	s.expires = expires
	return nil
}

// ask asks one middleware of a namespace.
func (s *Socket) ask(ctx context.Context, namespace, middleware string, entry contract.Entry) (a contract.Admission, err error) {
	err = s.patiently(ctx, func(ctx context.Context) (err error) {
		a, err = s.client.srv.backend.Use(ctx, namespace, middleware, entry)
		return err
	})
	if err != nil {
		return contract.Admission{}, fmt.Errorf("middleware %s of %s: %w", middleware, namespace, err)
	}
	return a, nil
}

// patiently asks a service, by try. While it does not answer, and nothing else lives on the connection, the client's
// patience (connectTimeout) is the limit; then the transport is closed, so that the client tries again.
func (s *Socket) patiently(ctx context.Context, try func(context.Context) error) error {
	for {
		limited, cancel := context.WithTimeout(ctx, s.client.srv.opts.ConnectTimeout)
		err := try(limited)
		cancel()
		if err == nil || ctx.Err() != nil || !s.client.others(s) {
			return err
		}
	}
}

// add adds what a middleware said to what the ones before it said.
func (s *Socket) add(a contract.Admission) {
	if a.User != "" {
		s.user = a.User
	}
	if a.Name != "" {
		s.name = a.Name
	}
	s.roles = append(s.roles, a.Roles...)
	if len(a.Data) > 0 {
		s.SetData(a.Data)
	}
	s.greetings = append(s.greetings, a.Emit...)
}

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
		if err := s.keepNow(ctx); err != nil {
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
	s.state = connected
	s.entry = entry
	expelled = s.expelled
	s.mu.Unlock()
	s.client.hasEntered()
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
	if s.found.Left && s.announces() { // else nobody was told that it left
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

// Handshake describes the request that opens a connection, as socket.handshake does.
func Handshake(r *transport.Request, auth []byte) contract.Handshake {
	h := contract.Handshake{
		Headers: make(map[string]string, len(r.Header)+1),
		Query:   make(map[string]string, len(r.Query)),
		Time:    r.Time.UTC(),
		Issued:  r.Time.UnixMilli(),
		Address: r.RemoteAddr,
		Secure:  r.Secure,
		URL:     r.URL,
		Auth:    auth,
	}
	for name, values := range r.Header {
		h.Headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	h.Headers["host"] = r.Host
	_, h.XDomain = r.Header[http.CanonicalHeaderKey("Origin")]
	for name, values := range r.Query {
		h.Query[name] = values[0]
	}
	return h
}

// presentsToken says whether auth is an object with a token other than null and "".
func presentsToken(auth json.RawMessage) bool {
	var a struct {
		Token json.RawMessage `json:"token"`
	}
	if json.Unmarshal(auth, &a) != nil {
		return false
	}
	switch string(a.Token) {
	case "", "null", `""`:
		return false
	}
	return true
}

// maxName is the greatest length of a chosen name, in characters.
const maxName = 64

// chosenName is the name that a client gives in auth, without control characters and cut to maxName; "" if
// it gives none.
func chosenName(auth json.RawMessage) string {
	var a struct {
		Name string `json:"name"`
	}
	if json.Unmarshal(auth, &a) != nil {
		return ""
	}
	name := strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return -1
		}
		return r
	}, a.Name))
	if utf8.RuneCountInString(name) > maxName {
		name = string([]rune(name)[:maxName])
	}
	return name
}

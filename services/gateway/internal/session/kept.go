package session

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/internal/transport"
)

// ErrClaimed says that another gateway has the session now, or has told services that its client is gone.
var ErrClaimed = errors.New("the client is at another gateway")

// ErrUnstorable says that no message can hold the session: its socket is in too many rooms, or has too much data, for what NATS
// takes (max_payload).
var ErrUnstorable = errors.New("the session is larger than max_payload")

// Saved is what a gateway must know of a socket to go on with it.
type Saved struct {
	ID        string            `json:"id"`
	Namespace string            `json:"namespace"`
	User      string            `json:"user,omitempty"`
	Name      string            `json:"name,omitempty"`
	Epoch     string            `json:"epoch"`              // of the stream that sequences are of
	Start     uint64            `json:"start"`              // the stream's sequence when the socket got in
	At        uint64            `json:"at"`                 // that until which orders of services have taken effect
	Rooms     map[string]uint64 `json:"rooms"`              // with the stream's sequence when each was joined
	Stays     []Stay            `json:"stays,omitempty"`    // in rooms that were left lately
	Granted   []string          `json:"granted,omitempty"`  // those of Rooms that middlewares gave
	Data      json.RawMessage   `json:"data,omitempty"`     // as it is
	Admitted  json.RawMessage   `json:"admitted,omitempty"` // as middlewares gave it
	Since     time.Time         `json:"since,omitzero"`     // since when it is not known that the client hears, by NATS's clock; zero: as long as it is connected it does
}

// Claim is the right to a saved session: its private id, and which of those who took it over one after the other is meant.
type Claim struct {
	PID      string
	Number   int    // 1 for the first
	Revision uint64 // of what is stored; 0: nothing is
}

// Fate is what becomes of a saved session.
type Fate int

const (
	Here  Fate = iota // the client is connected
	Left              // it may come back, for a while
	Ended             // it may not
)

// Found is the session of a client that comes back, to be claimed.
type Found struct {
	Saved
	Claim
	Offset uint64    // what the client received last; 0: nothing
	Holder string    // the gateway that has it, or had it
	Left   time.Time // since when the client is gone, of which services were told; zero: they were not
}

// Missed is what a client that comes back has missed.
type Missed struct {
	Packets []*transport.Message
	UpTo    uint64           // the stream's sequence until which nothing else is missed
	Data    *json.RawMessage // if services set it meanwhile
	Moved   bool             // orders of services took effect
	Ended   bool             // services put it out, or what the client says it received does not exist
	More    bool             // it came into rooms or left some: what they were sent after UpTo may not be heard yet
}

// add adds what was missed after it.
func (m *Missed) add(next Missed) {
	m.Packets = append(m.Packets, next.Packets...)
	m.UpTo, m.More = next.UpTo, next.More
	m.Moved, m.Ended = m.Moved || next.Moved, m.Ended || next.Ended
	if next.Data != nil {
		m.Data = next.Data
	}
}

// recoverable are the disconnections after which a client may come back as the same socket, as in Socket.IO.
var recoverable = []string{
	transport.ReasonTransportError, transport.ReasonTransportClose, transport.ReasonForcedClose,
	transport.ReasonPingTimeout, transport.ReasonServerShutdown, ReasonForcedClose,
}

// kept is a socket's saved session. Guarded by the socket's mu.
type kept struct {
	claim    Claim  // PID is empty if the socket is not recoverable
	epoch    string // see [Saved], as of what follows
	start    uint64
	at       uint64 // at least
	joined   map[string]uint64
	stays    stays
	granted  []string
	admitted json.RawMessage
	since    time.Time
	fate     Fate
	moved    bool   // to another gateway: nobody is told that the socket ends
	stored   []byte // what is stored of a session that was claimed, until the first write of one who is in
	writes   writes
}

// saved describes the socket; mu is held.
func (s *Socket) saved() Saved {
	if s.state == connected {
		s.kept.at = max(s.kept.at, s.orders.obeyed, s.client.srv.backend.Position())
	}
	s.kept.stays = s.kept.stays.add(s.client.srv.opts.StreamAge)
	return Saved{
		ID: s.id, Namespace: s.namespace, User: s.user, Name: s.name,
		Epoch: s.kept.epoch, Start: s.kept.start, At: s.kept.at, Rooms: maps.Clone(s.kept.joined), Stays: s.kept.stays.stored(), Granted: s.kept.granted, Data: s.data, Admitted: s.kept.admitted, Since: s.kept.since,
	}
}

// heard is how far the client has heard when it gets in, as events say it.
func (s *Socket) heard() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	offset := s.kept.start
	if s.found != nil {
		offset = max(offset, s.found.Offset)
	}
	return contract.MessageID(s.kept.epoch, offset)
}

// MovedOn ends the socket without a word, since another one goes on with its session: at another gateway, or here. If
// it is the client's next one on the same connection, that stays open.
func (s *Socket) MovedOn() {
	s.mu.Lock()
	s.kept.moved = true
	s.kept.claim.PID = ""
	s.mu.Unlock()
	if s.client.socket(s.namespace) == s {
		s.client.conn.Close(transport.ReasonForcedClose)
	}
}

// giveBack has the session of a socket that did not get in wait for its client again; a new one is ended, since the
// client knows nothing of it.
func (s *Socket) giveBack() {
	s.mu.Lock()
	mine := s.kept.claim.PID != "" && s.kept.fate == Here
	if mine {
		if s.kept.fate = Ended; s.found != nil {
			s.kept.fate = Left
		}
	}
	s.mu.Unlock()
	if mine {
		s.keep(s.owed)
	}
}

// owed tells services, once it is stored that the client of a socket that did not get in is gone, what they have not heard of its
// earlier life.
func (s *Socket) owed(err error) {
	if s.owes() && !errors.Is(err, ErrClaimed) {
		s.client.srv.backend.TellGone(s.found.Saved)
	}
}

// owes says whether services were not told of the end of the earlier life with which the socket goes on.
func (s *Socket) owes() bool { return s.found != nil && s.found.Left.IsZero() }

// changed says whether what is stored of a session that was claimed is not true any more.
func (s *Socket) changed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.kept.at // orders that changed nothing since may take effect again
	saved := s.saved()
	saved.At, s.kept.at = at, at
	return !bytes.Equal(s.kept.stored, encode(saved))
}

// confirmed notes that what the client missed has arrived. Until then it may have heard nothing since before it came back.
func (s *Socket) confirmed() {
	s.mu.Lock()
	is := s.state == connected
	if is {
		s.kept.since = time.Time{}
	}
	s.mu.Unlock()
	if is {
		s.keep(nil)
	}
}

// Epoch is the incarnation of the stream that the socket's session is of.
func (s *Socket) Epoch() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept.epoch
}

// StoreAgain stores the session once more, as it is. done is called once, when it is stored or with an error; at once, if this
// gateway has not stored it.
func (s *Socket) StoreAgain(done func(error)) {
	s.mu.Lock()
	is := s.state == connected && s.kept.claim.Revision > 0
	s.mu.Unlock()
	if !is {
		done(nil)
		return
	}
	s.keep(done)
}

// Claimed is the number of the claim by which this gateway has the socket; 0 if it is not recoverable.
func (s *Socket) Claimed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept.claim.Number
}

// fateOf says what becomes of the session of a socket that ends.
func fateOf(reason string) Fate {
	if slices.Contains(recoverable, reason) {
		return Left
	}
	return Ended
}

// recovers says whether the client can come back as the same socket: those of version 4 know nothing of it.
func (c *Client) recovers() bool { return c.srv.opts.Recovery && !c.speaksV4() }

// comeback is what a client says of its earlier session when it connects.
type comeback struct{ pid, offset string }

// splitComeback takes a client's private id and offset out of its auth object.
func splitComeback(auth []byte) ([]byte, comeback) {
	var c struct {
		PID    *string `json:"pid"`
		Offset *string `json:"offset"`
	}
	if json.Unmarshal(auth, &c) != nil || c.PID == nil {
		return auth, comeback{}
	}
	var rest map[string]json.RawMessage
	if json.Unmarshal(auth, &rest) != nil {
		return auth, comeback{}
	}
	delete(rest, "pid")
	delete(rest, "offset")
	back := comeback{pid: *c.PID}
	if c.Offset != nil {
		back.offset = *c.Offset
	}
	return encode(rest), back
}

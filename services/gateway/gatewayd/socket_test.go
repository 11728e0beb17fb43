package gatewayd_test

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/socketio"
)

// socket is a client in a namespace, or one that asked for it.
type socket struct {
	*client
	namespace string
	id        string

	entry  chan string // the answer to CONNECT: CONNECT's or CONNECT_ERROR's payload
	events chan *incoming
	out    chan struct{} // closed when the server put it out of the namespace

	epoch string // of the last offset that came, and its sequence: the connection's reader's own
	at    uint64

	ackMu sync.Mutex
	acks  map[uint64]chan *socketio.Packet
	next  uint64
}

// ask sends CONNECT and does not wait.
func (c *client) ask(namespace, auth string) *socket {
	c.t.Helper()
	s := &socket{
		client: c, namespace: namespace, entry: make(chan string, 4), events: make(chan *incoming, 1<<16),
		out: make(chan struct{}), acks: make(map[uint64]chan *socketio.Packet),
	}
	c.mu.Lock()
	c.sockets[namespace] = s
	c.mu.Unlock()
	c.send(string((&socketio.Packet{Type: socketio.Connect, Namespace: namespace, Data: []byte(auth)}).Append(nil)))
	return s
}

// enter enters a namespace.
func (c *client) enter(namespace, auth string) *socket {
	c.t.Helper()
	s := c.ask(namespace, auth)
	s.entered()
	return s
}

// entered waits for the answer to CONNECT, which must be a yes.
func (s *socket) entered() *socket {
	s.t.Helper()
	answer := recv(s.t, "the answer to CONNECT", s.entry)
	var a struct{ SID, PID string }
	if err := json.Unmarshal([]byte(answer), &a); err != nil || !contract.IsSocketID(a.SID) || !strings.HasPrefix(a.SID, s.g.ID()+".") || (a.PID != "") != s.g.keeps {
		s.t.Fatalf("CONNECT was answered %s", answer)
	}
	s.id = a.SID
	return s
}

// refused waits for a CONNECT_ERROR and returns its payload.
func (s *socket) refused() string {
	s.t.Helper()
	answer := recv(s.t, "the refusal", s.entry)
	if strings.Contains(answer, `"sid"`) {
		s.t.Fatalf("CONNECT was answered %s, not refused", answer)
	}
	return answer
}

// connect enters the main namespace over a connection of its own.
func (g *gateway) connect(auth ...string) *socket {
	g.t.Helper()
	return g.dial().enter("/", strings.Join(auth, ""))
}

// emit sends an event; the arguments are JSON.
func (s *socket) emit(args ...string) {
	s.t.Helper()
	s.send(string(socketio.AppendEvent(nil, socketio.Head{Namespace: s.namespace}, array(args))))
}

// await hands out the next ack id, counted from 0, and where the ack will arrive.
func (s *socket) await() (uint64, <-chan *socketio.Packet) {
	ch := make(chan *socketio.Packet, 1)
	s.ackMu.Lock()
	defer s.ackMu.Unlock()
	id := s.next
	s.next++
	s.acks[id] = ch
	return id, ch
}

// emitAck sends an event that wants an ack, and hands out where that will arrive.
func (s *socket) emitAck(args ...string) <-chan *socketio.Packet {
	s.t.Helper()
	id, ch := s.await()
	s.send(string(socketio.AppendEvent(nil, socketio.Head{Namespace: s.namespace, ID: id, HasID: true}, array(args))))
	return ch
}

// request sends an event and returns the ack's arguments, a JSON array.
func (s *socket) request(args ...string) string {
	s.t.Helper()
	return string(recv(s.t, "the ack of "+args[0], s.emitAck(args...)).Data)
}

// answer acks an event.
func (s *socket) answer(p *incoming, args ...string) {
	s.t.Helper()
	s.send(string(socketio.AppendAck(nil, socketio.Head{Namespace: s.namespace, ID: p.ID, HasID: true}, array(args))))
}

func array(elements []string) []byte { return []byte("[" + strings.Join(elements, ",") + "]") }

// quote writes a string as JSON.
func quote(s string) string { return string(socketio.AppendString(nil, s)) }

// join enters a room by the rule.
func (s *socket) join(rooms ...string) {
	s.t.Helper()
	for _, room := range rooms {
		if got := s.request(`"join"`, quote(room)); got != `[{"ok":true}]` {
			s.t.Fatalf("joining %q: %s", room, got)
		}
	}
}

// event takes the next event, whatever it is, as its JSON array.
func (s *socket) event() string {
	s.t.Helper()
	return string(recv(s.t, "an event", s.events).Data)
}

// want takes the next event, which must be this one.
func (s *socket) want(event string) {
	s.t.Helper()
	if got := s.event(); got != event {
		s.t.Fatalf("heard %s, want %s", got, event)
	}
}

// heard returns all events that the socket has been sent so far: those stored and, if volatile, the others.
func (s *socket) heard() []string { return s.until(contract.Emit) }

// heardVolatile is heard for volatile events, as far as they were published over the test's connection, or
// had reached the server.
func (s *socket) heardVolatile() []string { return s.until(contract.Volatile) }

// until sends the socket an event behind all others of the kind and returns what came before.
func (s *socket) until(kind contract.Kind) []string {
	s.t.Helper()
	d := s.g.d
	d.syncs++
	end := `["end of test",` + strconv.Itoa(d.syncs) + `]`
	msg := d.message(kind, s.namespace, []string{s.id}, end)
	if kind == contract.Emit {
		d.store(msg)
	} else if err := d.nc.PublishMsg(msg); err != nil {
		s.t.Fatal(err)
	}
	got := []string{}
	for {
		e := s.event()
		if e == end {
			return got
		}
		got = append(got, e)
	}
}

// wantHeard wants exactly these stored events to have come.
func (s *socket) wantHeard(events ...string) {
	s.t.Helper()
	if got := s.heard(); !slices.Equal(got, events) {
		s.t.Fatalf("heard %q, want %q", got, events)
	}
}

// wantOut waits until the server has put the socket out of its namespace.
func (s *socket) wantOut() {
	s.t.Helper()
	select {
	case <-s.out:
	case <-time.After(patience):
		s.t.Fatal("the socket was not put out of its namespace")
	}
}

// wantAlive makes sure that the socket still hears and is heard.
func (s *socket) wantAlive() {
	s.t.Helper()
	if got := s.request(`"leave"`, `"a room it is not in"`); got != `[{"ok":true}]` {
		s.t.Fatalf("the socket is not well: %s", got)
	}
}

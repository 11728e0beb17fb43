package transport

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// stateLog records the transitions of all connections of a server.
type stateLog struct {
	mu  sync.Mutex
	log map[*Conn][]string
}

func (l *stateLog) record(c *Conn, from, to state) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.log[c] == nil {
		l.log[c] = []string{from.String()}
	}
	l.log[c] = append(l.log[c], to.String())
}

func (l *stateLog) of(c *Conn) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.log[c]
}

func TestTransitions(t *testing.T) {
	for name, tt := range map[string]struct {
		act  func(s *server) *peer
		want []string
	}{
		"polling, client closes": {func(s *server) *peer {
			p := s.open()
			pending := s.goGet(p)
			s.post(p.conn.ID(), "1")
			recv(t, "the poll", pending)
			return p
		}, []string{"opening", "polling", "closed"}},
		"polling, client closes between polls": {func(s *server) *peer {
			p := s.open()
			s.post(p.conn.ID(), "1")
			return p
		}, []string{"opening", "polling", "closing", "closed"}},
		"polling, server closes": {func(s *server) *peer {
			p := s.open()
			p.conn.Close("")
			s.get(p.conn.ID())
			return p
		}, []string{"opening", "polling", "closing", "closed"}},
		"websocket, client closes": {func(s *server) *peer {
			c, p := s.openWS()
			c.Close()
			return p
		}, []string{"opening", "websocket", "closed"}},
		"websocket, server closes": {func(s *server) *peer {
			_, p := s.openWS()
			p.conn.Close("")
			return p
		}, []string{"opening", "websocket", "closing", "closed"}},
		"upgrade": {func(s *server) *peer {
			p := s.open()
			c := s.probe(p)
			c.send("5")
			s.wait("websocket", func() bool { return p.conn.is(websocket) })
			c.Close()
			return p
		}, []string{"opening", "polling", "upgrading", "websocket", "closed"}},
		"upgrade given up": {func(s *server) *peer {
			p := s.open()
			s.probe(p).Close()
			s.wait("polling", func() bool { return p.conn.is(polling) })
			p.conn.Close("")
			s.get(p.conn.ID())
			return p
		}, []string{"opening", "polling", "upgrading", "polling", "closing", "closed"}},
		"closed in an upgrade": {func(s *server) *peer {
			p := s.open()
			c := s.probe(p)
			p.conn.Close("")
			c.send("5")
			return p
		}, []string{"opening", "polling", "upgrading", "closing", "closed"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, Options{})
			l := &stateLog{log: make(map[*Conn][]string)}
			s.eio.onState = l.record
			p := tt.act(s)
			recv(t, "the end", p.closed)
			if got := l.of(p.conn); !slices.Equal(got, tt.want) {
				t.Errorf("went %v, want %v", got, tt.want)
			}
		})
	}
}

// Every pair of states, against what the diagram shows.
func TestTransitionTable(t *testing.T) {
	allowed := "opening-polling opening-websocket opening-closed polling-upgrading polling-closing polling-closed " +
		"upgrading-polling upgrading-websocket upgrading-closing upgrading-closed websocket-closing websocket-closed closing-closed"
	var got []string
	for from := opening; from <= closed; from++ {
		for to := opening; to <= closed; to++ {
			c := &Conn{srv: &Server{}, state: from}
			if c.switchState(to) {
				got = append(got, fmt.Sprintf("%v-%v", from, to))
				if c.state != to {
					t.Errorf("%v-%v ended in %v", from, to, c.state)
				}
			} else if c.state != from {
				t.Errorf("refused %v-%v changed the state", from, to)
			}
		}
	}
	if s := fmt.Sprint(got); s != "["+allowed+"]" {
		t.Errorf("got %s", s)
	}
}

// What accept does before the client hears anything.
func TestAccept(t *testing.T) {
	var act func(c *Conn, p *peer) Session
	closed := make(chan string, 4)
	eio, err := New(Options{}, func(c *Conn) Session {
		p := newPeer(c)
		p.closed = closed
		return act(c, p)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, transport := range []string{Polling, WebSocket} {
		t.Run(transport, func(t *testing.T) {
			s := newServer(t, Options{})
			s.http.Config.Handler = eio
			connect := func() (int, string, *client) {
				if transport == Polling {
					a := s.do("GET", "EIO=4&transport=polling", "")
					return a.status, a.body, nil
				}
				c, res, err := s.dialRaw("EIO=4&transport=websocket", nil)
				if err != nil {
					return res.StatusCode, "", nil
				}
				return 200, c.recv(), c
			}

			act = func(c *Conn, p *peer) Session { return nil }
			want := map[string]int{Polling: 403, WebSocket: 400}[transport]
			if status, body, _ := connect(); status != want {
				t.Errorf("refused: got %d %s, want %d", status, body, want)
			}

			act = func(c *Conn, p *peer) Session { c.Close("at once"); return p }
			if status, body, _ := connect(); status == 200 {
				t.Errorf("closed: got %d %s", status, body)
			}
			if got := recv(t, "the end", closed); got != "at once" {
				t.Errorf("closed with %q", got)
			}

			act = func(c *Conn, p *peer) Session {
				if c.SendVolatile(text("volatile")) {
					t.Error("volatile sent before the handshake")
				}
				c.Send(text("one"))
				c.Send(text("two"))
				return p
			}
			status, open, c := connect()
			id := sid(t, open) // the open packet, alone
			if status != 200 || eio.Len() != 1 {
				t.Fatalf("got %d, %d connections", status, eio.Len())
			}
			if transport == Polling {
				s.get(id).want(t, 200, "4one\x1e4two")
				eio.lookup(id).Close("")
				s.get(id).want(t, 200, "1")
			} else {
				c.want("4one")
				c.want("4two")
				c.Close()
			}
			recv(t, "the end", closed)
			s.wait("no connections", func() bool { return eio.Len() == 0 })
		})
	}
}

// Message never overlaps with itself or Closed, and Closed comes last.
func TestSessionIsSerial(t *testing.T) {
	s := newServer(t, Options{})
	c, p := s.openWS()
	held := make(chan struct{})
	p.conn.delivery.Lock() // as a Message that is running
	c.send("4second")
	p.conn.Close("")
	recv(t, "Done", p.conn.Done())
	go func() { time.Sleep(20 * time.Millisecond); close(held) }()
	select {
	case <-p.closed:
		t.Error("Closed overlapped with Message")
	case <-held:
	}
	p.conn.delivery.Unlock()
	p.wantClosed(t, ReasonForcedClose)
}

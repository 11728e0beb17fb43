package transport

import (
	"testing"
	"time"

	ws "github.com/gorilla/websocket"
)

func TestPing(t *testing.T) {
	s := newServer(t, Options{PingInterval: 20 * time.Millisecond})
	t.Run("polling", func(t *testing.T) {
		p := s.open()
		for range 3 {
			s.get(p.conn.ID()).want(t, 200, "2")
			s.post(p.conn.ID(), "3").want(t, 200, "ok")
		}
	})
	t.Run("websocket", func(t *testing.T) {
		c, _ := s.openWS()
		for range 3 {
			c.want("2")
			c.send("3")
		}
	})
	t.Run("over an upgrade", func(t *testing.T) {
		p := s.open()
		c := s.probe(p)
		s.wait("a ping", func() bool {
			p.conn.mu.Lock()
			defer p.conn.mu.Unlock()
			return p.conn.awaiting
		})
		c.send("5")
		for range 3 {
			c.want("2")
			c.send("3")
		}
	})
}

func TestPingTimeout(t *testing.T) {
	s := newServer(t, Options{PingInterval: 20 * time.Millisecond, PingTimeout: 20 * time.Millisecond})
	t.Run("websocket", func(t *testing.T) {
		c, p := s.openWS()
		c.want("2")
		c.wantClose(ws.CloseNoStatusReceived)
		p.wantClosed(t, ReasonPingTimeout)
	})
	t.Run("polling", func(t *testing.T) {
		s := newServer(t, Options{PingInterval: 20 * time.Millisecond, PingTimeout: 2 * time.Second}) // the second poll must be there in time
		p := s.open()
		s.get(p.conn.ID()).want(t, 200, "2")
		s.get(p.conn.ID()).want(t, 200, "1")
		p.wantClosed(t, ReasonPingTimeout)
	})
	t.Run("gone", func(t *testing.T) {
		p := s.open()
		p.wantClosed(t, ReasonPingTimeout)
		s.get(p.conn.ID()).want(t, 400, `{"code":1,"message":"Session ID unknown"}`)
	})
	t.Run("no pongs by WebSocket", func(t *testing.T) {
		c, p := s.openWS()
		c.want("2")
		c.WriteControl(ws.PongMessage, nil, time.Now().Add(patience))
		p.wantClosed(t, ReasonPingTimeout)
	})
}

// The first packet after a ping gives the pong more time, the second does not. A stopped clock shows it:
// the deadlines are looked at, not waited for.
func TestPacketRefreshesPongTimeoutOnce(t *testing.T) {
	s := newServer(t, Options{})
	c, p := s.openWS()
	deadline := func() time.Time {
		p.conn.mu.Lock()
		defer p.conn.mu.Unlock()
		return p.conn.deadline
	}
	before := deadline()
	c.send("4nothing is pending")
	p.wantMessage(t, "nothing is pending")
	if deadline() != before {
		t.Error("a packet moved the next ping")
	}

	p.conn.mu.Lock()
	p.conn.deadline = time.Now()
	p.conn.mu.Unlock()
	p.conn.timerFired()
	c.want("2")
	asked := deadline()
	c.send("4first")
	p.wantMessage(t, "first")
	refreshed := deadline()
	if !refreshed.After(asked) {
		t.Error("the first packet did not refresh the pong timeout")
	}
	c.send("4second")
	p.wantMessage(t, "second")
	if deadline() != refreshed {
		t.Error("the second packet refreshed the pong timeout")
	}
	c.send("3")
	s.wait("the pong", func() bool {
		p.conn.mu.Lock()
		defer p.conn.mu.Unlock()
		return !p.conn.awaiting
	})
	if d := time.Until(deadline()); d < 20*time.Second || d > 25*time.Second {
		t.Errorf("next ping in %v", d)
	}
}

// A timer that fires while its deadline is moved does nothing but wait for the rest.
func TestTimerFiresEarly(t *testing.T) {
	s := newServer(t, Options{})
	_, p := s.openWS()
	p.conn.timerFired()
	p.conn.mu.Lock()
	defer p.conn.mu.Unlock()
	if p.conn.awaiting || p.conn.state != websocket {
		t.Errorf("awaiting %v in state %v", p.conn.awaiting, p.conn.state)
	}
}

// An answer to a ping says nothing of what was sent after it.
func TestConfirm(t *testing.T) {
	s := newServer(t, Options{})
	c, p := s.openWS()
	ping := func() {
		p.conn.mu.Lock()
		p.conn.deadline = time.Now()
		p.conn.mu.Unlock()
		p.conn.timerFired()
		c.want("2")
	}
	pong := func() (unsure int) {
		c.send("3")
		s.wait("the pong", func() bool {
			p.conn.mu.Lock()
			defer p.conn.mu.Unlock()
			unsure = len(p.conn.unsure)
			return !p.conn.awaiting
		})
		return unsure
	}
	confirmed := make(chan string, 2)
	p.conn.Confirm(func() { confirmed <- "first" })
	ping()
	p.conn.Confirm(func() { confirmed <- "second" })
	for i, want := range []string{"first", "second"} {
		if unsure := pong(); unsure != 1-i {
			t.Fatalf("%d are not confirmed, want %d", unsure, 1-i)
		}
		if got := <-confirmed; got != want {
			t.Fatalf("%s is confirmed, want %s", got, want)
		}
		ping()
	}
	if unsure := pong(); unsure != 0 {
		t.Errorf("%d are not confirmed", unsure)
	}
}

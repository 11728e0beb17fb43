package transport

import (
	"fmt"
	"strings"
	"testing"
	"time"

	ws "github.com/gorilla/websocket"
)

const (
	eio3Polling = "EIO=3&transport=polling"
	eio3Socket  = "EIO=3&transport=websocket"
)

// openEIO3 opens a polling session of revision 3; more is added to the query.
func (s *server) openEIO3(more string) *peer {
	s.t.Helper()
	a := s.do("GET", eio3Polling+more, "")
	length, packet, _ := strings.Cut(a.body, ":")
	if a.status != 200 || length != fmt.Sprint(len(packet)) {
		s.t.Fatalf("handshake: %d %s", a.status, a.body)
	}
	return s.peer(sid(s.t, packet))
}

func (s *server) dialEIO3(more string) (*client, *peer) {
	s.t.Helper()
	c := s.dial(eio3Socket + more)
	p := s.peer(sid(s.t, c.recv()))
	s.wait("the websocket state", func() bool { return p.conn.Transport() == WebSocket })
	return c, p
}

func TestEIO3IsRefusedByDefault(t *testing.T) {
	s := newServer(t, Options{})
	const refused = `{"code":5,"message":"Unsupported protocol version"}`
	for _, version := range []string{"EIO=3&", "", "EIO=&"} {
		s.do("GET", version+"transport=polling", "").want(t, 400, refused)
		if _, res, err := s.dialRaw(version+"transport=websocket", nil); err == nil || res.StatusCode != 400 {
			t.Errorf("%q: %v", version, err)
		}
	}
}

func TestEIO3Versions(t *testing.T) {
	s := newServer(t, Options{AllowEIO3: true})
	for query, want := range map[string]string{
		"EIO=2&transport=polling":       `{"code":5,"message":"Unsupported protocol version"}`,
		"EIO=5&transport=polling":       `{"code":5,"message":"Unsupported protocol version"}`,
		"EIO=abc&transport=polling":     `{"code":5,"message":"Unsupported protocol version"}`,
		"EIO=3&transport=polling&j=0":   `{"code":3,"message":"JSONP polling is not supported: use XMLHttpRequest or WebSocket"}`,
		"EIO=3&transport=polling&j":     `{"code":3,"message":"JSONP polling is not supported: use XMLHttpRequest or WebSocket"}`,
		"EIO=3&transport=polling&sid=x": `{"code":1,"message":"Session ID unknown"}`,
		"EIO=3":                         `{"code":0,"message":"Transport unknown"}`,
	} {
		if a := s.do("GET", query, ""); a.status != 400 || a.body != want {
			t.Errorf("%s: got %d %s, want %s", query, a.status, a.body, want)
		}
	}
	old, current := s.openEIO3(""), s.open()
	if old.conn.Revision() != 3 || current.conn.Revision() != 4 {
		t.Errorf("revisions are %d and %d", old.conn.Revision(), current.conn.Revision())
	}
	// A request that names no version belongs to revision 3; a session keeps to its own.
	bad := `{"code":3,"message":"Bad request"}`
	s.do("GET", "EIO=4&transport=polling&sid="+old.conn.ID(), "").want(t, 400, bad)
	s.do("GET", eio3Polling+"&sid="+current.conn.ID(), "").want(t, 400, bad)
	s.do("GET", "transport=polling&sid="+current.conn.ID(), "").want(t, 400, bad)
	s.do("POST", "transport=polling&sid="+old.conn.ID(), "2:4x").want(t, 200, "ok")
	old.wantMessage(t, "x")
	if _, res, err := s.dialRaw("EIO=4&transport=websocket&sid="+old.conn.ID(), nil); err == nil || res.StatusCode != 400 {
		t.Errorf("an upgrade to another revision: %v", err)
	}
}

func TestEIO3Polling(t *testing.T) {
	s := newServer(t, Options{AllowEIO3: true})
	said := func(p *peer) {
		p.conn.Send(NewMessage([]byte("ü🎉"), []byte{1}, []byte{2, 3, 4}))
		p.conn.Send(text("y"))
	}
	t.Run("text", func(t *testing.T) {
		p := s.openEIO3("&b64=1")
		at := eio3Polling + "&sid=" + p.conn.ID()
		s.do("POST", at, "2:4a10:b4AQIDBA==1:43:4🎉", "Content-Type", "text/plain;charset=UTF-8").want(t, 200, "ok")
		for _, want := range []string{"a", "b:\x01\x02\x03\x04", "", "🎉"} {
			p.wantMessage(t, want)
		}
		said(p)
		a := s.do("GET", at, "")
		a.want(t, 200, "4:4ü🎉6:b4AQ==6:b4AgME2:4y")
		if ct := a.header.Get("Content-Type"); ct != "text/plain; charset=UTF-8" {
			t.Errorf("content type %q", ct)
		}
	})
	t.Run("binary", func(t *testing.T) {
		p := s.openEIO3("")
		at := eio3Polling + "&sid=" + p.conn.ID()
		s.do("POST", at, "\x00\x02\xff4a\x01\x03\xff\x04\xfe\xff\x00\x05\xff4🎉", "Content-Type", "application/octet-stream").want(t, 200, "ok")
		for _, want := range []string{"a", "b:\xfe\xff", "🎉"} {
			p.wantMessage(t, want)
		}
		said(p)
		a := s.do("GET", at, "")
		a.want(t, 200, "\x00\x07\xff4ü🎉\x01\x02\xff\x04\x01\x01\x04\xff\x04\x02\x03\x04\x00\x02\xff4y")
		if ct := a.header.Get("Content-Type"); ct != "application/octet-stream" {
			t.Errorf("content type %q", ct)
		}
		p.conn.Send(text("only text"))
		s.do("GET", at, "").want(t, 200, "10:4only text")
	})
}

func TestEIO3WebSocket(t *testing.T) {
	s := newServer(t, Options{AllowEIO3: true})
	for _, tt := range []struct {
		more string
		want []string
	}{
		{"", []string{"4ü", "b:\x04\x01", "b:\x04\x02\x03", "4y"}},
		{"&b64=1", []string{"4ü", "b4AQ==", "b4AgM=", "4y"}},
	} {
		c, p := s.dialEIO3(tt.more)
		c.send("4a")
		c.WriteMessage(ws.BinaryMessage, []byte{4, 1, 2})
		c.send("b4AwQ=")
		for _, want := range []string{"a", "b:\x01\x02", "b:\x03\x04"} {
			p.wantMessage(t, want)
		}
		p.conn.Send(NewMessage([]byte("ü"), []byte{1}, []byte{2, 3}))
		p.conn.Send(text("y"))
		for _, want := range tt.want {
			c.want(want)
		}
	}
}

// One message for clients of all kinds has each form made once.
func TestMessageIsEncodedOncePerForm(t *testing.T) {
	m := NewMessage([]byte("a"), []byte{1})
	for name, form := range map[string]func() []byte{
		"frames":         func() []byte { return m.eio3Frames(false) },
		"text frames":    func() []byte { return m.eio3Frames(true) },
		"text payload":   func() []byte { return m.eio3Payload(false) },
		"binary payload": func() []byte { return m.eio3Payload(true) },
	} {
		if first, second := form(), form(); &first[0] != &second[0] {
			t.Errorf("%s were made twice", name)
		}
		if n := testing.AllocsPerRun(100, func() { form() }); n != 0 {
			t.Errorf("%s cost %v allocations each time", name, n)
		}
	}
	old := &wire{eio3: true}
	if plain := text("a"); &old.frames(plain)[0] != &plain.frames[0] || plain.eio3Forms.Load() != nil {
		t.Error("frames without binary data were made again")
	}
}

func TestEIO3Heartbeat(t *testing.T) {
	s := newServer(t, Options{AllowEIO3: true, PingInterval: 200 * time.Millisecond, PingTimeout: 2 * time.Second})
	t.Run("polling", func(t *testing.T) {
		t.Parallel()
		p := s.openEIO3("")
		at := eio3Polling + "&sid=" + p.conn.ID()
		for range 3 {
			s.do("POST", at, "1:2").want(t, 200, "ok")
			s.do("GET", at, "").want(t, 200, "1:3")
		}
		s.do("POST", at, "3:2hi").want(t, 200, "ok")
		s.do("GET", at, "").want(t, 200, "3:3hi")
		p.wantClosed(t, ReasonPingTimeout)
		s.do("POST", at, "1:2").want(t, 400, `{"code":1,"message":"Session ID unknown"}`)
	})
	t.Run("websocket", func(t *testing.T) {
		t.Parallel()
		c, p := s.dialEIO3("")
		for range 3 {
			c.send("2")
			c.want("3")
		}
		c.wantClose(ws.CloseNoStatusReceived) // nothing came before: the server does not ping
		p.wantClosed(t, ReasonPingTimeout)
	})
	t.Run("over an upgrade", func(t *testing.T) {
		t.Parallel()
		p := s.openEIO3("")
		c := s.dial(eio3Socket + "&sid=" + p.conn.ID())
		c.send("2probe")
		c.want("3probe")
		c.send("5")
		c.send("2")
		c.want("3")
		p.wantClosed(t, ReasonPingTimeout)
	})
}

// Every packet moves the deadline. A stopped clock shows it: the deadlines are looked at, not waited for.
func TestEIO3PacketsMoveTheDeadline(t *testing.T) {
	s := newServer(t, Options{AllowEIO3: true})
	c, p := s.dialEIO3("")
	deadline := func() time.Time {
		p.conn.mu.Lock()
		defer p.conn.mu.Unlock()
		return p.conn.deadline
	}
	last := deadline()
	if left := time.Until(last); left < 40*time.Second || left > 45*time.Second {
		t.Errorf("the client may be silent for %v", left)
	}
	for i := range 3 {
		c.send(fmt.Sprint("4", i))
		p.wantMessage(t, fmt.Sprint(i))
		if now := deadline(); !now.After(last) {
			t.Errorf("packet %d did not move the deadline", i)
		} else {
			last = now
		}
	}
	p.conn.timerFired() // early
	if deadline() != last || p.conn.Transport() != WebSocket {
		t.Error("a timer that fired early did something")
	}
}

// The upgrade is that of revision 4, but for the pending poll's payload.
func TestEIO3Upgrade(t *testing.T) {
	s := newServer(t, Options{AllowEIO3: true})
	p := s.openEIO3("")
	at := eio3Polling + "&sid=" + p.conn.ID()
	c := s.dial(eio3Socket + "&sid=" + p.conn.ID())
	c.send("2probe")
	c.want("3probe")
	s.do("GET", at, "").want(t, 200, "1:6")
	p.conn.Send(NewMessage([]byte("waits"), []byte{7}))
	c.send("5")
	c.want("4waits")
	c.want("b:\x04\x07")
	s.do("GET", at, "").want(t, 400, `{"code":3,"message":"Bad request"}`)
	c.send("4over the WebSocket")
	p.wantMessage(t, "over the WebSocket")
}

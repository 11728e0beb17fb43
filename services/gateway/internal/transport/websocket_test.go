package transport

import (
	"bytes"
	"encoding/binary"
	"io"
	"net/http/httptest"
	"testing"
	"time"

	ws "github.com/gorilla/websocket"
)

func startTLS(h *httptest.Server) { h.StartTLS() }

func TestWebSocketMessages(t *testing.T) {
	for name, start := range map[string][]func(*httptest.Server){"tcp": nil, "tls": {startTLS}} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, Options{}, start...)
			c, p := s.openWS()
			if p.conn.Request().Secure != (name == "tls") {
				t.Errorf("secure is %v", p.conn.Request().Secure)
			}
			c.send("4hello")
			c.WriteMessage(ws.BinaryMessage, []byte{1, 2})
			c.WriteMessage(ws.BinaryMessage, nil)
			for _, want := range []string{"hello", "b:\x01\x02", "b:"} {
				p.wantMessage(t, want)
			}
			for _, n := range []int{0, 1, 124, 125, 126, 65_534, 65_535, 65_536, 3 << 20} { // every frame length form
				if err := p.conn.Send(NewMessage(big(n), big(n), []byte("z"))); err != nil {
					t.Fatal(err)
				}
				c.want("4" + string(big(n)))
				c.want("b:" + string(big(n)))
				c.want("b:z")
			}
		})
	}
}

// A client whose WebSocket carries text only says b64=1: binary goes as base64 in both directions, on a
// connection that starts on WebSocket and on one that is upgraded.
func TestWebSocketBase64(t *testing.T) {
	s := newServer(t, Options{})
	direct := s.dial("EIO=4&transport=websocket&b64=1")
	open := s.peer(sid(t, direct.recv()))
	s.wait("the websocket state", func() bool { return open.conn.Transport() == WebSocket })
	upgrading := s.open()
	upgraded := s.dial("EIO=4&transport=websocket&b64=1&sid=" + upgrading.conn.ID())
	upgraded.send("2probe")
	upgraded.want("3probe")
	upgrading.conn.Send(NewMessage([]byte("early"), []byte{9}))
	upgraded.send("5")
	upgraded.want("4early")
	upgraded.want("bCQ==")
	for _, x := range []struct {
		c *client
		p *peer
	}{{direct, open}, {upgraded, upgrading}} {
		x.c.send("bAQIDBA==")
		x.c.send("b")
		x.c.send("4text")
		for _, want := range []string{"b:\x01\x02\x03\x04", "b:", "text"} {
			x.p.wantMessage(t, want)
		}
		x.p.conn.Send(NewMessage([]byte("head"), []byte{1, 2, 3, 4}, big(300)))
		x.c.want("4head")
		x.c.want("bAQIDBA==")
		x.c.want("b" + base64Text(big(300)))
		if !x.p.conn.SendVolatile(NewBinary([]byte{5})) {
			t.Error("not sent on an idle connection")
		}
		x.c.want("bBQ==")
		x.c.send("bAQ==\x1e4more") // one packet a frame
		x.p.wantMessage(t, "b:\x01")
		x.p.wantClosed(t, ReasonParseError)
	}
	c, p := s.openWS()
	c.send("b?")
	p.wantClosed(t, ReasonParseError)
}

// The WebSocket library's own frames take the same way as ours, and are never torn.
func TestControlFramesDoNotInterleave(t *testing.T) {
	s := newServer(t, Options{MaxQueueMessages: 100_000, MaxQueueBytes: 1 << 30})
	c, p := s.openWS()
	pongs := 0
	c.SetPongHandler(func(data string) error {
		if data != "are you there" {
			t.Errorf("pong %q", data)
		}
		pongs++
		return nil
	})
	const n, pings = 2000, 200
	payload := big(3000)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range n {
			if err := p.conn.Send(NewMessage(payload, payload)); err != nil {
				t.Errorf("Send: %v", err)
				return
			}
		}
	}()
	for range pings {
		if err := c.WriteControl(ws.PingMessage, []byte("are you there"), time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
	}
	for range n {
		c.want("4" + string(payload))
		c.want("b:" + string(payload))
	}
	<-done
	p.conn.Close("")
	c.wantClose(ws.CloseNoStatusReceived)
	if pongs != pings {
		t.Errorf("%d pongs for %d pings", pongs, pings)
	}
}

func TestWebSocketEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		act    func(c *client)
		code   int
		reason string
	}{
		"unknown packet": {func(c *client) { c.send("abc") }, ws.CloseNoStatusReceived, ReasonParseError},
		"empty packet":   {func(c *client) { c.send("") }, ws.CloseNoStatusReceived, ReasonParseError},
		"ping":           {func(c *client) { c.send("2") }, ws.CloseNoStatusReceived, ReasonTransportError},
		"not UTF-8":      {func(c *client) { c.send("4\xff") }, 1007, ReasonTransportError},
		"too large":      {func(c *client) { c.send("4" + string(big(5000))) }, ws.CloseMessageTooBig, ReasonTransportError},
		"far too large": {func(c *client) { // more than socket buffers take
			go c.WriteMessage(ws.TextMessage, big(20<<20))
		}, ws.CloseMessageTooBig, ReasonTransportError},
		"client closes": {func(c *client) {
			c.WriteControl(ws.CloseMessage, ws.FormatCloseMessage(1000, ""), time.Now().Add(patience))
		}, ws.CloseNormalClosure, ReasonTransportClose},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, Options{MaxPayload: 5000})
			c, p := s.openWS()
			tt.act(c)
			c.wantClose(tt.code)
			p.wantClosed(t, tt.reason)
		})
	}
}

func TestWebSocketLimitItself(t *testing.T) {
	s := newServer(t, Options{MaxPayload: 5000})
	c, p := s.openWS()
	w, err := c.NextWriter(ws.TextMessage) // as many fragments
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, "4")
	for range 4999 {
		w.Write([]byte("x"))
	}
	w.Close()
	p.wantMessage(t, string(big(4999)))
}

// Frames that no WebSocket client would send, on an open connection and on one that is upgrading.
func TestBadFrames(t *testing.T) {
	masked := func(b0, length byte, rest ...byte) []byte {
		return append([]byte{b0, 0x80 | length, 0, 0, 0, 0}, rest...)
	}
	var huge [8]byte
	binary.BigEndian.PutUint64(huge[:], 1<<63)
	frames := map[string][]byte{
		"unmasked":           {0x81, 1, '4'},
		"reserved bits":      masked(0xf1, 1, '4'),
		"compressed":         masked(0xc1, 1, '4'),
		"unknown opcode":     masked(0x83, 0),
		"continuation first": masked(0x80, 1, '4'),
		"long ping":          append([]byte{0x89, 0xfe, 0, 126}, make([]byte, 130)...),
		"fragmented ping":    masked(0x09, 0),
		"negative length":    append(append([]byte{0x81, 0xff}, huge[:]...), 0, 0, 0, 0),
		"cut off":            {0x81},
	}
	for name, frame := range frames {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, Options{})
			c, p := s.openWS()
			c.NetConn().Write(frame)
			if name == "cut off" {
				c.NetConn().Close()
			}
			if got := recv(t, "the end", p.closed); got != ReasonTransportError && got != ReasonTransportClose {
				t.Errorf("closed with %q", got)
			}

			q := s.open()
			for _, probed := range []bool{false, true} {
				u := s.dial("EIO=4&transport=websocket&sid=" + q.conn.ID())
				if probed {
					u.send("2probe")
					u.want("3probe")
				}
				s.wait("upgrading", func() bool { return q.conn.is(upgrading) })
				u.NetConn().Write(frame)
				if name == "cut off" {
					u.NetConn().Close()
				}
				s.wait("polling", func() bool { return q.conn.is(polling) })
			}
			s.post(q.conn.ID(), "4alive").want(t, 200, "ok")
			q.wantMessage(t, "alive")
		})
	}
}

func (c *Conn) is(s state) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state == s
}

// "1" on a WebSocket means nothing: it is closed by closing it.
func TestWebSocketIgnores(t *testing.T) {
	s := newServer(t, Options{})
	c, p := s.openWS()
	for _, packet := range []string{"1", "0", "5", "6", "3"} {
		c.send(packet)
	}
	c.send("4alive")
	p.wantMessage(t, "alive")
}

func TestWebSocketClose(t *testing.T) {
	s := newServer(t, Options{})
	c, p := s.openWS()
	for i := range 100 {
		p.conn.Send(text("%d", i))
	}
	p.conn.Close("mine")
	if err := p.conn.Send(text("late")); err != ErrClosed {
		t.Errorf("Send: %v", err)
	}
	if p.conn.SendVolatile(text("late")) {
		t.Error("SendVolatile succeeded")
	}
	for i := range 100 {
		c.want(string(text("%d", i).polling()))
	}
	c.wantClose(ws.CloseNoStatusReceived)
	p.wantClosed(t, "mine")
}

func TestCloseIsBounded(t *testing.T) {
	s := newServer(t, Options{CloseTimeout: 50 * time.Millisecond})
	_, p := s.openWS() // does not read
	for range 7 {
		p.conn.Send(NewMessage(big(1 << 20)))
	}
	p.conn.Close("")
	p.wantClosed(t, ReasonForcedClose)
}

// A client that does not read loses its connection, and nobody else does.
func TestSlowReader(t *testing.T) {
	for name, start := range map[string][]func(*httptest.Server){"tcp": nil, "tls": {startTLS}} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, Options{MaxQueueBytes: 1 << 20}, start...)
			_, slow := s.openWS()
			fast, p := s.openWS()
			m := NewMessage(big(64 << 10))
			sent := 0
			for {
				if err := p.conn.Send(m); err != nil {
					t.Fatal(err)
				}
				fast.want(string(m.polling()))
				if err := slow.conn.Send(m); err != nil {
					if err != ErrQueueFull {
						t.Fatalf("got %v, want ErrQueueFull", err)
					}
					break
				}
				if sent++; sent > 10_000 {
					t.Fatal("the queue is not bounded")
				}
			}
			slow.wantClosed(t, ReasonTransportError)
			p.conn.Send(text("alive"))
			fast.want("4alive")
		})
	}
}

func TestWriteTimeout(t *testing.T) {
	s := newServer(t, Options{WriteTimeout: 50 * time.Millisecond, MaxQueueBytes: 1 << 30})
	_, p := s.openWS()
	m := NewMessage(big(1 << 20))
	for range 32 {
		p.conn.Send(m)
	}
	p.wantClosed(t, ReasonTransportError)
}

func TestWebSocketVolatile(t *testing.T) {
	s := newServer(t, Options{MaxQueueBytes: 1 << 30})
	c, p := s.openWS()
	if !p.conn.SendVolatile(text("now")) {
		t.Fatal("not sent on an idle connection")
	}
	c.want("4now")
	m := NewMessage(big(1 << 20))
	sent, full := 0, func() bool { return !p.conn.SendVolatile(m) }
	for ; !full(); sent++ {
		if sent > 1000 {
			t.Fatal("always writable")
		}
	}
	p.conn.Send(text("last"))
	for range sent { // what was taken arrives whole
		c.want(string(m.polling()))
	}
	c.want("4last")
}

func TestConcurrentSendersKeepTheirOrder(t *testing.T) {
	s := newServer(t, Options{MaxQueueMessages: 1 << 20, MaxQueueBytes: 1 << 30})
	c, p := s.openWS()
	const senders, n = 8, 500
	for i := range senders {
		go func() {
			for j := range n {
				if err := p.conn.Send(NewMessage([]byte{byte('a' + i), ' ', byte(j >> 8), byte(j)}, big(100))); err != nil {
					t.Errorf("Send: %v", err)
				}
			}
		}()
	}
	next := make(map[byte]int)
	for range senders * n {
		got := c.recv()
		j := int(got[3])<<8 | int(got[4])
		if next[got[1]] != j {
			t.Fatalf("sender %c: got %d, want %d", got[1], j, next[got[1]])
		}
		next[got[1]]++
		c.want("b:" + string(big(100))) // an attachment stays with its message
	}
}

// A session that panics costs its own connection only.
func TestSessionPanics(t *testing.T) {
	for _, transport := range []string{Polling, WebSocket} {
		t.Run(transport, func(t *testing.T) {
			s := newServer(t, Options{})
			var p *peer
			var send func(string)
			if transport == Polling {
				p = s.open()
				send = func(m string) { s.post(p.conn.ID(), m) }
			} else {
				c, q := s.openWS()
				p, send = q, c.send
			}
			close(p.messages) // sending on it panics
			send("4boom")
			p.wantClosed(t, ReasonTransportError)
			s.open()
		})
	}
}

func TestMessage(t *testing.T) {
	in, attachment := []byte("in"), []byte("att")
	m := NewMessage(in, attachment)
	copy(in, "xx")
	copy(attachment, "xxx")
	if got, want := string(m.polling()), "4in\x1eb"+"YXR0"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if want := []byte("\x81\x034in\x82\x03att"); !bytes.Equal(m.frames, want) || m.Size() != len(want) {
		t.Errorf("got %q, want %q", m.frames, want)
	}
}

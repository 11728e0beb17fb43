package transport

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	ws "github.com/gorilla/websocket"
)

func TestUpgrade(t *testing.T) {
	s := newServer(t, Options{})
	p := s.open()
	pending := s.goGet(p)
	c := s.probe(p)
	recv(t, "the poll", pending).want(t, 200, "6")
	pending = s.goGet(p) // of a client that had not seen the probe's answer yet
	recv(t, "the second poll", pending).want(t, 200, "6")
	p.conn.Send(text("between"))
	c.send("5")
	c.send("4up")
	c.want("4between")
	p.wantMessage(t, "up")
	if p.conn.Transport() != WebSocket {
		t.Errorf("transport is %s", p.conn.Transport())
	}
	s.get(p.conn.ID()).want(t, 400, `{"code":3,"message":"Bad request"}`)
	s.post(p.conn.ID(), "4a").want(t, 400, `{"code":3,"message":"Bad request"}`)
	s.dial("EIO=4&transport=websocket&sid=" + p.conn.ID()).wantClose(ws.CloseNoStatusReceived)
	p.conn.Send(text("alive"))
	c.want("4alive")
	c.Close()
	p.wantClosed(t, ReasonTransportClose)
}

// The answer to a probe makes a client hold back what it says until its poll ends: it comes when the connection
// has settled, and the poll is ended after it, not before.
func TestProbeIsAnsweredLate(t *testing.T) {
	s := newServer(t, Options{})
	p := s.open()
	pending := s.goGet(p)
	probed := time.Now()
	c := s.probe(p)
	if waited := time.Since(probed); waited < probeHold {
		t.Errorf("the probe was answered after %v, want %v", waited, probeHold)
	}
	recv(t, "the poll", pending).want(t, 200, "6")
	if waited := time.Since(probed); waited < probeHold+noopInterval {
		t.Errorf("the poll was ended after %v, want %v", waited, probeHold+noopInterval)
	}
	c.send("5")
	s.wait("websocket", func() bool { return p.conn.is(websocket) })
}

// A poll that arrives while "5" is being handled is refused, as it would be right after.
func TestPollCrossesUpgrade(t *testing.T) {
	s := newServer(t, Options{})
	p := s.open()
	c := s.probe(p)
	pending := s.goGet(p)
	c.send("5")
	if a := recv(t, "the poll", pending); a.status != 400 && a.body != "6" { // 6 if the test is slow
		t.Errorf("got %d %q", a.status, a.body)
	}
	c.send("4up")
	p.wantMessage(t, "up")
}

func TestUpgradeGivenUp(t *testing.T) {
	for name, act := range map[string]func(c *client){
		"other packet":  func(c *client) { c.send("4too early") },
		"unknown":       func(c *client) { c.send("abc") },
		"wrong probe":   func(c *client) { c.send("2prob") },
		"empty":         func(c *client) { c.send("") },
		"binary":        func(c *client) { c.WriteMessage(ws.BinaryMessage, []byte("5")) },
		"not UTF-8":     func(c *client) { c.send("5\xff") },
		"too large":     func(c *client) { c.send("5" + string(big(2000))) },
		"client leaves": func(c *client) { c.Close() },
		"timeout":       func(c *client) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := Options{MaxPayload: 1000}
			if name == "timeout" {
				o.UpgradeTimeout = 2 * time.Second
			}
			s := newServer(t, o)
			p := s.open()
			c := s.probe(p)
			act(c)
			s.wait("polling", func() bool { return p.conn.is(polling) })
			if name != "client leaves" {
				if _, data, err := c.ReadMessage(); !ws.IsCloseError(err, ws.CloseNoStatusReceived, 1007, ws.CloseMessageTooBig) {
					t.Errorf("got %q, %v; want a close frame", data, err)
				}
			}
			s.post(p.conn.ID(), "4alive").want(t, 200, "ok")
			p.wantMessage(t, "alive")
			c = s.probe(p) // and again
			c.send("5")
			s.wait("websocket", func() bool { return p.conn.is(websocket) })
		})
	}
}

func TestSecondUpgradeIsClosed(t *testing.T) {
	s := newServer(t, Options{})
	p := s.open()
	c := s.probe(p)
	s.dial("EIO=4&transport=websocket&sid=" + p.conn.ID()).wantClose(ws.CloseNoStatusReceived)
	c.send("5")
	c.send("4up")
	p.wantMessage(t, "up")
}

func TestCloseWhileUpgrading(t *testing.T) {
	s := newServer(t, Options{})
	t.Run("the WebSocket takes what is queued", func(t *testing.T) {
		p := s.open()
		c := s.probe(p)
		p.conn.Send(text("a"))
		p.conn.Close("mine")
		c.send("5")
		c.want("4a")
		c.wantClose(ws.CloseNoStatusReceived)
		p.wantClosed(t, "mine")
	})
	t.Run("a poll takes it", func(t *testing.T) {
		p := s.open()
		c := s.probe(p)
		p.conn.Send(text("a"))
		p.conn.Close("mine")
		s.get(p.conn.ID()).want(t, 200, "4a")
		s.get(p.conn.ID()).want(t, 200, "1")
		c.wantClose(ws.CloseNoStatusReceived)
		p.wantClosed(t, "mine")
	})
	t.Run("polling fails", func(t *testing.T) {
		p := s.open()
		c := s.probe(p)
		s.do("POST", "EIO=4&transport=polling&sid="+p.conn.ID(), "4a", "Content-Type", "application/octet-stream")
		c.wantClose(ws.CloseNoStatusReceived)
		p.wantClosed(t, ReasonTransportError)
	})
}

// Messages in both directions, through the whole upgrade: none is lost, doubled or overtaken.
func TestUpgradeUnderLoad(t *testing.T) {
	s := newServer(t, Options{})
	var group sync.WaitGroup
	for range 10 {
		group.Go(func() { upgradeUnderLoad(t, s) })
	}
	group.Wait()
}

func upgradeUnderLoad(t *testing.T, s *server) {
	p := s.open()
	upgraded, total := make(chan struct{}), make(chan int, 1)
	go func() { // through the whole upgrade, and some more
		n, last := 0, 1<<30
		for ; n < last; n++ {
			if err := p.conn.Send(NewMessage(fmt.Append(nil, n), []byte{byte(n)})); err != nil {
				t.Errorf("Send: %v", err)
				break
			}
			select {
			case <-upgraded:
				last = min(last, n+500)
			case <-time.After(100 * time.Microsecond):
			}
		}
		total <- n
	}()
	var got []string
	poll := func() {
		a, err := s.try("GET", "EIO=4&transport=polling&sid="+p.conn.ID(), "")
		if err != nil || a.status != 200 {
			t.Errorf("poll: %d %s %v", a.status, a.body, err)
		}
		for part := range strings.SplitSeq(a.body, "\x1e") {
			if part != "6" {
				got = append(got, part)
			}
		}
	}
	sent := 0
	for range 5 {
		poll()
		if a, err := s.try("POST", "EIO=4&transport=polling&sid="+p.conn.ID(), fmt.Sprintf("4%d\x1e4%d", sent, sent+1)); err != nil || a.body != "ok" {
			t.Errorf("post: %v %v", a, err)
		}
		sent += 2
	}
	c, _, err := s.dialRaw("EIO=4&transport=websocket&sid="+p.conn.ID(), nil)
	if err != nil {
		t.Error(err)
		close(upgraded)
		return
	}
	c.WriteMessage(ws.TextMessage, []byte("2probe"))
	poll()
	if _, data, err := c.ReadMessage(); string(data) != "3probe" {
		t.Errorf("probe: %q %v", data, err)
		close(upgraded)
		return
	}
	c.WriteMessage(ws.TextMessage, []byte("5"))
	for range 100 {
		c.WriteMessage(ws.TextMessage, fmt.Appendf(nil, "4%d", sent))
		sent++
	}
	close(upgraded)
	n := recv(t, "the sender", total)
	for len(got) < 2*n {
		kind, data, err := c.ReadMessage()
		if err != nil {
			t.Errorf("after %d: %v", len(got), err)
			return
		}
		if kind == ws.BinaryMessage {
			data = []byte("b" + base64Text(data))
		}
		got = append(got, string(data))
	}
	for i := range n {
		if got[2*i] != "4"+strconv.Itoa(i) || got[2*i+1] != "b"+base64Text([]byte{byte(i)}) {
			t.Errorf("message %d is %q, %q", i, got[2*i], got[2*i+1])
			return
		}
	}
	for i := range sent {
		select {
		case m := <-p.messages:
			if m != strconv.Itoa(i) {
				t.Errorf("heard %s, want %d", m, i)
				return
			}
		case <-time.After(patience):
			t.Errorf("heard %d of %d", i, sent)
			return
		}
	}
}

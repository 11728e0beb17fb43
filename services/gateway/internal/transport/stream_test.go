package transport

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestUpgradeToWebTransport(t *testing.T) {
	s := newQUICServer(t, Options{})
	p := s.open()
	pending := s.goGet(p)
	c := s.probeStream(p)
	recv(t, "the poll", pending).want(t, 200, "6")
	p.conn.Send(NewMessage([]byte("between"), []byte{1}))
	c.send("5")
	c.send("4up")
	c.want("4between")
	c.want("b:\x01")
	p.wantMessage(t, "up")
	if p.conn.Transport() != WebTransport {
		t.Errorf("transport is %s", p.conn.Transport())
	}
	s.get(p.conn.ID()).want(t, 400, `{"code":3,"message":"Bad request"}`)
	second := s.stream()
	second.send(`0{"sid":"` + p.conn.ID() + `"}`)
	second.wantClosed()
	p.conn.Send(text("alive"))
	c.want("4alive")
	c.session.CloseWithError(0, "")
	p.wantClosed(t, ReasonTransportClose)
	gone := s.stream()
	gone.send(`0{"sid":"` + p.conn.ID() + `"}`)
	gone.wantRefused()
}

func TestUpgradeToWebTransportGivenUp(t *testing.T) {
	for name, act := range map[string]func(c *streamClient){
		"other packet":  func(c *streamClient) { c.send("4too early") },
		"unknown":       func(c *streamClient) { c.raw("\x01x") },
		"wrong probe":   func(c *streamClient) { c.send("2prob") },
		"empty":         func(c *streamClient) { c.raw("\x00") },
		"binary":        func(c *streamClient) { c.raw("\x815") },
		"not UTF-8":     func(c *streamClient) { c.send("5\xff") },
		"too large":     func(c *streamClient) { c.send("5" + string(big(2000))) },
		"client leaves": func(c *streamClient) { c.session.CloseWithError(0, "") },
		"timeout":       func(c *streamClient) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := Options{MaxPayload: 1000}
			if name == "timeout" {
				o.UpgradeTimeout = 2 * time.Second
			}
			s := newQUICServer(t, o)
			p := s.open()
			c := s.probeStream(p)
			act(c)
			s.wait("polling", func() bool { return p.conn.is(polling) })
			if name != "client leaves" {
				c.wantClosed()
			}
			s.post(p.conn.ID(), "4alive").want(t, 200, "ok")
			p.wantMessage(t, "alive")
			s.probe(p).send("5") // over the other transport
			s.wait("the upgrade", func() bool { return p.conn.Transport() == WebSocket })
		})
	}
}

// A stock client tries WebTransport first, and WebSocket a moment later: whichever comes second is closed.
func TestUpgradesRace(t *testing.T) {
	s := newQUICServer(t, Options{})
	p := s.open()
	c := s.probeStream(p)
	late := s.dial("EIO=4&transport=websocket&sid=" + p.conn.ID())
	if _, _, err := late.ReadMessage(); err == nil {
		t.Error("the WebSocket was taken")
	}
	c.send("5")
	c.send("4up")
	p.wantMessage(t, "up")

	p = s.open()
	sock := s.probe(p)
	c = s.stream()
	c.send(`0{"sid":"` + p.conn.ID() + `"}`)
	c.wantClosed()
	sock.send("5")
	sock.send("4up")
	p.wantMessage(t, "up")
}

// A client that takes less than it is sent is disconnected, whichever bound it comes to first.
func TestSlowStreamClient(t *testing.T) {
	t.Run("queue", func(t *testing.T) {
		s := newQUICServer(t, Options{MaxQueueBytes: 1 << 20, WriteTimeout: time.Minute})
		_, p := s.openStream()
		m := text("%s", big(100_000))
		for n := 0; ; n++ {
			began := time.Now()
			err := p.conn.Send(m)
			if took := time.Since(began); took > time.Second {
				t.Fatalf("Send took %v: it must not wait for the client", took)
			}
			if errors.Is(err, ErrQueueFull) {
				break
			}
			if err != nil || n > 1000 {
				t.Fatalf("after %d messages: %v", n, err)
			}
		}
		p.wantClosed(t, ReasonTransportError)
	})
	t.Run("write timeout", func(t *testing.T) {
		s := newQUICServer(t, Options{MaxQueueBytes: 1 << 30, WriteTimeout: 200 * time.Millisecond})
		_, p := s.openStream()
		for range 100 {
			p.conn.Send(text("%s", big(100_000)))
		}
		p.wantClosed(t, ReasonTransportError)
	})
	t.Run("volatile", func(t *testing.T) {
		s := newQUICServer(t, Options{MaxQueueBytes: 1 << 30})
		_, p := s.openStream()
		for range 200 {
			p.conn.Send(text("%s", big(100_000)))
		}
		if p.conn.SendVolatile(text("now or never")) {
			t.Error("a volatile message waits")
		}
	})
}

// A session that does not return from Message slows its client down, and nothing is held for it beyond the windows.
func TestSlowSession(t *testing.T) {
	s := newQUICServer(t, Options{})
	c, p := s.openStream()
	p.conn.delivery.Lock()
	c.SetWriteDeadline(time.Now().Add(time.Second))
	sent := 0
	var err error
	for m := string(big(10_000)); err == nil && sent < 100<<20; sent += len(m) {
		_, err = c.Write([]byte("\x7e\x27\x114" + m))
	}
	p.conn.delivery.Unlock()
	if err == nil || sent > 2*maxWindow {
		t.Errorf("%d bytes were taken, %v", sent, err)
	}
}

func TestCloseStream(t *testing.T) {
	s := newQUICServer(t, Options{MaxQueueBytes: 1 << 30})
	c, p := s.openStream()
	const n = 500
	for i := range n {
		p.conn.Send(text("%d %s", i, big(5000)))
	}
	p.conn.Close("mine")
	if err := p.conn.Send(text("late")); !errors.Is(err, ErrClosed) {
		t.Errorf("Send: %v", err)
	}
	for i := range n {
		c.want(fmt.Sprintf("4%d %s", i, big(5000)))
	}
	c.wantClosed()
	p.wantClosed(t, "mine")
}

func TestShutdownOfStreams(t *testing.T) {
	s := newQUICServer(t, Options{})
	c, p := s.openStream()
	polled := s.open()
	u := s.probeStream(polled)
	unasked := s.stream()
	p.conn.Send(text("last"))
	finished := make(chan error, 1)
	go func() { finished <- s.eio.Shutdown(context.Background()) }()
	c.want("4last")
	c.wantClosed()
	u.wantClosed()
	p.wantClosed(t, ReasonServerShutdown)
	polled.wantClosed(t, ReasonServerShutdown)
	if err := recv(t, "Shutdown", finished); err != nil {
		t.Error(err)
	}
	unasked.send("0")
	unasked.wantRefused()
}

func TestHeartbeatOverWebTransport(t *testing.T) {
	s := newQUICServer(t, Options{PingInterval: 50 * time.Millisecond, PingTimeout: 500 * time.Millisecond})
	c, p := s.openStream()
	for range 3 {
		c.want("2")
		c.send("3")
	}
	c.want("2")
	c.wantClosed()
	p.wantClosed(t, ReasonPingTimeout)
}

// Messages to and from many clients, by several senders at a time: none is lost, doubled or overtaken.
func TestStreamsUnderLoad(t *testing.T) {
	const clients, messages = 10, 300
	s := newQUICServer(t, Options{MaxQueueMessages: 1 << 20})
	var streams []*streamClient
	var peers []*peer
	for range clients {
		c, p := s.openStream()
		streams, peers = append(streams, c), append(peers, p)
	}
	go func() {
		for i := range messages {
			m := NewMessage([]byte(strconv.Itoa(i)), []byte{byte(i)})
			for _, p := range peers {
				if err := p.conn.Send(m); err != nil {
					t.Errorf("Send: %v", err)
				}
			}
		}
	}()
	for i, c := range streams {
		for n := range messages {
			c.want("4" + strconv.Itoa(n))
			c.want("b:" + string([]byte{byte(n)}))
			c.send("4" + strconv.Itoa(n))
		}
		for n := range messages {
			peers[i].wantMessage(t, strconv.Itoa(n))
		}
	}
}

// Revision 3 of the protocol is older than the transport.
func TestEIO3KnowsNoWebTransport(t *testing.T) {
	s := newQUICServer(t, Options{AllowEIO3: true})
	p := s.openEIO3("")
	if open := string(p.conn.openPacket(Polling)); !strings.Contains(open, `"upgrades":["websocket"]`) {
		t.Errorf("open packet %s", open)
	}
	c := s.stream()
	c.send(`0{"sid":"` + p.conn.ID() + `"}`)
	c.wantRefused()
}

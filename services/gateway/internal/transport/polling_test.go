package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestPollingMessages(t *testing.T) {
	s := newServer(t, Options{})
	p := s.open()
	a := s.post(p.conn.ID(), "4a\x1ebAQIDBA==\x1e4\x1e6\x1e4ü")
	a.want(t, 200, "ok")
	if ct := a.header.Get("Content-Type"); ct != "text/html" {
		t.Errorf("content type %q", ct)
	}
	for _, want := range []string{"a", "b:\x01\x02\x03\x04", "", "ü"} {
		p.wantMessage(t, want)
	}
	p.conn.Send(NewMessage([]byte("x"), []byte{1}, []byte{2, 3, 4}))
	p.conn.Send(NewBinary([]byte{5}))
	p.conn.Send(text("y"))
	a = s.get(p.conn.ID())
	a.want(t, 200, "4x\x1ebAQ==\x1ebAgME\x1ebBQ==\x1e4y")
	if ct, cc := a.header.Get("Content-Type"), a.header.Get("Cache-Control"); ct != "text/plain; charset=UTF-8" || cc != "no-store" {
		t.Errorf("content type %q, cache control %q", ct, cc)
	}
	pending := s.goGet(p)
	p.conn.Send(text("z"))
	recv(t, "the poll", pending).want(t, 200, "4z")
	if p.conn.Transport() != Polling {
		t.Errorf("transport is %s", p.conn.Transport())
	}
}

func TestSendAllTogether(t *testing.T) {
	s := newServer(t, Options{MaxQueueMessages: 2})
	all := []*Message{text("a"), text("b"), text("c")} // past the bound
	p := s.open()
	pending := s.goGet(p)
	if err := p.conn.SendAll(all); err != nil {
		t.Fatal(err)
	}
	recv(t, "the poll", pending).want(t, 200, "4a\x1e4b\x1e4c")
	p.conn.Send(text("x"))
	p.conn.SendAll(all)
	s.get(p.conn.ID()).want(t, 200, "4x\x1e4a\x1e4b\x1e4c")

	ws, p := s.openWS()
	p.conn.Send(text("x"))
	if err := p.conn.SendAll(all); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"4x", "4a", "4b", "4c"} {
		ws.want(want)
	}
	p.conn.Close("")
	p.wantClosed(t, ReasonForcedClose)
	if err := p.conn.SendAll(all); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

func TestPostLimit(t *testing.T) {
	s := newServer(t, Options{MaxPayload: 1000})
	p := s.open()
	url := s.url("EIO=4&transport=polling&sid=" + p.conn.ID())
	for name, body := range map[string]io.Reader{
		"announced": bytes.NewReader(append([]byte("4"), big(1000)...)),
		"chunked":   io.MultiReader(strings.NewReader("4"), bytes.NewReader(big(5000))),
		"huge":      bytes.NewReader(big(50 << 20)),
	} {
		res, err := http.Post(url, "text/plain", body)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		res.Body.Close()
		if res.StatusCode != 413 {
			t.Errorf("%s: got %d, want 413", name, res.StatusCode)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	s.post(p.conn.ID(), "4"+string(big(999))).want(t, 200, "ok") // the limit itself; the session survived
	p.wantMessage(t, string(big(999)))
}

func TestPostEndsSession(t *testing.T) {
	for name, tt := range map[string]struct {
		body, contentType string
		status            int
		answer, poll      string
		reason            string
	}{
		"garbage":           {"abc", "", 200, "ok", "1", ReasonParseError},
		"empty":             {"", "", 200, "ok", "1", ReasonParseError},
		"not base64":        {"b!", "", 200, "ok", "1", ReasonParseError},
		"not UTF-8":         {"4\xff", "", 200, "ok", "1", ReasonParseError},
		"too many packets":  {strings.Repeat("6\x1e", 1<<16) + "6", "", 200, "ok", "1", ReasonParseError},
		"ping":              {"2", "", 200, "ok", "1", ReasonTransportError},
		"close":             {"1", "", 200, "ok", "6", ReasonTransportClose},
		"octet-stream":      {"4a", "application/octet-stream", 400, "", "1", ReasonTransportError},
		"octet-stream, ...": {"4a", "Application/Octet-Stream; a=b", 400, "", "1", ReasonTransportError},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, Options{})
			p := s.open()
			pending := s.goGet(p)
			s.do("POST", "EIO=4&transport=polling&sid="+p.conn.ID(), tt.body, "Content-Type", tt.contentType).want(t, tt.status, tt.answer)
			recv(t, "the poll", pending).want(t, 200, tt.poll)
			p.wantClosed(t, tt.reason)
			s.get(p.conn.ID()).want(t, 400, `{"code":1,"message":"Session ID unknown"}`)
			s.post(p.conn.ID(), "4a").want(t, 400, `{"code":1,"message":"Session ID unknown"}`)
			if err := p.conn.Send(text("late")); err != ErrClosed {
				t.Errorf("Send: %v", err)
			}
		})
	}
}

// What precedes a bad packet is heard, what follows is not.
func TestPostStopsAtBadPacket(t *testing.T) {
	s := newServer(t, Options{})
	p := s.open()
	s.post(p.conn.ID(), "4a\x1eabc\x1e4b").want(t, 200, "ok")
	p.wantMessage(t, "a")
	p.wantClosed(t, ReasonParseError)
	if len(p.messages) != 0 {
		t.Errorf("heard %q", <-p.messages)
	}
}

// A GET that crosses the client's close on the way is answered like a pending one.
func TestGetAfterClientClose(t *testing.T) {
	s := newServer(t, Options{})
	p := s.open()
	s.post(p.conn.ID(), "1").want(t, 200, "ok")
	if a := s.get(p.conn.ID()); a.body != "6" && a.status != 400 { // 400 if the test is slow
		t.Errorf("got %d %q", a.status, a.body)
	}
	p.wantClosed(t, ReasonTransportClose)
	if a := s.get(p.conn.ID()); a.status != 400 {
		t.Errorf("got %d %q", a.status, a.body)
	}
}

func TestOverlappingGet(t *testing.T) {
	s := newServer(t, Options{})
	p := s.open()
	pending := s.goGet(p)
	s.get(p.conn.ID()).want(t, 400, "")
	recv(t, "the first poll", pending).want(t, 200, "1")
	p.wantClosed(t, ReasonTransportError)
}

func TestOverlappingPost(t *testing.T) {
	s := newServer(t, Options{})
	p := s.open()
	pending := s.goGet(p)
	body, writer := io.Pipe()
	defer writer.Close()
	first := make(chan error, 1)
	go func() {
		res, err := s.http.Client().Post(s.url("EIO=4&transport=polling&sid="+p.conn.ID()), "", body)
		if err == nil {
			res.Body.Close()
		}
		first <- err
	}()
	s.wait("the first POST", func() bool {
		p.conn.mu.Lock()
		defer p.conn.mu.Unlock()
		return p.conn.posting
	})
	s.post(p.conn.ID(), "4a").want(t, 400, "")
	recv(t, "the poll", pending).want(t, 200, "1")
	p.wantClosed(t, ReasonTransportError)
	writer.Close()
	recv(t, "the first POST", first)
}

func TestAbortedPoll(t *testing.T) {
	s := newServer(t, Options{})
	p := s.open()
	ctx, cancel := context.WithCancel(context.Background())
	req, _ := http.NewRequestWithContext(ctx, "GET", s.url("EIO=4&transport=polling&sid="+p.conn.ID()), nil)
	go func() {
		s.wait("a pending poll", func() bool {
			p.conn.mu.Lock()
			defer p.conn.mu.Unlock()
			return p.conn.poll != nil
		})
		cancel()
	}()
	if _, err := s.http.Client().Do(req); err == nil {
		t.Fatal("the poll was answered")
	}
	p.wantClosed(t, ReasonTransportError)
}

// A client that hangs up as soon as it has read the answer has aborted nothing.
func TestHangUpAfterPoll(t *testing.T) {
	s := newServer(t, Options{})
	p := s.open()
	for range 200 {
		pending := make(chan answer, 1)
		go func() {
			a, err := s.try("GET", "EIO=4&transport=polling&sid="+p.conn.ID(), "", "Connection", "close")
			if err != nil {
				t.Error(err)
			}
			pending <- a
		}()
		for {
			if p.conn.SendVolatile(text("a")) {
				break
			}
			if p.conn.is(closed) {
				t.Fatal("the session is gone")
			}
			runtime.Gosched()
		}
		recv(t, "the poll", pending).want(t, 200, "4a")
	}
}

func TestAbortedPost(t *testing.T) {
	s := newServer(t, Options{})
	p := s.open()
	conn, err := net.Dial("tcp", s.http.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST /socket.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n4abc", p.conn.ID())
	conn.Close()
	p.wantClosed(t, ReasonTransportError)
}

// A client that sends its body byte by byte does not hold a handler longer than a silent one.
func TestSlowPost(t *testing.T) {
	s := newServer(t, Options{PingInterval: 50 * time.Millisecond, PingTimeout: 50 * time.Millisecond})
	p := s.open()
	conn, err := net.Dial("tcp", s.http.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /socket.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n4", p.conn.ID())
	recv(t, "the end", p.closed)
	conn.SetReadDeadline(time.Now().Add(patience))
	if data, err := io.ReadAll(conn); err != nil || !bytes.HasPrefix(data, []byte("HTTP/1.1 400 ")) {
		t.Errorf("got %q, %v", data, err)
	}
}

// The HTTP server's timeouts are for requests; polls outlive them.
func TestPollOutlivesServerTimeouts(t *testing.T) {
	s := newServer(t, Options{PingInterval: 1200 * time.Millisecond}, func(h *httptest.Server) {
		h.Config.ReadTimeout = time.Second
		h.Config.WriteTimeout = time.Second
		h.Start()
	})
	p := s.open()
	s.get(p.conn.ID()).want(t, 200, "2")
	s.post(p.conn.ID(), "3").want(t, 200, "ok")
	s.get(p.conn.ID()).want(t, 200, "2")
}

func TestPollingQueueOverflow(t *testing.T) {
	for name, o := range map[string]Options{"messages": {MaxQueueMessages: 10}, "bytes": {MaxQueueBytes: 10 * text("m").Size()}} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, o)
			p := s.open()
			for i := range 10 {
				if err := p.conn.Send(text("m")); err != nil {
					t.Fatalf("message %d: %v", i, err)
				}
			}
			if err := p.conn.Send(text("m")); err != ErrQueueFull {
				t.Fatalf("got %v, want ErrQueueFull", err)
			}
			if err := p.conn.Send(text("m")); err != ErrClosed {
				t.Errorf("got %v, want ErrClosed", err)
			}
			p.wantClosed(t, ReasonTransportError)
		})
	}
}

func TestOneLargeMessageFits(t *testing.T) {
	s := newServer(t, Options{MaxQueueBytes: 100})
	p := s.open()
	if err := p.conn.Send(NewMessage(big(1000))); err != nil {
		t.Fatal(err)
	}
	s.get(p.conn.ID()).want(t, 200, "4"+string(big(1000)))
}

func TestPollingVolatile(t *testing.T) {
	s := newServer(t, Options{})
	p := s.open()
	if p.conn.SendVolatile(text("lost")) {
		t.Error("sent without a pending poll")
	}
	pending := s.goGet(p)
	if !p.conn.SendVolatile(text("v")) {
		t.Error("not sent to a pending poll")
	}
	if p.conn.SendVolatile(text("second")) {
		t.Error("sent with the poll answered")
	}
	recv(t, "the poll", pending).want(t, 200, "4v")
}

func TestPollingClose(t *testing.T) {
	s := newServer(t, Options{})
	t.Run("pending", func(t *testing.T) {
		p := s.open()
		pending := s.goGet(p)
		p.conn.Close("mine")
		recv(t, "the poll", pending).want(t, 200, "1")
		p.wantClosed(t, "mine")
	})
	t.Run("queued", func(t *testing.T) {
		p := s.open()
		p.conn.Send(text("a"))
		p.conn.Close("")
		p.conn.Close("second")
		if err := p.conn.Send(text("b")); err != ErrClosed {
			t.Errorf("Send: %v", err)
		}
		s.post(p.conn.ID(), "4not heard").want(t, 200, "ok")
		s.get(p.conn.ID()).want(t, 200, "4a")
		s.get(p.conn.ID()).want(t, 200, "1")
		p.wantClosed(t, ReasonForcedClose)
		if len(p.messages) > 0 {
			t.Error("heard a message after Close")
		}
	})
	t.Run("deadline", func(t *testing.T) {
		s := newServer(t, Options{CloseTimeout: 20 * time.Millisecond})
		p := s.open()
		p.conn.Send(text("a"))
		p.conn.Close("")
		p.wantClosed(t, ReasonForcedClose)
	})
}

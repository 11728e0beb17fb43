package transport

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/natter-io/natter/pkg/engineio"
)

func TestWebTransportMessages(t *testing.T) {
	s := newQUICServer(t, Options{MaxQueueBytes: 32 << 20})
	c, p := s.openStream()
	c.send("4hello")
	c.sendBinary([]byte{1, 2})
	c.raw("\x80") // a binary message without data, as stock clients send it
	c.raw("\x05bAQID")
	c.raw("\x7f\x00\x00\x00\x00\x00\x00\x00\x024x") // a length longer than need be
	for _, want := range []string{"hello", "b:\x01\x02", "b:", "b:\x01\x02\x03", "x"} {
		p.wantMessage(t, want)
	}
	for _, n := range []int{1, 124, 125, 126, 65_534, 65_535, 65_536, 3 << 20} { // every form of a length
		if err := p.conn.Send(text("%s", big(n))); err != nil {
			t.Fatal(err)
		}
		if err := p.conn.Send(NewMessage(big(n), big(n), []byte("z"))); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"4" + string(big(n)), "4" + string(big(n)), "b:" + string(big(n)), "b:z"} {
			c.want(want)
		}
	}
	p.conn.Send(NewMessage([]byte("empty"), nil))
	c.want("4empty")
	c.want("b") // what stock clients take for a binary message without data
	s.wait("an idle connection", func() bool { return idle(p.conn.wire) })
	if !p.conn.SendVolatile(text("now")) {
		t.Error("not sent on an idle connection")
	}
	c.want("4now")

	r := p.conn.Request()
	if !r.Secure || r.Query.Get("EIO") != "4" || r.Query.Get("transport") != WebTransport || r.URL != "/socket.io/" || r.RemoteAddr == "" || r.Host != s.host {
		t.Errorf("the request is %+v", r)
	}
	c.session.CloseWithError(0, "")
	p.wantClosed(t, ReasonTransportClose)
}

// The frames of a message are made once, however many clients it goes to, and those of text not at all.
func TestStreamFramesAreShared(t *testing.T) {
	plain, binary := text("hello"), NewMessage([]byte("hello"), []byte{1})
	if &plain.streamFrames()[0] != &plain.frames[1] {
		t.Error("text was encoded again")
	}
	if &binary.streamFrames()[0] != &binary.streamFrames()[0] {
		t.Error("a message was encoded twice")
	}
	for _, n := range []int{0, 124, 125, 65_534, 65_535} {
		m := NewMessage(big(n))
		if want := engineio.AppendStream(nil, m.packets[0]); string(m.streamFrames()) != string(want) {
			t.Errorf("%d bytes: got %.20q…, want %.20q…", n, m.streamFrames(), want)
		}
	}
}

func TestWebTransportEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		act    func(c *streamClient)
		reason string
		closed bool // by the server
	}{
		"unknown packet":  {func(c *streamClient) { c.raw("\x03abc") }, ReasonParseError, true},
		"empty packet":    {func(c *streamClient) { c.raw("\x00") }, ReasonParseError, true},
		"ping":            {func(c *streamClient) { c.send("2") }, ReasonTransportError, true},
		"not UTF-8":       {func(c *streamClient) { c.send("4\xff") }, ReasonParseError, true},
		"bad base64":      {func(c *streamClient) { c.raw("\x02b?") }, ReasonParseError, true},
		"too large":       {func(c *streamClient) { c.send("4" + string(big(1000))) }, ReasonParseError, true},
		"binary":          {func(c *streamClient) { c.sendBinary(big(1001)) }, ReasonParseError, true},
		"length":          {func(c *streamClient) { c.raw("\x7f\x7f\xff\xff\xff\xff\xff\xff\xff") }, ReasonParseError, true},
		"negative length": {func(c *streamClient) { c.raw("\xff\xff\xff\xff\xff\xff\xff\xff\xff") }, ReasonParseError, true},
		"stream ended":    {func(c *streamClient) { c.Close() }, ReasonTransportClose, true},
		"torn packet":     {func(c *streamClient) { c.raw("\x054he"); c.Close() }, ReasonTransportError, true},
		"torn length":     {func(c *streamClient) { c.raw("\x7e\x01"); c.Close() }, ReasonTransportError, true},
		"stream reset":    {func(c *streamClient) { c.CancelWrite(7) }, ReasonTransportError, true},
		"reading stopped": {func(c *streamClient) { c.CancelRead(7); c.send("4go on") }, ReasonTransportError, false},
		"session closed":  {func(c *streamClient) { c.session.CloseWithError(0, "") }, ReasonTransportClose, false},
		"with an error":   {func(c *streamClient) { c.session.CloseWithError(42, "oops") }, ReasonTransportClose, false},
		"tab closed":      {func(c *streamClient) { c.quic.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "") }, ReasonTransportClose, false},
		"QUIC error": {func(c *streamClient) {
			c.quic.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeInternalError), "")
		}, ReasonTransportError, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newQUICServer(t, Options{MaxPayload: 1000, WriteTimeout: time.Second})
			c, p := s.openStream()
			tt.act(c)
			if name == "reading stopped" { // seen at the next write
				p.wantMessage(t, "go on")
				s.wait("an error", func() bool { return p.conn.Send(text("hello")) != nil })
			}
			p.wantClosed(t, tt.reason)
			if tt.closed {
				c.wantClosed()
			}
		})
	}
}

// What does not become a connection is ended, and what a browser page may not do is refused.
func TestWebTransportRefused(t *testing.T) {
	t.Run("first packet", func(t *testing.T) {
		s := newQUICServer(t, Options{UpgradeTimeout: time.Second})
		for name, first := range map[string]string{
			"nothing": "", "half": "\x05", "message": "\x024x", "empty": "\x00", "unknown": "\x019", "binary": "\x810",
			"no JSON": "\x020{", "no sid": "\x030{}", "a number": "\x0a0{\"sid\":1}", "empty sid": "\x0b0{\"sid\":\"\"}",
			"long": "\x7e\x01\x01", "unknown sid": "\x0d0{\"sid\":\"ab\"}", "another server's": "\x240{\"sid\":\"b.AAAAAAAAAAAAAAAAAAAA\"}",
		} {
			t.Run(name, func(t *testing.T) {
				c := s.stream()
				c.raw(first)
				c.wantRefused()
			})
		}
		t.Run("ended", func(t *testing.T) { c := s.stream(); c.Close(); c.wantRefused() })
		t.Run("session without a stream", func(t *testing.T) { s.stream().wantRefused() })
	})
	t.Run("allowRequest", func(t *testing.T) {
		s := newQUICServer(t, Options{AllowRequest: func(_ context.Context, r *Request) error {
			if r.Header.Get("X") == "" {
				return Refusal("no")
			}
			return nil
		}})
		c := s.stream()
		c.send("0")
		c.wantRefused()
		c, _, err := s.tryStream("/socket.io/", http.Header{"X": {"y"}})
		if err != nil {
			t.Fatal(err)
		}
		c.send("0")
		sid(t, c.recv())
	})
	t.Run("too many", func(t *testing.T) {
		s := newQUICServer(t, Options{MaxConnections: 1})
		s.openStream()
		c := s.stream()
		c.send("0")
		c.wantRefused()
	})
	t.Run("path and origin", func(t *testing.T) {
		s := newQUICServer(t, Options{CORS: CORS{Origins: []string{"https://good.example"}}})
		for name, tt := range map[string]struct {
			path, origin string
			status       int
		}{
			"other path":   {"/", "https://good.example", http.StatusNotFound},
			"other origin": {"/socket.io/", "https://bad.example", http.StatusForbidden},
			"allowed":      {"/socket.io/", "https://good.example", http.StatusOK},
			"own":          {"/socket.io/?x=y", "https://" + s.host, http.StatusOK},
		} {
			_, res, err := s.tryStream(tt.path, http.Header{"Origin": {tt.origin}})
			if res == nil || res.StatusCode != tt.status {
				t.Errorf("%s: got %v, %v; want status %d", name, res, err, tt.status)
			}
		}
	})
	t.Run("a plain request", func(t *testing.T) {
		s := newQUICServer(t, Options{})
		rt := &http3.Transport{TLSClientConfig: s.config}
		defer rt.Close()
		res, err := (&http.Client{Transport: rt}).Get("https://" + s.host + "/socket.io/?EIO=4&transport=polling")
		if err != nil || res.StatusCode != http.StatusNotFound {
			t.Fatalf("%v, %v", res, err)
		}
		res.Body.Close()
	})
}

// A connection that does not become a session is closed, however lively it is.
func TestWebTransportNeedsASession(t *testing.T) {
	t.Parallel()
	s := newQUICServer(t, Options{})
	config := http3.ConfigureTLSConfig(s.config.Clone())
	config.NextProtos = []string{http3.NextProtoH3}
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	defer cancel()
	conn, err := quic.DialAddr(ctx, s.host, config, &quic.Config{KeepAlivePeriod: time.Second, EnableDatagrams: true, EnableStreamResetPartialDelivery: true})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-conn.Context().Done():
	case <-ctx.Done():
		t.Fatal("the connection is still there")
	}
	if e := new(quic.ApplicationError); !errors.As(context.Cause(conn.Context()), &e) || !e.Remote {
		t.Errorf("ended with %v", context.Cause(conn.Context()))
	}
}

// Whoever connects while the server stops is not left waiting for an answer.
func TestStoppingTellsLateClients(t *testing.T) {
	s := newQUICServer(t, Options{})
	config := s.config.Clone()
	config.NextProtos = []string{http3.NextProtoH3}
	stopping, stopped := make(chan struct{}), make(chan struct{})
	var clients sync.WaitGroup
	var connected atomic.Int32
	for range 8 {
		clients.Go(func() {
			for is := false; !is; {
				select {
				case <-stopped:
					is = true // after one more
				default:
				}
				conn, err := quic.DialAddr(context.Background(), s.host, config, &quic.Config{HandshakeIdleTimeout: time.Second})
				if err != nil {
					continue
				}
				connected.Add(1)
				select {
				case <-stopping:
					select {
					case <-conn.Context().Done():
					case <-time.After(2 * patience): // QUIC itself gives up later, after 30 s
						t.Error("a connection that nobody serves stays open")
					}
				default:
				}
				conn.CloseWithError(0, "")
			}
		})
	}
	s.openStream() // for whose end the server waits a moment
	s.wait("the clients", func() bool { return connected.Load() >= 8 })
	close(stopping)
	s.stop()
	close(stopped)
	clients.Wait()
}

// Off means off: no upgrade is offered, no request accepted, no socket served.
func TestWebTransportOff(t *testing.T) {
	s := newServer(t, Options{})
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	if err := s.eio.ServeWebTransport(context.Background(), socket, nil); !errors.Is(err, ErrOptions) {
		t.Errorf("ServeWebTransport: %v", err)
	}
	if open := s.do("GET", "EIO=4&transport=polling", "").body; !strings.Contains(open, `"upgrades":["websocket"]`) {
		t.Errorf("open packet %s", open)
	}
	for _, transports := range [][]string{nil, {Polling, WebTransport}} { // nor is it a request when it is on
		s := newServer(t, Options{Transports: transports})
		for _, query := range []string{"EIO=4&transport=webtransport", "EIO=4&transport=webtransport&sid=" + s.open().conn.ID()} {
			s.do("GET", query, "").want(t, 400, `{"code":0,"message":"Transport unknown"}`)
		}
	}
}

func TestUpgradesThatAreOffered(t *testing.T) {
	for _, tt := range []struct{ transports, want []string }{
		{nil, []string{WebSocket}},
		{[]string{Polling}, nil},
		{[]string{WebTransport, Polling}, []string{WebTransport}},
		{[]string{WebTransport, WebSocket, Polling}, []string{WebSocket, WebTransport}},
	} {
		s := newServer(t, Options{Transports: tt.transports})
		h, err := engineio.DecodeOpen([]byte(s.do("GET", "EIO=4&transport=polling", "").body[1:]))
		if err != nil || !slices.Equal(h.Upgrades, tt.want) {
			t.Errorf("%v offers %v, want %v (%v)", tt.transports, h.Upgrades, tt.want, err)
		}
	}
}

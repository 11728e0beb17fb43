package transport

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	ws "github.com/gorilla/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

// peer is a session that hands over what it hears.
type peer struct {
	conn     *Conn
	messages chan string // binary ones with a "b:" in front
	closed   chan string
}

func (p *peer) Message(data []byte, binary bool) {
	s := string(data)
	if binary {
		s = "b:" + s
	}
	p.messages <- s
}

func (p *peer) Closed(reason string) { p.closed <- reason }

func newPeer(c *Conn) *peer {
	return &peer{conn: c, messages: make(chan string, 10_000), closed: make(chan string, 2)}
}

// server is a real HTTP server whose connections become peers.
type server struct {
	t    testing.TB
	eio  *Server
	http *httptest.Server

	mu    sync.Mutex
	peers map[string]*peer
}

func newServer(t testing.TB, opts Options, start ...func(*httptest.Server)) *server {
	t.Helper()
	s := &server{t: t, peers: make(map[string]*peer)}
	eio, err := New(opts, func(c *Conn) Session {
		p := newPeer(c)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.peers[c.ID()] = p
		return p
	})
	if err != nil {
		t.Fatal(err)
	}
	s.eio = eio
	s.http = httptest.NewUnstartedServer(eio)
	if len(start) == 0 {
		s.http.Start()
	}
	for _, f := range start {
		f(s.http)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := eio.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		s.http.Client().CloseIdleConnections()
		s.http.Close()
		if n := eio.Len(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
	return s
}

func (s *server) peer(sid string) *peer {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.peers[sid]
	if p == nil {
		s.t.Fatalf("no session %q", sid)
	}
	return p
}

func (s *server) url(query string) string { return s.http.URL + "/socket.io/?" + query }

// answer is a whole HTTP answer.
type answer struct {
	status int
	header http.Header
	body   string
}

func (s *server) try(method, query, body string, header ...string) (answer, error) {
	req, err := http.NewRequest(method, s.url(query), strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := s.http.Client().Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(data)}, err
}

func (s *server) do(method, query, body string, header ...string) answer {
	s.t.Helper()
	a, err := s.try(method, query, body, header...)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

func (s *server) get(sid string) answer {
	s.t.Helper()
	return s.do("GET", "EIO=4&transport=polling&sid="+sid, "")
}

func (s *server) post(sid, body string) answer {
	s.t.Helper()
	return s.do("POST", "EIO=4&transport=polling&sid="+sid, body)
}

// goGet polls and hands over the answer; it returns when the poll is pending, or was answered already.
func (s *server) goGet(p *peer) <-chan answer {
	s.t.Helper()
	out := make(chan answer, 1)
	go func() {
		a, err := s.try("GET", "EIO=4&transport=polling&sid="+p.conn.ID(), "")
		if err != nil {
			a.body = err.Error()
		}
		out <- a
	}()
	s.wait("a pending poll", func() bool {
		p.conn.mu.Lock()
		defer p.conn.mu.Unlock()
		return p.conn.poll != nil || len(out) > 0
	})
	return out
}

// open opens a polling session.
func (s *server) open() *peer {
	s.t.Helper()
	a := s.do("GET", "EIO=4&transport=polling", "")
	if a.status != 200 {
		s.t.Fatalf("handshake: %d %s", a.status, a.body)
	}
	return s.peer(sid(s.t, a.body))
}

func sid(t testing.TB, open string) string {
	t.Helper()
	var h struct{ SID string }
	if !strings.HasPrefix(open, "0") {
		t.Fatalf("no open packet: %q", open)
	}
	if err := json.Unmarshal([]byte(open[1:]), &h); err != nil {
		t.Fatal(err)
	}
	return h.SID
}

// client is a WebSocket client.
type client struct {
	*ws.Conn
	t testing.TB
}

func (s *server) dialRaw(query string, header http.Header) (*client, *http.Response, error) {
	d := ws.Dialer{HandshakeTimeout: patience}
	if tr, ok := s.http.Client().Transport.(*http.Transport); ok {
		d.TLSClientConfig = tr.TLSClientConfig
	}
	conn, res, err := d.Dial("ws"+strings.TrimPrefix(s.url(query), "http"), header)
	if err != nil {
		return nil, res, err
	}
	s.t.Cleanup(func() { conn.Close() })
	conn.SetReadDeadline(time.Now().Add(3 * patience))
	return &client{conn, s.t}, res, nil
}

func (s *server) dial(query string) *client {
	s.t.Helper()
	c, _, err := s.dialRaw(query, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// openWS opens a WebSocket session.
func (s *server) openWS() (*client, *peer) {
	s.t.Helper()
	c := s.dial("EIO=4&transport=websocket")
	p := s.peer(sid(s.t, c.recv()))
	s.wait("the websocket state", func() bool { return p.conn.Transport() == WebSocket })
	return c, p
}

func (s *server) probe(p *peer) *client {
	s.t.Helper()
	c := s.dial("EIO=4&transport=websocket&sid=" + p.conn.ID())
	c.send("2probe")
	c.want("3probe")
	return c
}

func (c *client) send(text string) {
	c.t.Helper()
	if err := c.WriteMessage(ws.TextMessage, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) recv() string {
	c.t.Helper()
	kind, data, err := c.ReadMessage()
	if err != nil {
		c.t.Fatal(err)
	}
	if kind == ws.BinaryMessage {
		return "b:" + string(data)
	}
	return string(data)
}

func (c *client) want(text string) {
	c.t.Helper()
	if got := c.recv(); got != text {
		c.t.Fatalf("got %q, want %q", got, text)
	}
}

// wantClose reads until the connection ends, and wants this close code; pings are skipped.
func (c *client) wantClose(code int) {
	c.t.Helper()
	for {
		_, data, err := c.ReadMessage()
		if err == nil {
			if string(data) != "2" {
				c.t.Fatalf("got %q, want the end", data)
			}
			continue
		}
		e, ok := err.(*ws.CloseError)
		if !ok || e.Code != code || e.Text != "" && code != ws.CloseAbnormalClosure {
			c.t.Fatalf("closed with %v, want code %d", err, code)
		}
		return
	}
}

func (s *server) wait(what string, cond func() bool) {
	s.t.Helper()
	wait(s.t, what, cond)
}

func wait(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func recv[T any](t testing.TB, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

func (p *peer) wantMessage(t testing.TB, want string) {
	t.Helper()
	if got := recv(t, "message "+want, p.messages); got != want {
		t.Fatalf("got message %q, want %q", got, want)
	}
}

func (p *peer) wantClosed(t testing.TB, want string) {
	t.Helper()
	if got := recv(t, "the end", p.closed); got != want {
		t.Fatalf("closed with %q, want %q", got, want)
	}
	select {
	case <-p.conn.Done():
	default:
		t.Fatal("Done is not closed")
	}
}

func (a answer) want(t testing.TB, status int, body string) {
	t.Helper()
	if a.status != status || a.body != body {
		t.Fatalf("got %d %q, want %d %q", a.status, a.body, status, body)
	}
}

func text(format string, args ...any) *Message {
	return NewMessage(fmt.Appendf(nil, format, args...))
}

func big(n int) []byte { return bytes.Repeat([]byte{'x'}, n) }

func base64Text(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

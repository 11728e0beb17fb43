package transport

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	ws "github.com/gorilla/websocket"
)

func TestRefusals(t *testing.T) {
	s := newServer(t, Options{AllowRequest: func(_ context.Context, r *Request) error {
		switch {
		case r.Query.Has("deny"):
			return fmt.Errorf("wrapped: %w", Refusal(r.Query.Get("deny")))
		case r.Query.Has("away"):
			return errors.New("nobody is there")
		}
		return nil
	}})
	id := s.open().conn.ID()
	wsClient, onWS := s.openWS()
	defer wsClient.Close()
	const (
		unknownTransport = `{"code":0,"message":"Transport unknown"}`
		unknownSession   = `{"code":1,"message":"Session ID unknown"}`
		badMethod        = `{"code":2,"message":"Bad handshake method"}`
		badRequest       = `{"code":3,"message":"Bad request"}`
		badVersion       = `{"code":5,"message":"Unsupported protocol version"}`
	)
	for _, tt := range []struct {
		method, query string
		status        int
		body          string
	}{
		{"GET", "", 400, unknownTransport},
		{"GET", "EIO=4", 400, unknownTransport},
		{"GET", "EIO=4&transport=abc", 400, unknownTransport},
		{"GET", "EIO=4&transport=__proto__", 400, unknownTransport},
		{"GET", "EIO=4&transport=constructor", 400, unknownTransport},
		{"GET", "EIO=4&transport=webtransport", 400, unknownTransport},
		{"GET", "EIO=4&transport=%zz", 400, unknownTransport},
		{"POST", "transport=abc&sid=x", 400, unknownTransport}, // transport comes first
		{"GET", "EIO=4&transport=polling&sid=unknown", 400, unknownSession},
		{"GET", "EIO=4&transport=polling&sid=__proto__", 400, unknownSession},
		{"PUT", "EIO=3&transport=polling&sid=unknown", 400, unknownSession}, // sid before EIO and method
		{"GET", "EIO=3&transport=polling&sid=" + id, 400, badRequest},
		{"GET", "transport=polling&sid=" + id, 400, badRequest},
		{"PUT", "EIO=4&transport=polling&sid=" + id, 400, badRequest},
		{"GET", "EIO=4&transport=websocket&sid=" + id, 400, badRequest},
		{"GET", "EIO=4&transport=polling&sid=" + onWS.conn.ID(), 400, badRequest},
		{"POST", "EIO=4&transport=polling&sid=" + onWS.conn.ID(), 400, badRequest},
		{"POST", "EIO=4&transport=polling", 400, badMethod},
		{"PUT", "EIO=4&transport=polling", 400, badMethod},
		{"OPTIONS", "EIO=4&transport=polling", 400, badMethod}, // CORS is off
		{"POST", "EIO=3&transport=polling&deny=no", 400, badMethod},
		{"GET", "EIO=4&transport=websocket", 400, badRequest}, // not a WebSocket handshake
		{"GET", "EIO=4&transport=polling&deny=no", 403, `{"code":4,"message":"no"}`},
		{"GET", "EIO=4&transport=polling&deny", 403, `{"code":4,"message":"Forbidden"}`},
		{"GET", "EIO=3&transport=polling&deny=no", 403, `{"code":4,"message":"no"}`}, // before the version
		{"GET", "transport=polling", 400, badVersion},
		{"GET", "EIO=abc&transport=polling", 400, badVersion},
		{"GET", "EIO=3&transport=polling", 400, badVersion},
	} {
		a := s.do(tt.method, tt.query, "")
		if a.status != tt.status || a.body != tt.body || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s ?%s: got %d %s (%s), want %d %s", tt.method, tt.query, a.status, a.body, a.header.Get("Content-Type"), tt.status, tt.body)
		}
	}
	if a := s.do("GET", "EIO=4&transport=polling&away", ""); a.status != 503 || a.header.Get("Retry-After") == "" || strings.Contains(a.body, "nobody") {
		t.Errorf("while nobody can tell: %d %s", a.status, a.body)
	}
	s.post(id, "4alive").want(t, 200, "ok")
	s.peer(id).wantMessage(t, "alive")
}

func TestRefusedWebSocket(t *testing.T) {
	s := newServer(t, Options{AllowRequest: func(_ context.Context, r *Request) error {
		if r.Query.Has("deny") {
			return Refusal("")
		}
		return nil
	}})
	for query, want := range map[string]string{
		"EIO=4":                           "Transport unknown",
		"EIO=4&transport=__proto__":       "Transport unknown",
		"EIO=4&transport=polling":         "Bad request",
		"EIO=4&transport=websocket&sid=x": "Session ID unknown",
		"EIO=4&transport=websocket&deny":  "Forbidden",
		"EIO=3&transport=websocket":       "Unsupported protocol version",
	} {
		_, res, err := s.dialRaw(query, nil)
		if err != ws.ErrBadHandshake {
			t.Errorf("?%s: error %v", query, err)
			continue
		}
		body, _ := io.ReadAll(res.Body)
		if res.StatusCode != 400 || string(body) != want {
			t.Errorf("?%s: got %d %s, want 400 %s", query, res.StatusCode, body, want)
		}
	}
}

func TestPathIsAPrefix(t *testing.T) {
	s := newServer(t, Options{})
	for path, want := range map[string]int{
		"/socket.io/?EIO=4&transport=polling":         200,
		"/socket.io/whatever?EIO=4&transport=polling": 200,
		"/socket.io?EIO=4&transport=polling":          404,
		"/?EIO=4&transport=polling":                   404,
		"/x/socket.io/?EIO=4&transport=polling":       404,
	} {
		res, err := s.http.Client().Get(s.http.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: got %d, want %d", path, res.StatusCode, want)
		}
	}
}

func TestInvalidOrigin(t *testing.T) {
	s := newServer(t, Options{})
	r := httptest.NewRequest("GET", "/socket.io/?EIO=4&transport=polling&sid=unknown", nil)
	r.Header.Set("Origin", "http://a\x01b")
	w := httptest.NewRecorder()
	s.eio.ServeHTTP(w, r)
	if got := fmt.Sprint(w.Code, " ", w.Body); got != `400 {"code":3,"message":"Bad request"}` {
		t.Errorf("got %s", got)
	}
}

func TestRawGarbage(t *testing.T) {
	s := newServer(t, Options{})
	for _, in := range []string{
		"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
		"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 12\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
		"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n\r\n",
		"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\nOrigin: \x01\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", s.http.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(patience))
		io.WriteString(conn, in)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%q: %v", in, err)
		}
		if res.StatusCode != 400 {
			t.Errorf("%q: got %s", in, res.Status)
		}
		conn.Close()
	}
	s.wait("no sessions", func() bool { return s.eio.Len() == 0 })
}

func TestHandshake(t *testing.T) {
	s := newServer(t, Options{})
	a := s.do("GET", "EIO=4&transport=polling", "", "Origin", "https://elsewhere.example")
	want := fmt.Sprintf(`0{"sid":%q,"upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`, sid(t, a.body))
	a.want(t, 200, want)
	for name, value := range map[string]string{
		"Content-Type": "text/plain; charset=UTF-8", "Cache-Control": "no-store",
		"Access-Control-Allow-Origin": "", "Access-Control-Allow-Credentials": "", "Set-Cookie": "",
	} {
		if got := a.header.Get(name); got != value {
			t.Errorf("header %s is %q, want %q", name, got, value)
		}
	}
	req := s.peer(sid(t, a.body)).conn.Request()
	if req.Header.Get("Origin") != "https://elsewhere.example" || req.Query.Get("EIO") != "4" || req.Secure ||
		req.URL != "/socket.io/?EIO=4&transport=polling" || req.RemoteAddr == "" || time.Since(req.Time) > patience {
		t.Errorf("request is %+v", req)
	}
	c := s.dial("EIO=4&transport=websocket")
	if open := c.recv(); !strings.Contains(open, `"upgrades":[]`) {
		t.Errorf("got %s", open)
	}
}

func TestIDsCannotBeGuessed(t *testing.T) {
	form, seen := regexp.MustCompile(`^[A-Za-z0-9_-]{20}$`), make(map[string]bool)
	var prefixes = make(map[string]int)
	for range 10_000 {
		id := (&Server{}).newID()
		if !form.MatchString(id) || seen[id] {
			t.Fatalf("bad id %q", id)
		}
		seen[id] = true
		prefixes[id[:4]]++
		prefixes[id[16:]]++
	}
	for part, n := range prefixes { // neither a counter nor a clock at either end
		if n > 5 {
			t.Errorf("%q stands in %d of 10000 ids", part, n)
		}
	}
}

func TestMaxConnections(t *testing.T) {
	s := newServer(t, Options{MaxConnections: 1})
	p := s.open()
	if a := s.do("GET", "EIO=4&transport=polling", ""); a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("got %d", a.status)
	}
	p.conn.Close("")
	s.get(p.conn.ID())
	p.wantClosed(t, ReasonForcedClose)
	s.open()
}

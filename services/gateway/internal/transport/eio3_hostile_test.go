package transport

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	ws "github.com/gorilla/websocket"
)

func TestEIO3EndsSession(t *testing.T) {
	for name, tt := range map[string]struct {
		body, contentType, poll, reason string
	}{
		"garbage":               {"abc", "", "1:1", ReasonParseError},
		"empty":                 {"", "", "1:1", ReasonParseError},
		"revision 4":            {"4a\x1e4b", "", "1:1", ReasonParseError},
		"no length":             {":4", "", "1:1", ReasonParseError},
		"negative length":       {"-1:4", "", "1:1", ReasonParseError},
		"too short":             {"5:4", "", "1:1", ReasonParseError},
		"huge length":           {"99999999999999999999999:4", "", "1:1", ReasonParseError},
		"half a character":      {"2:4🎉", "", "1:1", ReasonParseError},
		"not base64":            {"3:b4!", "", "1:1", ReasonParseError},
		"not UTF-8":             {"2:4\xff", "", "1:1", ReasonParseError},
		"too many packets":      {strings.Repeat("1:6", 1<<16) + "1:6", "", "1:1", ReasonParseError},
		"too many nothings":     {strings.Repeat("0:", 1<<16+1), "", "1:1", ReasonParseError},
		"binary, cut off":       {"\x00\x05", octetStream, "1:1", ReasonParseError},
		"binary, no end":        {"\x01" + strings.Repeat("\x09", 1000), octetStream, "1:1", ReasonParseError},
		"binary, huge length":   {"\x01" + strings.Repeat("\x09", 12) + "\xff\x04", octetStream, "1:1", ReasonParseError},
		"binary, no such kind":  {"\x02\x01\xff4", octetStream, "1:1", ReasonParseError},
		"binary, not a message": {"\x01\x01\xff\x02", octetStream, "1:1", ReasonParseError},
		"binary, not UTF-8":     {"\x00\x02\xff4\xff", octetStream, "1:1", ReasonParseError},
		"text as binary":        {"1:2", octetStream, "1:1", ReasonParseError},
		"pong":                  {"1:3", "", "1:1", ReasonTransportError},
		"close":                 {"1:1", "", "1:6", ReasonTransportClose},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, Options{AllowEIO3: true})
			p := s.openEIO3("")
			at := eio3Polling + "&sid=" + p.conn.ID()
			pending := make(chan answer, 1)
			go func() {
				a, err := s.try("GET", at, "")
				if err != nil {
					a.body = err.Error()
				}
				pending <- a
			}()
			s.wait("a pending poll", func() bool {
				p.conn.mu.Lock()
				defer p.conn.mu.Unlock()
				return p.conn.poll != nil
			})
			s.do("POST", at, tt.body, "Content-Type", tt.contentType).want(t, 200, "ok")
			recv(t, "the poll", pending).want(t, 200, tt.poll)
			p.wantClosed(t, tt.reason)
		})
	}
	for name, tt := range map[string]struct {
		kind   int
		frame  string
		reason string
	}{
		"garbage":              {ws.TextMessage, "abc", ReasonParseError},
		"empty":                {ws.TextMessage, "", ReasonParseError},
		"empty binary":         {ws.BinaryMessage, "", ReasonParseError},
		"revision 4's binary":  {ws.BinaryMessage, "\x01\x02", ReasonParseError},
		"binary, no message":   {ws.BinaryMessage, "\x02", ReasonParseError},
		"base64 without type":  {ws.TextMessage, "bAQ==", ReasonParseError},
		"base64 that is not":   {ws.TextMessage, "b4!", ReasonParseError},
		"pong":                 {ws.TextMessage, "3", ReasonTransportError},
		"close":                {ws.TextMessage, "1", ReasonTransportClose},
		"a payload's encoding": {ws.TextMessage, "11:4hello", ReasonTransportClose}, // type 1, close
	} {
		t.Run("websocket "+name, func(t *testing.T) {
			s := newServer(t, Options{AllowEIO3: true})
			c, p := s.dialEIO3("")
			c.WriteMessage(tt.kind, []byte(tt.frame))
			c.wantClose(ws.CloseNoStatusReceived)
			p.wantClosed(t, tt.reason)
		})
	}
}

// A client that pings and takes no answers fills its own queue, no more.
func TestEIO3PingsAreBounded(t *testing.T) {
	s := newServer(t, Options{AllowEIO3: true, MaxQueueMessages: 10})
	p := s.openEIO3("")
	s.do("POST", eio3Polling+"&sid="+p.conn.ID(), strings.Repeat("1:2", 100)).want(t, 200, "ok")
	p.wantClosed(t, ReasonTransportError)
}

func TestEIO3PostLimit(t *testing.T) {
	s := newServer(t, Options{AllowEIO3: true, MaxPayload: 1000})
	p := s.openEIO3("")
	at := eio3Polling + "&sid=" + p.conn.ID()
	for _, contentType := range []string{"text/plain", octetStream} {
		if a := s.do("POST", at, "1000:4"+string(big(999)), "Content-Type", contentType); a.status != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: got %d", contentType, a.status)
		}
	}
	s.do("POST", at, "2:4x").want(t, 200, "ok")
	p.wantMessage(t, "x")
}

// Clients of revision 3 take the session's id for their socket's, which others see. It must be of no use once
// the session is on a WebSocket, nor before the client itself was told.
func TestEIO3SessionIDAloneIsOfNoUse(t *testing.T) {
	const bad, unknown = `{"code":3,"message":"Bad request"}`, `{"code":1,"message":"Session ID unknown"}`
	s := newServer(t, Options{AllowEIO3: true})
	c, p := s.dialEIO3("")
	at := "&sid=" + p.conn.ID()
	s.do("GET", eio3Polling+at, "").want(t, 400, bad)
	s.do("POST", eio3Polling+at, "2:4x").want(t, 400, bad)
	s.do("POST", eio3Socket+at, "2:4x").want(t, 400, bad)
	s.do("GET", eio3Socket+at, "").want(t, 400, bad)
	thief := s.dial(eio3Socket + at)
	thief.wantClose(ws.CloseNoStatusReceived)
	c.send("4still mine")
	p.wantMessage(t, "still mine")

	answers := make(chan answer, 2)
	early := &server{t: t, peers: make(map[string]*peer)}
	eio, err := New(Options{AllowEIO3: true}, func(c *Conn) Session {
		c.Send(text("for the client alone"))
		for _, method := range []string{"GET", "POST"} {
			a, err := early.try(method, eio3Polling+"&sid="+c.ID(), "")
			if err != nil {
				a.body = err.Error()
			}
			answers <- a
		}
		return newPeer(c)
	})
	if err != nil {
		t.Fatal(err)
	}
	early.eio, early.http = eio, httptest.NewServer(eio)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := eio.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		early.http.Close()
	})
	owner := early.dial(eio3Socket)
	for range 2 {
		recv(t, "an answer", answers).want(t, 400, unknown)
	}
	sid(t, owner.recv())
	owner.want("4for the client alone")
}

package transport

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestAStreamIsCarried(t *testing.T) {
	const sid = "b." + secret
	s := newQUICServer(t, Options{Name: "a", Carrier: elsewhere{}})
	c, _, err := s.tryStream("/socket.io/", http.Header{"X": {"y"}})
	if err != nil {
		t.Fatal(err)
	}
	c.send(`0{"sid":"` + sid + `"}`)
	c.want("4b " + sid + " " + streamProtocol + " y")
	for name, tt := range map[string]struct {
		err error
		sid string
	}{
		"server gone":         {fmt.Errorf("test: %w", ErrNoHolder), sid},
		"cannot carry":        {fmt.Errorf("test: %w", ErrCannotCarry), sid},
		"own session":         {nil, "a." + secret},
		"no server's session": {nil, secret},
	} {
		t.Run(name, func(t *testing.T) {
			s := newQUICServer(t, Options{Name: "a", Carrier: elsewhere{tt.err}})
			c := s.stream()
			c.send(`0{"sid":"` + tt.sid + `"}`)
			c.wantRefused()
		})
	}
}

// What only servers may say is nothing when a client says it, and a carried stream needs a session.
func TestCarriedStreamsAreServersOwn(t *testing.T) {
	s := newQUICServer(t, Options{Name: "a"})
	p := s.open()
	for name, tt := range map[string]struct {
		serve func(http.ResponseWriter, *http.Request)
		sid   string
		body  string
	}{
		"from a client":     {s.eio.ServeHTTP, p.conn.ID(), `{"code":0,"message":"Transport unknown"}`},
		"unknown session":   {s.eio.ServeCarried, "a." + secret, `{"code":1,"message":"Session ID unknown"}`},
		"without a session": {s.eio.ServeCarried, "", `{"code":1,"message":"Session ID unknown"}`},
		"no connection":     {s.eio.ServeCarried, p.conn.ID(), `{"code":3,"message":"Bad request"}`},
	} {
		w, r := httptest.NewRecorder(), s.eio.streamUpgrade(httptest.NewRequest("GET", "/", nil), tt.sid)
		tt.serve(w, r)
		if w.Code != 400 || w.Body.String() != tt.body {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

package main

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/natter-io/natter/services/gateway/internal/transport"
)

// newHost serves the client's suite: it greets, echoes, refuses who asks for it, sets cookies and tells what headers came.
func newHost() (*transport.Server, http.Handler, error) {
	var posts sync.Map // session id to the http.Header of its latest POST
	engine, err := transport.New(transport.Options{
		Path:         "/engine.io/",
		PingInterval: 500 * time.Millisecond,
		MaxPayload:   100,
		AllowRequest: func(_ context.Context, r *transport.Request) error {
			if r.Query.Has("deny") {
				return transport.Refusal("")
			}
			return nil
		},
	}, func(c *transport.Conn) transport.Session {
		h := &host{echo{c}, &posts}
		h.send(transport.NewMessage([]byte("hi")))
		return h
	})
	if err != nil {
		return nil, nil, err
	}
	return engine, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sid := r.URL.Query().Get("sid")
		switch {
		case sid == "":
			setCookies(w)
		case r.Method == http.MethodPost:
			posts.Store(sid, r.Header)
		}
		engine.ServeHTTP(w, r)
	}), nil
}

// setCookies sets four with each handshake: two that last, and two that are over at once.
func setCookies(w http.ResponseWriter) {
	for _, c := range []*http.Cookie{
		{Name: "1", Value: "1", MaxAge: 86400},
		{Name: "2", Value: "2", Path: "/", HttpOnly: true, Secure: true, SameSite: http.SameSiteStrictMode},
		{Name: "3", Value: "3", MaxAge: -1},
		{Name: "4", Value: "4", Expires: time.Now()},
	} {
		http.SetCookie(w, c)
	}
}

// host is an echo that also tells a client what headers its latest POST had.
type host struct {
	echo
	posts *sync.Map
}

// Message implements [transport.Session].
func (h *host) Message(data []byte, binary bool) {
	if binary || string(data) != "sendHeaders" {
		h.echo.Message(data, binary)
		return
	}
	fields := map[string]string{}
	if header, ok := h.posts.Load(h.conn.ID()); ok {
		for name, values := range header.(http.Header) {
			fields[strings.ToLower(name)] = strings.Join(values, ", ")
		}
	}
	if text, err := json.Marshal(fields); err == nil {
		h.send(transport.NewMessage(text))
	}
}

// Closed implements [transport.Session].
func (h *host) Closed(string) { h.posts.Delete(h.conn.ID()) }

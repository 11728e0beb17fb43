// Package transport is an Engine.IO v4 server, and v3 if [Options.AllowEIO3] is set: an http.Handler that gives
// clients a connection over HTTP long-polling or WebSocket, a server that does over WebTransport, upgrades the first
// to the others, notices with heartbeats when clients are gone, and bounds what they can make the server hold.
//
// It knows neither Socket.IO nor NATS: it carries messages, and a [Session] gives them meaning.
//
// Protocol: https://socket.io/docs/v4/engine-io-protocol/. Where that is silent, the server does what
// the stock server does, since stock clients are the judge.
package transport

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"time"

	ws "github.com/gorilla/websocket"

	"github.com/natter-io/natter/pkg/engineio"
)

// Server serves Engine.IO under its path, and 404 elsewhere. All methods may be called concurrently.
//
// Limits on header fields and on the time for reading them are those of the http.Server; its
// ReadTimeout and WriteTimeout do not end polls or WebSockets.
type Server struct {
	opts   Options
	accept func(*Conn) Session

	mu    sync.RWMutex
	conns map[string]*Conn
	shut  bool

	running sync.WaitGroup // connections whose session was not told yet that they are closed
	readers sync.WaitGroup // goroutines that read WebSockets and WebTransport streams

	onState func(c *Conn, from, to state) // nil outside of tests
}

var _ http.Handler = (*Server)(nil)

// New returns a server that asks accept for a session for each new connection. accept may send,
// which the client receives after the handshake; it may block, which delays this client alone; nil
// refuses the client as Forbidden. It is called concurrently. New fails with [ErrOptions].
func New(opts Options, accept func(*Conn) Session) (*Server, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	return &Server{opts: opts.WithDefaults(), accept: accept, conns: make(map[string]*Conn)}, nil
}

// Len returns how many connections there are.
func (s *Server) Len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.conns)
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.serve(w, r, false) }

// serve serves a request that came from a client, or was carried here from another server.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, carried bool) {
	if !s.opts.serves(r.URL.Path) {
		http.NotFound(w, r)
		return
	}
	s.opts.CORS.header(w.Header(), r.Header.Get("Origin"))
	if r.Method == http.MethodOptions && s.opts.CORS.enabled() {
		s.opts.CORS.preflight(w, r)
		return
	}
	query := r.URL.Query()
	if carried && r.Header.Get("Upgrade") == streamProtocol {
		s.serveCarriedStream(w, query.Get("sid"))
		return
	}
	upgrade := ws.IsWebSocketUpgrade(r)
	c, code, ok := s.verify(r, query, upgrade)
	switch {
	case code == engineio.SessionUnknown && !carried:
		s.carry(w, r, query.Get("sid"), upgrade)
	case !ok:
		refuse(w, upgrade, code, "")
	case c == nil && carried: // a handshake is for the server that it reached
		refuse(w, upgrade, engineio.BadRequest, "")
	case c == nil:
		s.handshake(w, r, query, upgrade)
	case upgrade:
		c.serveUpgrade(w, r)
	case r.Method == http.MethodGet:
		c.serveGet(w, r)
	default:
		c.servePost(w, r)
	}
}

// handshake opens a connection.
func (s *Server) handshake(w http.ResponseWriter, r *http.Request, query url.Values, upgrade bool) {
	request := newRequest(r, query)
	if s.opts.AllowRequest != nil {
		if err := s.opts.AllowRequest(r.Context(), request); err != nil {
			s.disallow(w, upgrade, err)
			return
		}
	}
	switch revision := s.revision(query); {
	case revision == 0:
		refuse(w, upgrade, engineio.UnsupportedVersion, "")
		return
	case revision == 3 && !upgrade && query.Has("j"):
		refuse(w, upgrade, engineio.BadRequest, jsonpRefused)
		return
	}
	c := s.register(request)
	if c == nil {
		w.Header().Set("Retry-After", "5")
		http.Error(w, "no more connections are accepted", http.StatusServiceUnavailable)
		return
	}
	switch {
	case !c.adopt(s.accept(c)):
		refuse(w, upgrade, engineio.Forbidden, "")
	case upgrade:
		c.startWebSocket(w, r)
	default:
		c.startPolling(w, r)
	}
}

// disallow answers a handshake that was not allowed.
func (s *Server) disallow(w http.ResponseWriter, upgrade bool, err error) {
	var refusal Refusal
	if errors.As(err, &refusal) {
		refuse(w, upgrade, engineio.Forbidden, string(refusal))
		return
	}
	s.opts.Log.Debug("nobody can tell whether a handshake is allowed", "error", err)
	w.Header().Set("Retry-After", "1")
	http.Error(w, "it cannot be told now whether this handshake is allowed", http.StatusServiceUnavailable)
}

// register makes a connection, or returns nil if there are too many or the server shuts down.
func (s *Server) register(r *Request) *Conn {
	c := &Conn{id: s.newID(), srv: s, request: r, done: make(chan struct{}), eio3: s.revision(r.Query) == 3, base64: r.Query.Get("b64") != ""}
	c.mu.Lock()
	c.timer = time.AfterFunc(s.opts.PingInterval, c.timerFired)
	c.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut || s.opts.MaxConnections > 0 && len(s.conns) >= s.opts.MaxConnections {
		c.timer.Stop()
		return nil
	}
	s.conns[c.id] = c
	s.running.Add(1)
	return c
}

func (s *Server) remove(c *Conn) {
	s.mu.Lock()
	delete(s.conns, c.id)
	s.mu.Unlock()
}

func (s *Server) lookup(id string) *Conn {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.conns[id]
}

// openPacket returns the open packet for a connection that starts on the given transport.
func (c *Conn) openPacket(transport string) []byte {
	o := &c.srv.opts
	h := engineio.Handshake{SID: c.id, PingInterval: o.PingInterval, PingTimeout: o.PingTimeout, MaxPayload: o.MaxPayload}
	if transport == Polling && o.upgrades() {
		for _, t := range transports[1:] { // in the stock server's order
			if o.has(t) && !(t == WebTransport && c.eio3) { // which is younger than such clients
				h.Upgrades = append(h.Upgrades, t)
			}
		}
	}
	return engineio.AppendOpen(nil, h)
}

// Shutdown refuses new connections with 503 and closes all others, with [ReasonServerShutdown]:
// WebSockets get what was queued and a close frame with code 1001, pending polls a close packet.
// Either is a closed transport to the client, so it reconnects by itself. What waits for a poll that
// is not there is dropped.
//
// It returns when every Session.Closed has returned and no goroutine of the server is left. When
// ctx ends first, it aborts what is left and returns ctx's error. The server cannot be used again.
func (s *Server) Shutdown(ctx context.Context) error {
	conns := s.close()
	for _, c := range conns {
		c.shutdown()
	}
	finished := make(chan struct{})
	go func() {
		s.running.Wait()
		s.readers.Wait()
		close(finished)
	}()
	select {
	case <-finished:
		return nil
	case <-ctx.Done():
		for _, c := range conns {
			c.kill()
		}
		return ctx.Err()
	}
}

func (s *Server) close() []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut = true
	conns := make([]*Conn, 0, len(s.conns))
	for _, c := range s.conns {
		conns = append(conns, c)
	}
	return conns
}

func (c *Conn) shutdown() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wire == nil {
		c.end(ReasonServerShutdown, closeMessage, nil)
		return
	}
	c.closeWith(ReasonServerShutdown, closeGoingAway)
}

// kill ends the connection and its network connection without a word.
func (c *Conn) kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end(ReasonServerShutdown, closeMessage, nil)
	if c.wire != nil {
		c.wire.abort()
	}
}

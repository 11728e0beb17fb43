package transport

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"strings"

	"github.com/natter-io/natter/pkg/engineio"
)

// A session id is the name of the server that holds the session, a dot, and what makes it a secret. So
// every server knows from the id where a request belongs, with nothing to look up and nothing to keep.
// Clients take the whole as opaque.

const (
	idLength       = 20 // of the secret part: 15 random bytes
	maxName        = 64
	nameCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
)

// newID returns a session id that cannot be guessed.
func (s *Server) newID() string {
	var b [15]byte
	rand.Read(b[:])
	id := base64.RawURLEncoding.EncodeToString(b[:])
	if s.opts.Name == "" {
		return id
	}
	return s.opts.Name + "." + id
}

// holder returns the name of the other server that holds a session, by its id; "" if there can be none.
func (s *Server) holder(id string) string {
	name, secret, ok := strings.Cut(id, ".")
	if !ok || name == s.opts.Name || len(name) > maxName || len(secret) != idLength {
		return ""
	}
	for _, part := range []string{name, secret} {
		if strings.Trim(part, nameCharacters) != "" {
			return ""
		}
	}
	return name
}

// redact shortens a session id for logs.
func redact(id string) string { return id[:len(id)-idLength+4] + "…" }

// Carrier takes requests to other servers.
type Carrier interface {
	// Carry answers r as the server with the name does, whose [Server.ServeCarried] gets the request. It
	// returns when the exchange is over, WebSockets too. An error means that nothing was answered: it
	// wraps [ErrNoHolder] or [ErrCannotCarry].
	Carry(w http.ResponseWriter, r *http.Request, name string) error
	// CarryStream makes conn, on which a client speaks, and the server with the name one connection, and returns
	// when that is closed. r tells the server what it is for. Errors are those of Carry; after one, conn is open.
	CarryStream(conn net.Conn, r *http.Request, name string) error
}

var (
	// ErrNoHolder says that no server with the name answers: its sessions are gone.
	ErrNoHolder = errors.New("transport: no such server")
	// ErrCannotCarry says that the other server cannot be reached from here, or not now; its sessions
	// may well live.
	ErrCannotCarry = errors.New("transport: cannot reach other servers")
)

// ServeCarried serves a request that a [Carrier] brought here from another server. It serves the sessions of
// this server alone: it opens none, and carries nothing on.
func (s *Server) ServeCarried(w http.ResponseWriter, r *http.Request) { s.serve(w, r, true) }

// carry answers a request whose session this server does not have.
func (s *Server) carry(w http.ResponseWriter, r *http.Request, sid string, upgrade bool) {
	name := s.holder(sid)
	if name == "" || s.opts.Carrier == nil {
		refuse(w, upgrade, engineio.SessionUnknown, "")
		return
	}
	switch err := s.opts.Carrier.Carry(w, r, name); {
	case errors.Is(err, ErrNoHolder):
		refuse(w, upgrade, engineio.SessionUnknown, "")
	case err != nil:
		s.opts.Log.Debug("a request could not be carried", "to", name, "error", err)
		w.Header().Set("Retry-After", "1")
		http.Error(w, "the session's server cannot be reached", http.StatusServiceUnavailable)
	}
}

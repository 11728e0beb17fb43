package transport

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/natter-io/natter/pkg/engineio"
)

// verify checks a request, in the stock server's order, which decides what clients are told. It
// returns the connection that the request belongs to, nil for a handshake. What only handshakes are
// checked for comes later.
func (s *Server) verify(r *http.Request, query url.Values, upgrade bool) (*Conn, engineio.Code, bool) {
	transport := query.Get("transport")
	if !s.opts.has(transport) || transport == WebTransport { // whose sessions are no requests of this kind
		return nil, engineio.TransportUnknown, false
	}
	if !validHeader(r.Header.Get("Origin")) || upgrade && transport != WebSocket {
		return nil, engineio.BadRequest, false
	}
	if upgrade && !s.opts.CORS.allowsWebSocket(r) {
		return nil, engineio.Forbidden, false
	}
	sid := query.Get("sid")
	if sid == "" {
		switch {
		case r.Method != http.MethodGet:
			return nil, engineio.BadHandshakeMethod, false
		case transport == WebSocket && !upgrade:
			return nil, engineio.BadRequest, false
		}
		return nil, 0, true
	}
	c := s.lookup(sid)
	switch {
	case c == nil:
		return nil, engineio.SessionUnknown, false
	case !upgrade && transport != c.Transport(), s.revision(query) != c.Revision():
		return nil, engineio.BadRequest, false
	case r.Method != http.MethodGet && r.Method != http.MethodPost, upgrade && s.opts.NoUpgrades:
		return nil, engineio.BadRequest, false
	}
	return c, 0, true
}

// validHeader reports whether a header field value has only bytes that it may have, RFC 9110
// section 5.5.
func validHeader(value string) bool {
	for i := range len(value) {
		if b := value[i]; b < ' ' && b != '\t' || b == 0x7f {
			return false
		}
	}
	return true
}

// refuse answers a request that is not served. An empty message is the code's own. A WebSocket
// handshake is always answered with 400 and plain text, as stock clients know it.
func refuse(w http.ResponseWriter, upgrade bool, code engineio.Code, message string) {
	h := w.Header()
	status, contentType, body := code.Status(), "application/json", engineio.AppendError(nil, code, message)
	if upgrade {
		if message == "" {
			message = code.Message()
		}
		status, contentType, body = http.StatusBadRequest, "text/html", []byte(message)
		h.Set("Connection", "close")
	}
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(body)
}

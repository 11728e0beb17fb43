package transport

import (
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/natter-io/natter/pkg/engineio"
)

// A stream for the upgrade of another server's connection is carried there as what HTTP/1.1 has for such things: a
// request that switches protocols, after which the client's packets follow.

// streamProtocol is what such a request switches to. It is between servers alone.
const streamProtocol = "engineio-stream"

// carryStream takes a stream to the server that holds the session.
func (s *Server) carryStream(conn net.Conn, r *http.Request, sid string) bool {
	name := s.holder(sid)
	if name == "" || s.opts.Carrier == nil {
		return false
	}
	err := s.opts.Carrier.CarryStream(conn, s.streamUpgrade(r, sid), name)
	if err != nil {
		s.opts.Log.Debug("a stream could not be carried", "to", name, "error", err)
	}
	return err == nil
}

// streamUpgrade is the request that goes ahead of a carried stream.
func (s *Server) streamUpgrade(r *http.Request, sid string) *http.Request {
	up := &http.Request{
		Method:     http.MethodGet,
		URL:        &url.URL{Path: s.opts.Path, RawQuery: url.Values{"EIO": {engineio.Version}, "transport": {WebTransport}, "sid": {sid}}.Encode()},
		ProtoMajor: 1, ProtoMinor: 1,
		Host:   r.Host,
		Header: maps.Clone(r.Header),
	}
	up.Header.Set("Connection", "Upgrade")
	up.Header.Set("Upgrade", streamProtocol)
	return up.WithContext(r.Context())
}

// serveCarriedStream serves a stream that a [Carrier] brought here for one of this server's connections.
func (s *Server) serveCarriedStream(w http.ResponseWriter, sid string) {
	c := s.lookup(sid)
	if c == nil {
		refuse(w, false, engineio.SessionUnknown, "")
		return
	}
	conn, early, err := http.NewResponseController(w).Hijack()
	if err != nil {
		s.opts.Log.Debug("a carried stream cannot be taken over", "error", err)
		refuse(w, false, engineio.BadRequest, "")
		return
	}
	conn.SetDeadline(time.Time{})
	_, err = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+streamProtocol+"\r\n\r\n")
	// Who sends packets before the answer is no server of this kind.
	if err != nil || early.Reader.Buffered() > 0 || !c.upgradeStream(conn) {
		conn.Close()
	}
}

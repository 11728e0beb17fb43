package transport

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/natter-io/natter/pkg/engineio"
)

// Over a WebTransport stream the client speaks first: "0" asks for a new connection, and `0{"sid":"…"}` for an
// upgrade of the one that it has. From then on it is as over a WebSocket; only the frames are others.

// maxFirst bounds a stream's first packet, in bytes.
const maxFirst = 256

// errNoOpen says that a stream did not begin as it must.
var errNoOpen = errors.New("transport: the first packet of a stream is no open packet")

// serveStream serves a client on a stream until it ends. It reports false if it has not become a connection, or the
// candidate of one; then the caller ends it. The first packet must come until the deadline.
func (s *Server) serveStream(conn net.Conn, r *http.Request, deadline time.Time) bool {
	conn.SetReadDeadline(deadline)
	sid, err := readFirst(conn)
	if err != nil {
		s.opts.Log.Debug("a stream was refused", "error", err)
		return false
	}
	conn.SetReadDeadline(time.Time{})
	if sid == "" {
		return s.openStream(conn, r)
	}
	if c := s.lookup(sid); c != nil {
		return c.upgradeStream(conn)
	}
	return s.carryStream(conn, r, sid)
}

// readFirst reads a stream's first packet: the session id of the connection to upgrade, "" for a new one.
func readFirst(r io.Reader) (sid string, err error) {
	binary, n, err := engineio.ReadStreamHeader(r, maxFirst)
	if err != nil {
		return "", err
	}
	data := make([]byte, n)
	if _, err := io.ReadFull(r, data); err != nil {
		return "", err
	}
	p, err := engineio.Decode(data)
	if err != nil || binary || p.Type != engineio.Open {
		return "", fmt.Errorf("%w: %.10q", errNoOpen, data)
	}
	if len(p.Data) == 0 {
		return "", nil
	}
	var open struct {
		SID string `json:"sid"`
	}
	if err := json.Unmarshal(p.Data, &open); err != nil || open.SID == "" {
		return "", fmt.Errorf("%w: want {\"sid\":…}", errNoOpen)
	}
	return open.SID, nil
}

// openStream makes a new connection on a stream.
func (s *Server) openStream(conn net.Conn, r *http.Request) bool {
	request := streamRequest(r)
	if s.opts.AllowRequest != nil && s.opts.AllowRequest(r.Context(), request) != nil {
		return false
	}
	c := s.register(request)
	if c == nil || !c.adopt(s.accept(c)) {
		return false
	}
	w := c.streamWire(conn)
	c.mu.Lock()
	ok := c.startOn(w)
	if ok {
		s.readers.Add(1)
	}
	c.mu.Unlock()
	if ok {
		c.readStream(w)
	}
	return true
}

// streamRequest is the handshake as the other transports have it: stock clients send no query with this one.
func streamRequest(r *http.Request) *Request {
	query := r.URL.Query()
	query.Set("EIO", engineio.Version)
	query.Set("transport", WebTransport)
	return newRequest(r, query)
}

// upgradeStream makes a stream the connection's candidate. One that cannot take over is closed. Revision 3 of the
// protocol knows no streams.
func (c *Conn) upgradeStream(conn net.Conn) bool {
	w := c.streamWire(conn)
	c.mu.Lock()
	if c.state == closed || c.eio3 || c.srv.opts.NoUpgrades {
		c.mu.Unlock()
		return false
	}
	c.srv.readers.Add(1)
	c.consider(w)
	c.mu.Unlock()
	c.readStream(w)
	return true
}

func (c *Conn) streamWire(conn net.Conn) *wire {
	w := newWire(conn, &c.srv.opts)
	w.stream = true
	w.failed = func() { c.wireFailed(w, nil) }
	return w
}

// readStream reads until the stream ends. The caller has counted it among the readers.
func (c *Conn) readStream(w *wire) {
	defer c.srv.readers.Done()
	defer w.abort()
	c.readFailed(w, c.readPackets(w))
	// Until the peer has seen how it ended, or the deadline that finish has set.
	io.Copy(io.Discard, w.Conn)
}

func (c *Conn) readPackets(w *wire) error {
	for {
		binary, n, err := engineio.ReadStreamHeader(w.Conn, c.srv.opts.MaxPayload)
		if err != nil {
			if errors.Is(err, engineio.ErrStreamLength) {
				c.packet(w, engineio.Packet{}, err)
			}
			return err
		}
		buf := getBuffer()
		err = readAll(buf, io.LimitReader(w.Conn, n))
		if err == nil && int64(len(*buf)) < n {
			err = io.ErrUnexpectedEOF
		}
		if err == nil {
			c.streamPacket(w, *buf, binary)
		}
		putBuffer(buf)
		if err != nil {
			return err
		}
	}
}

// streamPacket handles one packet.
func (c *Conn) streamPacket(w *wire, data []byte, binary bool) {
	switch {
	case binary:
		c.packet(w, engineio.Packet{Type: engineio.Message, Binary: true, Data: data}, nil)
	case !utf8.Valid(data):
		c.packet(w, engineio.Packet{}, errNotUTF8)
	case bytes.HasPrefix(data, []byte("b")):
		c.base64Frame(w, data)
	default:
		p, err := engineio.Decode(data)
		c.packet(w, p, err)
	}
}

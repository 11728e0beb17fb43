package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"
	"github.com/quic-go/webtransport-go"
)

// sessionGrace is how long a client may take to read what was sent before its session is closed, unless it closes
// that itself: closing drops what is still on its way.
const sessionGrace = 250 * time.Millisecond

// sessionConn is a WebTransport session's stream as a net.Conn that is closed with the session.
type sessionConn struct {
	*webtransport.Stream
	session *webtransport.Session
	connect *http3.Stream // of the request that opened the session
	quic    *quic.Conn

	over    error // what Read says from now on
	closing sync.Once
	mu      sync.Mutex
	sealed  time.Time // when reading ends at the latest; zero until CloseWrite
}

var _ net.Conn = (*sessionConn)(nil)

// Read implements net.Conn. A session that the client closed ends with io.EOF.
func (c *sessionConn) Read(b []byte) (int, error) {
	n, err := c.Stream.Read(b)
	return n, c.reason(err)
}

// Close implements net.Conn, and closes the session. It does not wait for that.
func (c *sessionConn) Close() error {
	c.closing.Do(func() { go c.closeSession() })
	return nil
}

// closeSession says that the session is closed, and ends it when the client has answered. The library would stop
// reading the request's stream with the same packet, which Chromium takes for a connection that broke, and so the
// stock client too (https://github.com/quic-go/webtransport-go/issues/242).
func (c *sessionConn) closeSession() {
	c.connect.SetWriteDeadline(time.Now().Add(sessionGrace))
	if _, err := c.connect.Write(closeCapsule); err == nil && c.connect.Close() == nil {
		answered := time.NewTimer(sessionGrace)
		defer answered.Stop()
		select {
		case <-c.session.Context().Done():
		case <-answered.C:
		}
	}
	c.session.CloseWithError(0, "")
}

// closeCapsule is WT_CLOSE_SESSION with code 0 and no message (draft-ietf-webtrans-http3 section 6).
var closeCapsule = append(quicvarint.Append(quicvarint.Append(nil, 0x2843), 4), 0, 0, 0, 0)

// CloseWrite sends all that was written, and gives the client sessionGrace to read it.
func (c *sessionConn) CloseWrite() error {
	c.mu.Lock()
	c.sealed = time.Now().Add(sessionGrace)
	c.mu.Unlock()
	return errors.Join(c.Stream.Close(), c.SetReadDeadline(c.sealed))
}

// SetReadDeadline implements net.Conn.
func (c *sessionConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.sealed.IsZero() && (t.IsZero() || t.After(c.sealed)) {
		t = c.sealed
	}
	return c.Stream.SetReadDeadline(t)
}

// SetDeadline implements net.Conn.
func (c *sessionConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// LocalAddr implements net.Conn.
func (c *sessionConn) LocalAddr() net.Addr { return c.quic.LocalAddr() }

// RemoteAddr implements net.Conn.
func (c *sessionConn) RemoteAddr() net.Addr { return c.quic.RemoteAddr() }

// reason returns the error of a Read, or io.EOF if the client has closed the session, or the whole connection, on
// purpose: the stream may end before its session is known to have. The one who reads alone calls it.
func (c *sessionConn) reason(err error) error {
	if err == nil || err == io.EOF || errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	if c.over == nil {
		c.over = err
		if c.closedByClient() {
			c.over = io.EOF
		}
	}
	return c.over
}

func (c *sessionConn) closedByClient() bool {
	waiting, cancel := context.WithTimeout(context.Background(), sessionGrace)
	defer cancel()
	_, err := c.session.AcceptStream(waiting) // of no interest, but it tells how the session ended
	var session *webtransport.SessionError
	if errors.As(err, &session) {
		return session.Remote
	}
	select {
	case <-c.quic.Context().Done():
	case <-waiting.Done():
	}
	var closed *quic.ApplicationError
	return errors.As(context.Cause(c.quic.Context()), &closed) && closed.Remote && closed.ErrorCode == quic.ApplicationErrorCode(http3.ErrCodeNoError)
}

package carry

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/natter-io/natter/services/gateway/internal/transport"
)

const (
	// window is how many bytes may be on their way, or wait for a reader, in each direction of a stream.
	window = 256 << 10
	// chunk is the greatest data of a frame, if NATS takes as much.
	chunk = 32 << 10
	// keepBuffer is what an empty receive buffer may keep.
	keepBuffer = 8 << 10
)

var (
	errBroken   = errors.New("carry: the stream broke")
	errSilent   = fmt.Errorf("%w: the gateway does not answer", transport.ErrNoHolder)
	errUnknown  = fmt.Errorf("%w: the gateway has lost the stream", transport.ErrNoHolder)
	errBusy     = fmt.Errorf("%w: too much is carried already", transport.ErrCannotCarry)
	errLost     = fmt.Errorf("%w: messages may have been lost", transport.ErrCannotCarry)
	errStopping = fmt.Errorf("%w: this gateway stops", transport.ErrCannotCarry)
)

// stream is a net.Conn to another gateway: bytes in order, both ways, with a window that holds the sender
// back. A byte that is lost breaks it.
type stream struct {
	link *link
	peer string
	id   uint64
	out  bool // opened here

	writing sync.Mutex // one Write at a time; before mu

	// mu comes before the link's. It is held while a frame is published, so that frames are in order.
	mu     sync.Mutex
	change sync.Cond
	epoch  uint64 // the peer's; 0 until it is heard of
	err    error  // why the stream is broken

	in       bytes.Buffer
	received uint64 // in all
	granted  uint64 // what the peer may send in all
	ended    bool   // the peer sends no more
	gone     bool   // the peer reads no more

	opened  bool // the peer was told of the stream
	sent    uint64
	allowed uint64
	sealed  bool // nothing is sent any more
	closed  bool

	readBy, writeBy deadline
	answer          *time.Timer // for the first frame from the peer
}

var _ net.Conn = (*stream)(nil)

func newStream(l *link, peer string, id uint64) *stream {
	s := &stream{link: l, peer: peer, id: id, granted: window, allowed: window}
	s.change.L = &s.mu
	return s
}

// Read implements net.Conn.
func (s *stream) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.readable(); err != nil {
		return 0, err
	}
	n, _ := s.in.Read(p) // has data, so cannot fail
	if s.in.Len() == 0 && s.in.Cap() > keepBuffer {
		s.in = bytes.Buffer{}
	}
	s.grant()
	return n, nil
}

// readable waits until there is data. It fails with io.EOF at the end. The caller holds s.mu.
func (s *stream) readable() error {
	for {
		switch {
		case s.closed:
			return net.ErrClosed
		case s.err != nil:
			return s.err
		case s.readBy.passed():
			return os.ErrDeadlineExceeded
		case s.in.Len() > 0:
			return nil
		case s.ended:
			return io.EOF
		}
		s.change.Wait()
	}
}

// grant allows the peer to send more once half of the window was read. The caller holds s.mu.
func (s *stream) grant() {
	limit := s.received - uint64(s.in.Len()) + window
	if s.ended || limit-s.granted < window/2 {
		return
	}
	s.granted = limit
	s.publish(frame{kind: kindCredit, at: limit})
}

// Write implements net.Conn. It waits until the peer may be sent all of p, not until it has read it.
func (s *stream) Write(p []byte) (int, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	written := 0
	for len(p) > 0 {
		switch {
		case s.closed:
			return written, net.ErrClosed
		case s.err != nil:
			return written, s.err
		case s.gone || s.sealed:
			return written, io.ErrClosedPipe
		case s.writeBy.passed():
			return written, os.ErrDeadlineExceeded
		}
		n := min(len(p), s.link.chunk(), int(s.allowed-s.sent))
		if n == 0 {
			s.change.Wait()
			continue
		}
		f := frame{kind: kindData, at: s.sent, data: p[:n]}
		if !s.opened {
			s.opened, f.kind = true, kindOpen
		}
		s.publish(f)
		s.sent += uint64(n)
		written += n
		p = p[n:]
	}
	return written, nil
}

// publish sends a frame of the stream. The caller holds s.mu. That it fails is found out by the peer, whom
// the frame is missing, or by the link, whose connection is closed then.
func (s *stream) publish(f frame) {
	f.stream = s.id
	s.link.publish(s.peer, f)
}

// CloseWrite tells the peer that nothing more comes.
func (s *stream) CloseWrite() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.sealed && !s.closed && s.err == nil && !s.gone {
		s.sealed = true
		s.publish(frame{kind: kindEnd, at: s.sent})
		s.change.Broadcast()
	}
	return nil
}

// Close implements net.Conn. What was written still arrives.
func (s *stream) Close() error { return s.close(frame{kind: kindClose}) }

// abort closes the stream so that the peer sees it broken.
func (s *stream) abort() { _ = s.close(frame{kind: kindReset}) }

func (s *stream) close(last frame) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	s.closed = true
	if s.err == nil && !s.gone && (s.opened || !s.out) {
		last.at = s.sent
		s.publish(last)
	}
	s.in = bytes.Buffer{}
	s.release()
	return nil
}

// fail breaks the stream. The peer is told unless it knows.
func (s *stream) fail(err error, tell bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failLocked(err, tell)
}

func (s *stream) failLocked(err error, tell bool) {
	if s.closed || s.err != nil {
		return
	}
	s.err = err
	if tell {
		s.publish(frame{kind: kindReset})
	}
	s.release()
}

// release forgets the stream and wakes who waits for it. The caller holds s.mu.
func (s *stream) release() {
	s.readBy.stop()
	s.writeBy.stop()
	if s.answer != nil {
		s.answer.Stop()
	}
	s.link.forget(s)
	s.change.Broadcast()
}

// waitOver waits until the peer has closed the stream, or it is closed or broken here. It fails in the
// latter case.
func (s *stream) waitOver() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.closed && !s.gone && s.err == nil {
		s.change.Wait()
	}
	return s.err
}

// cause returns why the stream is broken, or fallback if it is not.
func (s *stream) cause(fallback error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	return fallback
}

// LocalAddr implements net.Conn.
func (s *stream) LocalAddr() net.Addr { return address(s.link.opts.Gateway) }

// RemoteAddr implements net.Conn: the gateway that carries, not the client.
func (s *stream) RemoteAddr() net.Addr { return address(s.peer) }

// address is a gateway's id.
type address string

func (address) Network() string  { return "natter" }
func (a address) String() string { return string(a) }

package transport

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

var (
	errWireClosed = errors.New("transport: wire is closed")
	errWireFull   = errors.New("transport: wire queue is full")
)

// wire serialises all writes to one network connection, never blocks who writes, and keeps the
// order. Bytes of one call are never interleaved with another's.
//
// A write to an idle connection is one attempt that does not wait, made by the caller: no goroutine
// is woken, nothing is allocated. What the kernel does not take, and everything that comes
// after it, is queued for a goroutine that lives until the queue is empty.
//
// It is a net.Conn, so that a WebSocket library's control frames take the same way. Its methods may
// be called concurrently.
type wire struct {
	net.Conn
	raw     syscall.RawConn // nil if only the drain goroutine can write
	timeout time.Duration   // of one batch
	maxLen  int             // bound of the queue, messages
	maxSize int             // bound of the queue, bytes
	failed  func()          // called at most once, by the drain goroutine, holding no lock
	eio3    bool            // the client speaks revision 3 of the protocol
	base64  bool            // the client asked for text in place of binary frames: query parameter b64
	stream  bool            // a WebTransport stream: other frames, and none to say that it is closed
	deflate int             // size from which messages are compressed; 0 if permessage-deflate was not negotiated

	mu       sync.Mutex
	queue    [][]byte
	size     int    // bytes in queue and in the batch being written
	draining bool   // the drain goroutine exists, and alone may write
	ending   bool   // nothing more is accepted
	err      error  // why nothing can be written any more
	done     func() // to be called when all is written

	// One attempt's argument and results. The function is made once, since a closure for each
	// call would be an allocation.
	attempt    func(fd uintptr) bool
	attemptBuf []byte
	attemptN   int
	attemptErr error
}

func newWire(conn net.Conn, o *Options) *wire {
	w := &wire{
		Conn:    conn,
		raw:     directConn(conn),
		timeout: o.WriteTimeout,
		maxLen:  o.MaxQueueMessages,
		maxSize: o.MaxQueueBytes,
	}
	w.attempt = func(fd uintptr) bool {
		w.attemptN, w.attemptErr = writeNow(fd, w.attemptBuf)
		return true
	}
	return w
}

// frames returns the message as this client wants it.
func (w *wire) frames(m *Message) []byte {
	switch {
	case w.stream:
		return m.streamFrames()
	case w.eio3 && m.hasBinary():
		return m.eio3Frames(w.base64)
	case w.base64:
		return m.textFrames()
	case w.deflate > 0:
		return m.deflatedFrames(w.deflate)
	}
	return m.frames
}

// transport returns the name of the transport that the wire belongs to.
func (w *wire) transport() string {
	if w.stream {
		return WebTransport
	}
	return WebSocket
}

// send writes b, or queues it. The caller must not change b afterwards.
func (w *wire) send(b []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.acceptLocked(len(b)); err != nil {
		return err
	}
	rest, err := w.tryLocked(b)
	if err != nil {
		return err
	}
	w.queueLocked(rest)
	return nil
}

// sendVolatile writes b if the connection can take it now: all of it, or nothing.
func (w *wire) sendVolatile(b []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.draining || w.acceptLocked(len(b)) != nil {
		return false
	}
	rest, err := w.tryLocked(b)
	if err != nil || w.raw != nil && len(rest) == len(b) {
		return false
	}
	w.queueLocked(rest)
	return true
}

// sendAll queues all of the messages, past the bounds, for one write.
func (w *wire) sendAll(messages []*Message) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ending || w.err != nil {
		return errWireClosed
	}
	for _, m := range messages {
		w.queueLocked(w.frames(m))
	}
	return nil
}

// Write is for the WebSocket library, which reuses b: it is copied if it must wait.
func (w *wire) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.acceptLocked(len(b)); err != nil {
		return 0, err
	}
	rest, err := w.tryLocked(b)
	if err != nil {
		return 0, err
	}
	if len(rest) > 0 {
		w.queueLocked(append([]byte(nil), rest...))
	}
	return len(b), nil
}

// SetWriteDeadline does nothing: deadlines of writes are the wire's own business.
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline sets the deadline of reads.
func (w *wire) SetDeadline(t time.Time) error { return w.Conn.SetReadDeadline(t) }

// finish sends what waits, then last (nil for nothing), then ends the write side; the peer has linger
// to end its own, after which reads fail. It reports whether all is written already; if not,
// done is called when it is, or when it cannot be. Later calls only move the end of linger, and
// report true.
//
// Reading on for a while is what lets the peer see last: a connection that is closed with unread input
// is reset, and takes what was sent with it.
func (w *wire) finish(last []byte, linger time.Duration, done func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Conn.SetReadDeadline(time.Now().Add(linger))
	if w.ending || w.err != nil {
		return true
	}
	w.ending = true
	if w.stream {
		last = nil
	}
	rest, err := w.tryLocked(last)
	if err != nil {
		return true
	}
	if w.raw != nil && !w.draining && len(rest) == 0 {
		w.closeWrite()
		return true
	}
	// Without a descriptor even closing may wait, so the drain goroutine does it.
	w.done = done
	w.queueLocked(rest)
	w.drainLocked()
	return false
}

// abort closes the connection and drops what waits.
func (w *wire) abort() {
	w.mu.Lock()
	w.failLocked(errWireClosed)
	w.mu.Unlock()
}

func (w *wire) acceptLocked(n int) error {
	switch {
	case w.ending || w.err != nil:
		return errWireClosed
	case w.size > 0 && (w.size+n > w.maxSize || len(w.queue) >= w.maxLen):
		return errWireFull
	}
	return nil
}

// tryLocked writes of b what the kernel takes now, if nothing is before it, and returns the rest.
func (w *wire) tryLocked(b []byte) ([]byte, error) {
	if w.draining || w.raw == nil || len(b) == 0 {
		return b, nil
	}
	w.attemptBuf = b
	err := w.raw.Write(w.attempt)
	w.attemptBuf = nil
	if err == nil {
		err = w.attemptErr
	}
	if err != nil {
		w.failLocked(err)
		return nil, err
	}
	return b[w.attemptN:], nil
}

func (w *wire) queueLocked(b []byte) {
	if len(b) == 0 {
		return
	}
	w.queue = append(w.queue, b)
	w.size += len(b)
	w.drainLocked()
}

func (w *wire) drainLocked() {
	if !w.draining {
		w.draining = true
		go w.drain()
	}
}

func (w *wire) failLocked(err error) {
	if w.err == nil {
		w.err = err
		w.queue, w.size = nil, 0
		w.Conn.Close()
	}
}

func (w *wire) closeWrite() {
	if c, ok := w.Conn.(interface{ CloseWrite() error }); ok {
		c.CloseWrite()
	}
}

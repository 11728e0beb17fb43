package carry

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/internal/transport"
)

const (
	// answerTimeout is how long a gateway may take to answer a new stream if it is known to live, and
	// unknownTimeout if it is not: ids are what clients say.
	answerTimeout  = 2 * time.Second
	unknownTimeout = 500 * time.Millisecond
	// acceptQueue is how many new streams wait for the HTTP server.
	acceptQueue = 1024
	// Bounds of what waits in the subscription.
	queueMessages = 64 << 10
	queueBytes    = 64 << 20
)

// link is what the gateway has with all others: their streams, and a net.Listener for those that they open.
type link struct {
	nc       *nats.Conn
	opts     Options
	inbox    string // where NATS says that nobody hears
	accepted chan *stream
	closed   chan struct{} // the listener's
	closing  sync.Once
	epoch    atomic.Uint64
	lost     func() int // messages that the client library had to drop

	mu      sync.Mutex // after the streams'
	peers   map[string]*peer
	out, in int
	stopped bool // no more streams out
}

// peer is a gateway with which there are streams.
type peer struct {
	streams map[uint64]*stream
	heard   time.Time
	epoch   uint64 // 0 until it is heard of
}

func newLink(nc *nats.Conn, opts Options) *link {
	l := &link{
		nc: nc, opts: opts, inbox: nc.NewInbox(),
		accepted: make(chan *stream, acceptQueue), closed: make(chan struct{}),
		peers: make(map[string]*peer),
	}
	l.epoch.Store(random())
	return l
}

// random draws an epoch or a stream's id; not 0, which stands for none.
func random() uint64 {
	var b [8]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint64(b[:]) | 1
}

var frames = sync.Pool{New: func() any { return new([]byte) }}

// publish sends a frame to a gateway. Its failure is the connection's, which breaks all streams.
func (l *link) publish(to string, f frame) {
	subject, err := l.opts.Subjects.Carry(to, l.opts.Gateway)
	if err != nil {
		return // open has checked the id
	}
	f.epoch = l.epoch.Load()
	b := frames.Get().(*[]byte)
	defer frames.Put(b)
	*b = f.append((*b)[:0])
	if f.kind == kindOpen || f.kind == kindPing { // NATS says there if nobody hears it
		err = l.nc.PublishRequest(subject, l.inbox+"."+to+"."+strconv.FormatUint(f.stream, 36), *b)
	} else {
		err = l.nc.Publish(subject, *b)
	}
	if err != nil {
		l.opts.Log.Debug("a frame to another gateway was not sent", "to", to, "error", err)
	}
}

// chunk is the greatest data of a frame.
func (l *link) chunk() int { return max(1, min(chunk, int(l.nc.MaxPayload())-frameHeader)) }

// open makes a stream to a gateway. Nothing is sent before the first Write.
func (l *link) open(to string) (*stream, error) {
	if _, err := l.opts.Subjects.Carry(to, l.opts.Gateway); err != nil {
		return nil, fmt.Errorf("%w: %w", transport.ErrNoHolder, err)
	}
	if !l.nc.IsConnected() {
		return nil, fmt.Errorf("%w: not connected to NATS", transport.ErrCannotCarry)
	}
	s := newStream(l, to, random())
	s.out = true
	if err := l.add(s); err != nil {
		return nil, err
	}
	patience := unknownTimeout
	if l.opts.Alive(to) {
		patience = answerTimeout
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = time.AfterFunc(patience, func() { s.fail(errSilent, true) })
	return s, nil
}

// add makes a stream known, within the bounds.
func (l *link) add(s *stream) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := &l.in
	if s.out {
		n = &l.out
		if l.stopped {
			return errStopping
		}
	}
	if *n >= l.opts.Max {
		return errBusy
	}
	p := l.peers[s.peer]
	if p == nil {
		p = &peer{streams: make(map[uint64]*stream), heard: time.Now()}
		l.peers[s.peer] = p
	}
	if p.streams[s.id] != nil {
		return fmt.Errorf("%w: stream opened twice", errBroken)
	}
	*n++
	p.streams[s.id] = s
	l.opts.Metrics.Streams(l.out, l.in)
	return nil
}

func (l *link) forget(s *stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.peers[s.peer]
	if p == nil || p.streams[s.id] != s {
		return
	}
	delete(p.streams, s.id)
	if len(p.streams) == 0 {
		delete(l.peers, s.peer)
	}
	if s.out {
		l.out--
	} else {
		l.in--
	}
	l.opts.Metrics.Streams(l.out, l.in)
}

// hear handles a message from another gateway.
func (l *link) hear(msg *nats.Msg) {
	from := msg.Subject[strings.LastIndexByte(msg.Subject, '.')+1:]
	f, err := decode(msg.Data)
	if err != nil || from == l.opts.Gateway || !contract.ValidGatewayID(from) {
		l.opts.Log.Debug("what another gateway sent is not understood", "from", from, "bytes", len(msg.Data), "error", err)
		return
	}
	s, renewed := l.find(from, f)
	for _, s := range renewed {
		s.failUnless(f.epoch)
	}
	switch {
	case f.kind == kindPing:
		l.publish(from, frame{kind: kindPong})
	case f.kind == kindPong:
	case s != nil:
		s.receive(f)
	case f.kind == kindOpen:
		l.accept(from, f)
	case f.kind == kindData || f.kind == kindEnd || f.kind == kindCredit:
		l.refuse(from, f.stream, causeUnknown)
	}
}

// find notes that a gateway was heard, and returns the frame's stream; if the gateway has a new epoch, also
// all others.
func (l *link) find(from string, f frame) (s *stream, renewed []*stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.peers[from]
	if p == nil {
		return nil, nil
	}
	p.heard = time.Now()
	if p.epoch != 0 && p.epoch != f.epoch {
		for _, s := range p.streams {
			renewed = append(renewed, s)
		}
	}
	p.epoch = f.epoch
	return p.streams[f.stream], renewed
}

// failUnless breaks a stream of another epoch.
func (s *stream) failUnless(epoch uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch != 0 && s.epoch != epoch {
		s.failLocked(errUnknown, true)
	}
}

// accept takes a stream that another gateway opens.
func (l *link) accept(from string, f frame) {
	s := newStream(l, from, f.stream)
	if err := l.add(s); err != nil {
		l.refuse(from, f.stream, causeBusy)
		return
	}
	s.receive(f)
	l.publish(from, frame{kind: kindCredit, stream: f.stream, at: window})
	select {
	case l.accepted <- s:
	default:
		s.fail(errBusy, false)
		l.refuse(from, f.stream, causeBusy)
	}
}

func (l *link) refuse(to string, id uint64, c cause) {
	l.publish(to, frame{kind: kindReset, stream: id, data: []byte{byte(c)}})
}

// Accept implements net.Listener.
func (l *link) Accept() (net.Conn, error) {
	select {
	case s := <-l.accepted:
		return s, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *link) Close() error {
	l.closing.Do(func() { close(l.closed) })
	return nil
}

// Addr implements net.Listener.
func (l *link) Addr() net.Addr { return address(l.opts.Gateway) }

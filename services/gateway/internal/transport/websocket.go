package transport

import (
	"bufio"
	"bytes"
	"compress/flate" // whose errors the WebSocket library passes on
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"unicode/utf8"

	ws "github.com/gorilla/websocket"

	"github.com/natter-io/natter/pkg/engineio"
)

// upgrader does the WebSocket handshake. Origins were checked before. The library gets a write buffer
// pool so that it makes no buffer for each connection; frames are written without it. It agrees to
// compression whenever it is offered: see acceptWebSocket.
var upgrader = ws.Upgrader{
	ReadBufferSize:    1 << 10,
	WriteBufferSize:   1 << 10,
	WriteBufferPool:   &sync.Pool{},
	EnableCompression: true,
	CheckOrigin:       func(*http.Request) bool { return true },
	Error: func(w http.ResponseWriter, _ *http.Request, status int, reason error) {
		w.Header().Set("Sec-WebSocket-Version", "13")
		http.Error(w, reason.Error(), status)
	},
}

// hijacker puts a wire under the WebSocket library.
type hijacker struct {
	http.ResponseWriter
	c    *Conn
	wire *wire
}

func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	c, w := h.c, newWire(conn, &h.c.srv.opts)
	w.failed = func() { c.wireFailed(w, nil) } // must not hold the hijacker, and with it the request
	h.wire = w
	return w, rw, nil
}

// acceptWebSocket answers the WebSocket handshake, with an error if it is a bad one.
func (c *Conn) acceptWebSocket(w http.ResponseWriter, r *http.Request) (*ws.Conn, *wire, error) {
	h := &hijacker{ResponseWriter: w, c: c}
	deflate := c.srv.opts.PerMessageDeflate
	if deflate > 0 && !offersDeflate(r.Header.Values(extensionsHeader)) {
		deflate = 0
	}
	sock, err := upgrader.Upgrade(h, withDeflate(r, deflate > 0), nil)
	if err != nil {
		if h.wire != nil {
			h.wire.abort()
		}
		return nil, nil, err
	}
	sock.SetReadLimit(c.srv.opts.MaxPayload)
	h.wire.eio3, h.wire.base64 = c.eio3, r.URL.Query().Get("b64") != ""
	h.wire.deflate = deflate
	return sock, h.wire, nil
}

// startWebSocket opens the connection on a WebSocket.
func (c *Conn) startWebSocket(w http.ResponseWriter, r *http.Request) {
	sock, wire, err := c.acceptWebSocket(w, r)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.end(ReasonTransportError, nil, nil)
		return
	}
	if c.startOn(wire) {
		c.read(sock, wire)
	}
}

// startOn opens the connection on a wire, and reports whether that is to be read now. The caller holds c.mu.
func (c *Conn) startOn(w *wire) bool {
	if !c.switchState(websocket) {
		w.abort()
		return false
	}
	c.wire = w
	c.beat()
	open := newMessage([]engineio.Packet{{Type: engineio.Open, Data: c.openPacket(w.transport())[1:]}})
	if w.send(w.frames(open)) != nil || w.sendAll(c.takeQueue()) != nil {
		c.end(ReasonTransportError, nil, nil)
	}
	return true
}

// read starts the reader, the one goroutine that a WebSocket connection has while nothing happens.
// The caller holds c.mu.
func (c *Conn) read(sock *ws.Conn, w *wire) {
	c.srv.readers.Add(1)
	go func() {
		defer c.srv.readers.Done()
		defer w.abort()
		err := c.readFrames(sock, w)
		c.readFailed(w, err)
		// Until the peer has seen how it ended, or the deadline that finish has set.
		io.Copy(io.Discard, w.Conn)
	}()
}

func (c *Conn) readFrames(sock *ws.Conn, w *wire) error {
	for {
		kind, r, err := sock.NextReader()
		if err != nil {
			return err
		}
		buf := getBuffer()
		if err := c.readMessage(w, buf, r); err != nil {
			putBuffer(buf)
			return err
		}
		c.frame(w, *buf, kind == ws.BinaryMessage)
		putBuffer(buf)
	}
}

var errTooLong = errors.New("transport: message is longer than the limit")

// readMessage reads a WebSocket message. The library's limit is of the bytes on the network; here those count
// that come of them, so that a compressed message is no bigger than any other.
func (c *Conn) readMessage(w *wire, buf *[]byte, r io.Reader) error {
	limit := c.srv.opts.MaxPayload
	err := readAll(buf, io.LimitReader(r, limit+1))
	if int64(len(*buf)) > limit {
		c.wireFailed(w, closeNoMoreThan)
		return errTooLong
	}
	if errors.As(err, new(flate.CorruptInputError)) {
		c.wireFailed(w, closeBadData)
	}
	return err
}

// frame handles one WebSocket message: a packet.
func (c *Conn) frame(w *wire, data []byte, binary bool) {
	if c.eio3 {
		c.eio3Frame(w, data, binary)
		return
	}
	p := engineio.Packet{Type: engineio.Message, Binary: true, Data: data}
	var err error
	if !binary {
		if !utf8.Valid(data) { // RFC 6455 section 8.1
			c.wireFailed(w, closeBadData)
			return
		}
		if bytes.HasPrefix(data, []byte("b")) {
			c.base64Frame(w, data)
			return
		}
		p, err = engineio.Decode(data)
	}
	c.packet(w, p, err)
}

// base64Frame handles a binary message of a client that cannot send binary frames: it comes as it would in
// a polling payload of one packet.
func (c *Conn) base64Frame(w *wire, data []byte) {
	for p, err := range engineio.Packets(data, 1) {
		c.packet(w, p, err)
	}
}

// readFailed ends what depends on a WebSocket whose reading ended.
func (c *Conn) readFailed(w *wire, err error) {
	reason := ReasonTransportError
	if errors.Is(err, io.EOF) || errors.As(err, new(*ws.CloseError)) {
		reason = ReasonTransportClose
	}
	if errors.Is(err, errTooLong) || errors.Is(err, ws.ErrReadLimit) || errors.Is(err, engineio.ErrStreamLength) {
		c.oversize()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	// The library has answered a bad frame with a close frame already.
	none := []byte{}
	w.finish(none, lingerTimeout, nil)
	switch {
	case c.candidate != nil && c.candidate.wire == w:
		c.dropCandidate()
	case c.wire != w:
	case c.state == closing:
		c.end(c.reason, nil, none)
	default:
		c.end(reason, nil, none)
	}
}

func (c *Conn) oversize() {
	c.srv.opts.Log.Debug("a client's message is larger than maxHttpBufferSize", "connection", c.LogID(), "limit", c.srv.opts.MaxPayload)
	c.srv.opts.Oversize()
}

// wireFailed ends what depends on a WebSocket that cannot be used any more. A nil frame stands for
// one that cannot be written to either.
func (c *Conn) wireFailed(w *wire, frame []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.candidate != nil && c.candidate.wire == w:
		c.dropCandidate()
	case c.wire == w:
		c.end(ReasonTransportError, nil, frame)
	}
}

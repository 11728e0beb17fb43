package transport

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/natter-io/natter/pkg/engineio"
)

// poll is a GET that waits for packets.
type poll struct {
	ready    chan struct{} // closed when the fields below are final
	messages []*Message
	refused  bool // the transport was upgraded: there is nothing for this GET any more
}

var errNotUTF8 = errors.New("transport: text is not valid UTF-8")

// answer gives the pending GET all that is queued. The caller holds c.mu.
func (c *Conn) answer() {
	c.poll.messages = c.takeQueue()
	close(c.poll.ready)
	c.poll = nil
}

// startPolling opens the connection and answers the handshake. What the session has sent already
// waits for the first poll: clients expect nothing but the open packet here.
func (c *Conn) startPolling(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	ok := c.switchState(polling)
	if ok {
		c.beat()
	}
	c.mu.Unlock()
	if !ok {
		refuse(w, false, engineio.BadRequest, "")
		return
	}
	if template := c.srv.opts.Cookie; template != nil {
		cookie := *template
		cookie.Value = c.id
		http.SetCookie(w, &cookie)
	}
	open := newMessage([]engineio.Packet{{Type: engineio.Open, Data: c.openPacket(Polling)[1:]}})
	c.writePoll(w, r, c.body([]*Message{open}))
}

// serveGet is a poll: it answers with what is queued, or waits until something is. What is queued when the connection
// closes does not travel with the close packet, since the stock client closes at that packet before it has looked at the others:
// it would keep them for its next connection, and ask for them again.
func (c *Conn) serveGet(w http.ResponseWriter, r *http.Request) {
	p := &poll{ready: make(chan struct{})}
	c.mu.Lock()
	if c.expired() {
		c.end(ReasonPingTimeout, closeMessage, nil)
	}
	switch {
	case c.state == closed, c.state == opening: // nobody was told the id yet
		c.mu.Unlock()
		refuse(w, false, engineio.SessionUnknown, "")
		return
	case c.wire != nil:
		c.mu.Unlock()
		refuse(w, false, engineio.BadRequest, "")
		return
	case c.poll != nil:
		c.end(ReasonTransportError, closeMessage, nil)
		c.mu.Unlock()
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.poll = p
	if c.state == closing && (len(c.queue) == 0 || c.farewell != closeMessage) {
		c.end(c.reason, c.farewell, nil)
	} else if len(c.queue) > 0 {
		c.answer()
	}
	c.mu.Unlock()

	// A deadline that the HTTP server set for reading this request would look like a client that
	// went away. For a body, which no poll has, it stays: the HTTP server would wait for it.
	if r.ContentLength == 0 {
		http.NewResponseController(w).SetReadDeadline(time.Time{})
	}
	select {
	case <-p.ready:
	case <-r.Context().Done():
	}
	// Not asked later: a client may well hang up as soon as it has read the answer.
	if r.Context().Err() != nil {
		c.pollFailed(p)
		return
	}
	if p.refused {
		refuse(w, false, engineio.BadRequest, "")
		return
	}
	if err := c.writePoll(w, r, c.body(p.messages)); err != nil {
		c.pollFailed(p)
	}
}

// pollFailed closes the connection after a poll that the client did not wait for: what it was to
// carry may be lost.
func (c *Conn) pollFailed(p *poll) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.poll == p {
		c.poll = nil
	}
	c.end(ReasonTransportError, closeMessage, nil)
}

// body is the answer to a poll.
type body struct {
	contentType string
	parts       [][]byte
	separator   []byte
	compress    bool // whether it may be compressed
}

const textPayload = "text/plain; charset=UTF-8"

// body makes the answer to a poll.
func (c *Conn) body(messages []*Message) body {
	var b body
	if c.eio3 {
		b = c.eio3Body(messages)
	} else {
		b = body{contentType: textPayload, parts: make([][]byte, len(messages)), separator: []byte{engineio.Separator}}
		for i, m := range messages {
			b.parts[i] = m.polling()
		}
	}
	// As the stock server: one that may be compressed takes the others with it.
	b.compress = slices.ContainsFunc(messages, func(m *Message) bool { return !m.plain })
	return b
}

// writePoll writes the answer to a poll, within the write timeout. It is compressed if it may be, is worth it, and
// the client takes it so.
func (c *Conn) writePoll(w http.ResponseWriter, r *http.Request, b body) error {
	parts, separator := b.parts, b.separator
	size := len(separator) * (len(parts) - 1)
	for _, p := range parts {
		size += len(p)
	}
	h := w.Header()
	h.Set("Content-Type", b.contentType)
	h.Set("Cache-Control", "no-store")
	if from := c.srv.opts.HTTPCompression; b.compress && from >= 0 && size >= from {
		if coding := contentCoding(r.Header.Values("Accept-Encoding")); coding != "" {
			data, err := encodeContent(coding, bytes.Join(parts, separator))
			if err != nil {
				return err
			}
			h.Set("Content-Encoding", coding)
			parts, size = [][]byte{data}, len(data)
		}
	}
	h.Set("Content-Length", strconv.Itoa(size))
	rc := http.NewResponseController(w)
	rc.SetWriteDeadline(time.Now().Add(c.srv.opts.WriteTimeout))
	defer rc.SetWriteDeadline(time.Time{})
	for i, p := range parts {
		if i > 0 {
			if _, err := w.Write(separator); err != nil {
				return err
			}
		}
		if _, err := w.Write(p); err != nil {
			return err
		}
	}
	if err := rc.Flush(); !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// servePost receives a payload.
func (c *Conn) servePost(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	switch {
	case c.state == closed, c.state == opening:
		c.mu.Unlock()
		refuse(w, false, engineio.SessionUnknown, "")
		return
	case c.wire != nil:
		c.mu.Unlock()
		refuse(w, false, engineio.BadRequest, "")
		return
	case c.posting, !c.eio3 && isOctetStream(r):
		c.end(ReasonTransportError, closeMessage, nil)
		c.mu.Unlock()
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.posting = true
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.posting = false
		c.mu.Unlock()
	}()

	buf := getBuffer()
	defer putBuffer(buf)
	switch err := c.readBody(w, r, buf); {
	case errors.As(err, new(*http.MaxBytesError)):
		c.oversize()
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	case err != nil:
		c.mu.Lock()
		c.end(ReasonTransportError, closeMessage, nil)
		c.mu.Unlock()
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if c.eio3 {
		c.eio3Received(*buf, isOctetStream(r))
	} else {
		c.payload(*buf)
	}
	// text/html, since some browsers would offer a download for text/plain.
	w.Header().Set("Content-Type", "text/html")
	w.Header().Set("Cache-Control", "no-store")
	fmt.Fprint(w, "ok")
}

// readBody reads the body, at most MaxPayload bytes, in the time in which a client must show that
// it lives.
func (c *Conn) readBody(w http.ResponseWriter, r *http.Request, buf *[]byte) error {
	o := &c.srv.opts
	if r.ContentLength > o.MaxPayload {
		w.Header().Set("Connection", "close") // the body is not read
		return &http.MaxBytesError{Limit: o.MaxPayload}
	}
	rc := http.NewResponseController(w)
	rc.SetReadDeadline(time.Now().Add(o.PingInterval + o.PingTimeout))
	if err := readAll(buf, http.MaxBytesReader(w, r.Body, o.MaxPayload)); err != nil {
		// The deadline stays, or the HTTP server would wait for the rest of the body.
		w.Header().Set("Connection", "close")
		return err
	}
	rc.SetReadDeadline(time.Time{})
	return nil
}

// payload handles the packets of a POST. A bad one closes the connection after those before it.
func (c *Conn) payload(data []byte) {
	if !utf8.Valid(data) {
		c.packet(nil, engineio.Packet{}, errNotUTF8)
		return
	}
	for p, err := range engineio.Packets(data, engineio.DefaultMaxPackets) {
		c.packet(nil, p, err)
	}
}

package transport

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/natter-io/natter/pkg/engineio"
)

// Clients of Socket.IO 1 and 2 speak revision 3 of Engine.IO
// (https://github.com/socketio/engine.io-protocol/tree/v3). What is different for them stands here: they ping
// and the server answers, polling payloads have lengths instead of separators, and binary packets have a type. Everything
// else, the upgrade too, is the same.

const jsonpRefused = "JSONP polling is not supported: use XMLHttpRequest or WebSocket"

// revision returns the revision of the protocol that a request asks for, 4 or 3; 0 if it is not served. As for
// stock servers, a request that names none asks for 3.
func (s *Server) revision(query url.Values) int {
	switch query.Get("EIO") {
	case engineio.Version:
		return 4
	case engineio.Version3, "":
		if s.opts.AllowEIO3 {
			return 3
		}
	}
	return 0
}

// Revision returns the revision of the Engine.IO protocol that the client speaks: 4, or 3 for clients of
// Socket.IO 1 and 2.
func (c *Conn) Revision() int {
	if c.eio3 {
		return 3
	}
	return 4
}

// silence is how long a client may say nothing (section "Timeouts").
func (c *Conn) silence() time.Duration { return c.srv.opts.PingInterval + c.srv.opts.PingTimeout }

// beat starts the heartbeat of a connection that has opened. The caller holds c.mu.
func (c *Conn) beat() {
	if c.eio3 {
		c.setTimer(c.silence())
	} else {
		c.setTimer(c.srv.opts.PingInterval)
	}
}

// answerPing answers a ping with its own data (section "2 ping"). The caller holds c.mu.
func (c *Conn) answerPing(data []byte) {
	m := pongMessage
	if len(data) > 0 {
		m = control(engineio.Pong, string(data))
	}
	_ = c.sendLocked(m) // an error has closed the connection
}

// eio3Forms are a message as clients of revision 3 get it, each form made when first needed.
type eio3Forms struct{ frames, text, payload, binary lazy }

func (m *Message) hasBinary() bool {
	return slices.ContainsFunc(m.packets, func(p engineio.Packet) bool { return p.Binary })
}

func (m *Message) eio3() *eio3Forms {
	if f := m.eio3Forms.Load(); f != nil {
		return f
	}
	m.eio3Forms.CompareAndSwap(nil, new(eio3Forms))
	return m.eio3Forms.Load()
}

// eio3Frames returns the message, which has binary packets, as WebSocket frames of revision 3; without binary ones
// if text is true. Without binary packets nothing is different.
func (m *Message) eio3Frames(text bool) []byte {
	if text {
		return m.eio3().text.get(func() []byte {
			var b []byte
			for _, p := range m.packets {
				b = appendFrameHeader(b, opText, engineio.TextSizeV3(p))
				b = engineio.AppendTextV3(b, p)
			}
			return b
		})
	}
	return m.eio3().frames.get(func() []byte {
		b := make([]byte, 0, len(m.frames)+len(m.packets)+maxFrameHeader)
		for _, p := range m.packets {
			opcode := byte(opText)
			if p.Binary {
				opcode = opBinary
			}
			b = appendFrameHeader(b, opcode, 1+len(p.Data))
			b = engineio.AppendV3(b, p)
		}
		return b
	})
}

// eio3Payload returns the message as a part of a polling payload of revision 3, text or binary.
func (m *Message) eio3Payload(binary bool) []byte {
	if binary {
		return m.eio3().binary.get(func() []byte { return engineio.AppendBinaryPayloadV3(nil, m.packets...) })
	}
	return m.eio3().payload.get(func() []byte { return engineio.AppendPayloadV3(nil, m.packets...) })
}

// eio3Body makes the answer to a poll. It is binary if anything in it is and the client takes that.
func (c *Conn) eio3Body(messages []*Message) body {
	binary := !c.base64 && slices.ContainsFunc(messages, (*Message).hasBinary)
	b := body{contentType: textPayload, parts: make([][]byte, len(messages))}
	if binary {
		b.contentType = octetStream
	}
	for i, m := range messages {
		b.parts[i] = m.eio3Payload(binary)
	}
	return b
}

const octetStream = "application/octet-stream"

// isOctetStream reports whether a POST has a binary payload.
func isOctetStream(r *http.Request) bool {
	mediaType, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(mediaType), octetStream)
}

// eio3Frame handles one WebSocket message: a packet.
func (c *Conn) eio3Frame(w *wire, data []byte, binary bool) {
	if !binary && !utf8.Valid(data) { // RFC 6455 section 8.1
		c.wireFailed(w, closeBadData)
		return
	}
	p, err := engineio.DecodeV3(data, binary)
	c.packet(w, p, err)
}

// eio3Received handles the packets of a POST. A bad one closes the connection after those before it.
func (c *Conn) eio3Received(data []byte, binary bool) {
	if !binary && !utf8.Valid(data) {
		c.packet(nil, engineio.Packet{}, errNotUTF8)
		return
	}
	for p, err := range engineio.PacketsV3(data, binary, engineio.DefaultMaxPackets) {
		if err == nil && binary && !p.Binary && !utf8.Valid(p.Data) {
			c.packet(nil, engineio.Packet{}, errNotUTF8)
			return
		}
		c.packet(nil, p, err)
	}
}

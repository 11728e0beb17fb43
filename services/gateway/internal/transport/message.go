package transport

import (
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/natter-io/natter/pkg/engineio"
)

// Message is one or more Engine.IO packets, encoded once and never changed, so that any number of
// connections can send it at the same time. Its packets stay together and in order, whatever else
// a connection sends.
type Message struct {
	frames  []byte            // all packets as WebSocket frames, ready to be written
	packets []engineio.Packet // the same packets; their data lies in frames
	plain   bool              // not to be compressed

	// Forms that are made when first needed: most clients use WebSocket without compression.
	payload  lazy // as a part of a polling payload
	text     lazy // as WebSocket frames without binary ones
	stream   lazy // as on a WebTransport stream, if that differs from frames by more than their first byte
	deflated lazy // as compressed WebSocket frames

	eio3Forms atomic.Pointer[eio3Forms] // for clients of revision 3
}

// lazy is made when it is first asked for.
type lazy struct {
	once sync.Once
	data []byte
}

func (l *lazy) get(encode func() []byte) []byte {
	l.once.Do(func() { l.data = encode() })
	return l.data
}

// NewMessage encodes one text message, followed by one binary message for each attachment. It
// copies what it is given.
//
// The text must be valid UTF-8, which is for the caller to check: browsers close a WebSocket that
// carries anything else. It must not contain U+001E, the separator of polling payloads; JSON cannot.
func NewMessage(text []byte, attachments ...[]byte) *Message {
	packets := make([]engineio.Packet, 0, 1+len(attachments))
	packets = append(packets, engineio.Packet{Type: engineio.Message, Data: text})
	for _, a := range attachments {
		packets = append(packets, engineio.Packet{Type: engineio.Message, Binary: true, Data: a})
	}
	return newMessage(packets)
}

// NewBinary encodes one binary message: what parsers that send no text use. It copies data.
func NewBinary(data []byte) *Message {
	return newMessage([]engineio.Packet{{Type: engineio.Message, Binary: true, Data: data}})
}

// newMessage encodes packets and takes the slice over; the packets' data is copied.
func newMessage(packets []engineio.Packet) *Message {
	size := 0
	for _, p := range packets {
		size += maxFrameHeader + 1 + len(p.Data)
	}
	m := &Message{frames: make([]byte, 0, size), packets: packets}
	for i, p := range packets {
		opcode, length := byte(opText), 1+len(p.Data)
		if p.Binary {
			opcode, length = opBinary, len(p.Data)
		}
		m.frames = appendFrameHeader(m.frames, opcode, length)
		m.frames = engineio.Append(m.frames, p)
		packets[i].Data = m.frames[len(m.frames)-len(p.Data) : len(m.frames) : len(m.frames)]
	}
	return m
}

// Uncompressed returns m after making it one that is sent as it is even to clients that take compressed ones
// (socket.compress(false) of Socket.IO); a poll answer that also has others is compressed all the same. It must be
// called before m is sent.
func (m *Message) Uncompressed() *Message {
	m.plain = true
	return m
}

// control makes the message for a packet that is not one of the layer above.
func control(t engineio.Type, data string) *Message {
	return newMessage([]engineio.Packet{{Type: t, Data: []byte(data)}}).Uncompressed()
}

// The control packets, shared by all connections.
var (
	pingMessage  = control(engineio.Ping, "")
	pongMessage  = control(engineio.Pong, "")
	probeMessage = control(engineio.Pong, "probe")
	noopMessage  = control(engineio.Noop, "")
	closeMessage = control(engineio.Close, "")
)

// Size returns the bytes that the message takes on a WebSocket, which is also what it counts for in
// a queue.
func (m *Message) Size() int { return len(m.frames) }

// polling returns the message as a part of a polling payload.
func (m *Message) polling() []byte {
	return m.payload.get(func() []byte {
		size := len(m.packets)
		for _, p := range m.packets {
			size += engineio.PollingSize(p)
		}
		return engineio.AppendPayload(make([]byte, 0, size), m.packets...)
	})
}

// textFrames returns the message as WebSocket frames that are all text: binary packets are "b" and base64,
// as in a polling payload.
func (m *Message) textFrames() []byte {
	if !m.hasBinary() {
		return m.frames
	}
	return m.text.get(func() (b []byte) {
		for _, p := range m.packets {
			b = appendFrameHeader(b, opText, engineio.PollingSize(p))
			b = engineio.AppendPolling(b, p)
		}
		return b
	})
}

// streamFrames returns the message as packets on a WebTransport stream. What stands before text there is what an
// unmasked WebSocket frame has after its first byte, so the usual message is not encoded again.
func (m *Message) streamFrames() []byte {
	if len(m.packets) == 1 && !m.packets[0].Binary {
		return m.frames[1:]
	}
	return m.stream.get(func() []byte {
		b := make([]byte, 0, len(m.frames)+len(m.packets))
		for _, p := range m.packets {
			b = engineio.AppendStream(b, p)
		}
		return b
	})
}

// deflatedFrames returns the message as WebSocket frames of which those with a payload of at least from bytes are
// compressed, if that makes them smaller (RFC 7692 section 7.2.1). Nothing but the message itself is referred
// to, so that all who negotiated the extension share one form. It is the same for every from after the first.
func (m *Message) deflatedFrames(from int) []byte {
	if m.plain || !slices.ContainsFunc(m.packets, func(p engineio.Packet) bool { return len(p.Data)+1 >= from }) {
		return m.frames
	}
	return m.deflated.get(func() []byte { return deflateFrames(m.packets, from) })
}

// WebSocket framing, RFC 6455 section 5.2. Servers do not mask, and every packet is one frame.
const (
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	finBit         = 0x80
	rsv1Bit        = 0x40 // the payload is compressed, RFC 7692 section 6
	maxFrameHeader = 10
)

func appendFrameHeader(dst []byte, opcode byte, length int) []byte {
	dst = append(dst, finBit|opcode)
	switch {
	case length < 126:
		return append(dst, byte(length))
	case length < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, 126), uint16(length))
	default:
		return binary.BigEndian.AppendUint64(append(dst, 127), uint64(length))
	}
}

// closeFrame returns a close frame. Code 0 stands for none, RFC 6455 section 7.1.5.
func closeFrame(code uint16) []byte {
	if code == 0 {
		return appendFrameHeader(nil, opClose, 0)
	}
	return binary.BigEndian.AppendUint16(appendFrameHeader(nil, opClose, 2), code)
}

// The close frames that connections end with. The stock server closes without a code.
var (
	closePlain      = closeFrame(0)
	closeGoingAway  = closeFrame(1001)
	closeBadData    = closeFrame(1007) // not UTF-8, or not what was compressed
	closeNoMoreThan = closeFrame(1009)
)

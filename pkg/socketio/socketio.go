// Package socketio encodes and decodes the packets of the Socket.IO protocol,
// version 5, as its default parser spells them: a type digit, an optional
// attachment count, an optional namespace, an optional acknowledgement id and
// a JSON payload, followed by one binary frame per attachment.
//
// It preserves bytes. A payload is checked to be valid JSON of the right shape
// and handed out as a sub-slice of the input; nothing is ever decoded and
// encoded again, because that would sort keys, escape characters and replace
// lone surrogates. What is added to an event is spliced in front of its final
// bracket.
//
// It also speaks the other public parser, msgpack: MsgpackDecoder and the functions AppendMsgpack… turn its
// frames into the same packets, with JSON text and attachments, and back.
//
// It does not know who is connected, which namespaces exist, how packets travel
// (Engine.IO, HTTP, WebSocket) or what a back end does with them.
//
// The protocol: https://socket.io/docs/v4/socket-io-protocol/
package socketio

import (
	"errors"
	"fmt"
)

// Type is the kind of a packet, as the digit it has on the wire.
type Type byte

// The packet types ("Packet types" in the protocol).
const (
	Connect      Type = '0'
	Disconnect   Type = '1'
	Event        Type = '2'
	Ack          Type = '3'
	ConnectError Type = '4'
	BinaryEvent  Type = '5'
	BinaryAck    Type = '6'
)

// String returns the protocol's name of the type.
func (t Type) String() string {
	switch t {
	case Connect:
		return "CONNECT"
	case Disconnect:
		return "DISCONNECT"
	case Event:
		return "EVENT"
	case Ack:
		return "ACK"
	case ConnectError:
		return "CONNECT_ERROR"
	case BinaryEvent:
		return "BINARY_EVENT"
	case BinaryAck:
		return "BINARY_ACK"
	}
	return fmt.Sprintf("Type(%q)", byte(t))
}

// binary reports whether packets of the type announce attachments.
func (t Type) binary() bool { return t == BinaryEvent || t == BinaryAck }

const (
	// MainNamespace is the namespace of a packet that names none.
	MainNamespace = "/"

	// MaxID is the greatest acknowledgement id: peers keep ids as JavaScript
	// numbers, which are exact up to 2^53-1.
	MaxID = 1<<53 - 1

	// DefaultMaxAttachments is how many attachments a packet may have by
	// default; stock clients refuse more from a server.
	DefaultMaxAttachments = 10

	// DefaultMaxAttachmentBytes bounds the sum of a packet's attachments by
	// default.
	DefaultMaxAttachmentBytes = 10_000_000

	// MaxElements bounds the elements of an event or acknowledgement array.
	// Clients spread the array over a function call, which fails in JavaScript
	// engines for very long ones, so such an array would harm its receivers.
	MaxElements = 1024

	// MaxDepth bounds the nesting of a payload.
	MaxDepth = 1000

	// maxAttachments is what the bookkeeping of placeholders can hold.
	maxAttachments = 64
)

// What can be wrong with a packet. After any of these errors from a Decoder
// the connection must be closed ("Packet encoding" in the protocol).
var (
	// ErrPacket says that the head of a packet is malformed: unknown type,
	// illegal namespace, acknowledgement id over MaxID, or a type that only
	// servers send.
	ErrPacket = errors.New("socketio: malformed packet")

	// ErrPayload says that the payload is not valid JSON, or not of the shape
	// that the packet's type asks for.
	ErrPayload = errors.New("socketio: invalid payload")

	// ErrReserved says that an event has a name that Socket.IO keeps for itself.
	ErrReserved = errors.New("socketio: reserved event name")

	// ErrAttachments says that the attachment count is malformed or does not
	// agree with the placeholders in the payload.
	ErrAttachments = errors.New("socketio: illegal attachments")

	// ErrTooLarge says that a packet has more attachments, more bytes of
	// attachments, more elements or a deeper nesting than is allowed.
	ErrTooLarge = errors.New("socketio: packet too large")

	// ErrSequence says that a text frame came where an attachment was due, or a
	// binary frame where none was.
	ErrSequence = errors.New("socketio: frame out of sequence")

	// ErrNoEvent says that a packet carries no event array. An EVENT packet
	// without payload is legal on the wire; there is nothing to dispatch.
	ErrNoEvent = errors.New("socketio: packet carries no event")
)

// Packet is one packet. Data and Attachments are sub-slices of the frames that
// it was decoded from: they must not be changed, and live as long as it does.
type Packet struct {
	Type      Type
	Namespace string // with its leading slash; "/" if the packet names none
	ID        uint64 // acknowledgement id, 0…MaxID; meaningful if HasID
	HasID     bool
	Data      []byte // the payload's JSON text, nil if there is none
	// Attachments are those of a BinaryEvent or BinaryAck: the placeholder
	// {"_placeholder":true,"num":i} in Data stands for Attachments[i].
	Attachments [][]byte
}

// IsEvent reports whether the packet is an EVENT or a BINARY_EVENT.
func (p *Packet) IsEvent() bool { return p.Type == Event || p.Type == BinaryEvent }

// IsAck reports whether the packet is an ACK or a BINARY_ACK.
func (p *Packet) IsAck() bool { return p.Type == Ack || p.Type == BinaryAck }

// EventName returns the name of the packet's event; see the function EventName.
// It returns ErrNoEvent for an EVENT packet without payload, which is legal and
// to be ignored, and for packets that are not events.
func (p *Packet) EventName() (string, error) {
	if !p.IsEvent() || p.Data == nil {
		return "", ErrNoEvent
	}
	return EventName(p.Data)
}

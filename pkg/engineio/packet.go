// Package engineio encodes and decodes the Engine.IO protocol, version 4: packets, HTTP
// long-polling payloads, the open handshake and the error table. Functions whose names end in V3 do so for
// its revision 3, which older clients speak.
//
// It is a codec and nothing else: it knows neither HTTP nor WebSocket connections, keeps no
// state, and decides nothing about what a packet means. Every function is safe for concurrent
// use, runs in time linear in its input, and copies nothing unless it says so.
//
// The protocol is described at
// https://socket.io/docs/v4/engine-io-protocol/ (sections "Packet encoding" and "Handshake").
package engineio

import (
	"encoding/base64"
	"errors"
	"fmt"
)

// Version is the protocol's current version: the value of the EIO query parameter.
const Version = "4"

// Type is the type of a packet. Its wire form is one ASCII digit, see [Type.Byte].
type Type byte

// The packet types, with their wire values.
const (
	Open    Type = iota // 0: handshake, from the server
	Close               // 1: the transport can be closed
	Ping                // 2: heartbeat, from the server; "2probe" from a client that upgrades
	Pong                // 3: answer to a ping
	Message             // 4: payload of the layer above
	Upgrade             // 5: the client finished the upgrade
	Noop                // 6: ends a pending poll during an upgrade
)

var typeNames = [...]string{"open", "close", "ping", "pong", "message", "upgrade", "noop"}

// String returns the protocol's name of the type, such as "message".
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return fmt.Sprintf("unknown(%d)", byte(t))
}

// Byte returns the first byte of an encoded text packet of this type.
func (t Type) Byte() byte { return '0' + byte(t) }

// binaryPrefix starts a binary message in a polling payload; base64 text follows.
const binaryPrefix = 'b'

var (
	// ErrEmptyPacket reports a packet without a type.
	ErrEmptyPacket = errors.New("engineio: empty packet")
	// ErrUnknownType reports a packet whose first byte is no packet type.
	ErrUnknownType = errors.New("engineio: unknown packet type")
	// ErrBase64 reports a binary packet in a payload that is not base64.
	ErrBase64 = errors.New("engineio: invalid base64")
)

// Packet is one Engine.IO packet. Data excludes the type; Binary packets are always of type
// [Message].
type Packet struct {
	Type   Type
	Binary bool
	Data   []byte
}

// Decode decodes one packet as it stands in a WebSocket text frame, or in a payload without
// binary. The packet's data is a part of text. It fails with [ErrEmptyPacket] or [ErrUnknownType].
// A binary WebSocket frame needs no decoding: all of it is the data of a message.
func Decode(text []byte) (Packet, error) {
	if len(text) == 0 {
		return Packet{}, ErrEmptyPacket
	}
	t := Type(text[0] - '0')
	if text[0] < '0' || t > Noop {
		return Packet{}, fmt.Errorf("%w: first byte %q", ErrUnknownType, text[0])
	}
	return Packet{Type: t, Data: text[1:]}, nil
}

// Append appends the packet as it stands in a WebSocket frame: text packets with their type,
// binary ones as they are (the frame's opcode tells them apart).
func Append(dst []byte, p Packet) []byte {
	if !p.Binary {
		dst = append(dst, p.Type.Byte())
	}
	return append(dst, p.Data...)
}

// AppendPolling appends the packet as it stands in a polling payload: binary ones as "b" and
// base64.
func AppendPolling(dst []byte, p Packet) []byte {
	if !p.Binary {
		return Append(dst, p)
	}
	return base64.StdEncoding.AppendEncode(append(dst, binaryPrefix), p.Data)
}

// PollingSize returns how many bytes [AppendPolling] appends.
func PollingSize(p Packet) int {
	if !p.Binary {
		return 1 + len(p.Data)
	}
	return 1 + base64.StdEncoding.EncodedLen(len(p.Data))
}

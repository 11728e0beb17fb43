package engineio

import (
	"encoding/base64"
	"fmt"
)

// Version3 is the EIO query parameter of the protocol's revision 3, which Socket.IO 1 and 2 use. The packet
// types are those of revision 4; how packets are put into frames and payloads differs.
//
// The protocol: https://github.com/socketio/engine.io-protocol/tree/v3
const Version3 = "3"

// DecodeV3 decodes one packet of revision 3 as it stands in a WebSocket frame. A text frame holds a type and
// text, or "b", a type and base64; a binary frame holds the type's number and bytes. Binary packets are
// messages. The packet's data is a part of frame, unless it was base64. It fails with [ErrEmptyPacket],
// [ErrUnknownType] or [ErrBase64].
func DecodeV3(frame []byte, binary bool) (Packet, error) {
	var scratch []byte
	return decodeV3(frame, binary, &scratch)
}

func decodeV3(data []byte, binary bool, scratch *[]byte) (Packet, error) {
	switch {
	case len(data) == 0:
		return Packet{}, ErrEmptyPacket
	case binary:
		if Type(data[0]) != Message {
			return Packet{}, fmt.Errorf("%w: binary packet of type %d", ErrUnknownType, data[0])
		}
		return Packet{Type: Message, Binary: true, Data: data[1:]}, nil
	case data[0] != binaryPrefix:
		return Decode(data)
	case len(data) == 1 || data[1] != Message.Byte():
		return Packet{}, fmt.Errorf("%w: base64 packet %.2q", ErrUnknownType, data)
	}
	return decodeBase64(data[2:], scratch)
}

// AppendV3 appends the packet as it stands in a WebSocket frame of revision 3: text packets as [Append] does,
// binary ones after their type's number.
func AppendV3(dst []byte, p Packet) []byte {
	if p.Binary {
		dst = append(dst, byte(p.Type))
	}
	return Append(dst, p)
}

// AppendTextV3 appends the packet as it stands in a text frame of revision 3: binary ones as "b", their type and
// base64.
func AppendTextV3(dst []byte, p Packet) []byte {
	if !p.Binary {
		return Append(dst, p)
	}
	return base64.StdEncoding.AppendEncode(append(dst, binaryPrefix, p.Type.Byte()), p.Data)
}

// TextSizeV3 returns how many bytes [AppendTextV3] appends.
func TextSizeV3(p Packet) int {
	if !p.Binary {
		return 1 + len(p.Data)
	}
	return 2 + base64.StdEncoding.EncodedLen(len(p.Data))
}

package socketio

import (
	"bytes"
	"strconv"
	"unicode/utf8"
)

// Head is what stands in front of the payload of an event or acknowledgement.
type Head struct {
	Namespace   string // "" and "/" are the main namespace
	ID          uint64 // acknowledgement id, at most MaxID; meaningful if HasID
	HasID       bool
	Attachments int // how many binary frames follow; 0 for a text packet
}

// append appends the head of a packet of either type, depending on whether there
// are attachments.
func (h Head) append(dst []byte, text, binary Type) []byte {
	if h.Attachments > 0 {
		dst = append(dst, byte(binary))
		dst = strconv.AppendInt(dst, int64(h.Attachments), 10)
		dst = append(dst, '-')
	} else {
		dst = append(dst, byte(text))
	}
	dst = appendNamespace(dst, h.Namespace)
	if h.HasID {
		dst = strconv.AppendUint(dst, h.ID, 10)
	}
	return dst
}

// AppendEvent appends an EVENT packet, or the text part of a BINARY_EVENT if the
// head announces attachments. array is the event array, checked by Valid; the
// extra elements, each valid JSON, follow its own.
func AppendEvent(dst []byte, h Head, array []byte, extra ...[]byte) []byte {
	return appendSpliced(h.append(dst, Event, BinaryEvent), array, extra)
}

// AppendAck appends an ACK packet, or the text part of a BINARY_ACK if the head
// announces attachments. args is the array of arguments, checked by ValidArgs;
// the extra elements, each valid JSON, follow its own.
func AppendAck(dst []byte, h Head, args []byte, extra ...[]byte) []byte {
	return appendSpliced(h.append(dst, Ack, BinaryAck), args, extra)
}

// AppendConnect appends a server's answer to a CONNECT: the socket's id and, if
// connection state recovery is on, the private id that it can be recovered by.
func AppendConnect(dst []byte, namespace, sid, pid string) []byte {
	dst = appendNamespace(append(dst, byte(Connect)), namespace)
	dst = AppendString(append(dst, `{"sid":`...), sid)
	if pid != "" {
		dst = AppendString(append(dst, `,"pid":`...), pid)
	}
	return append(dst, '}')
}

// AppendConnectError appends a server's refusal of a CONNECT. data is any valid
// JSON, or nil. A client that receives it does not try again by itself.
func AppendConnectError(dst []byte, namespace, message string, data []byte) []byte {
	dst = appendNamespace(append(dst, byte(ConnectError)), namespace)
	dst = AppendString(append(dst, `{"message":`...), message)
	if data != nil {
		dst = append(append(dst, `,"data":`...), data...)
	}
	return append(dst, '}')
}

// AppendDisconnect appends a DISCONNECT packet. A client that receives it does
// not reconnect by itself.
func AppendDisconnect(dst []byte, namespace string) []byte {
	return appendNamespace(append(dst, byte(Disconnect)), namespace)
}

// Append appends the text part of the packet, as it would be sent; a binary
// packet's Attachments follow it, each as a frame of its own.
func (p *Packet) Append(dst []byte) []byte {
	dst = append(dst, byte(p.Type))
	if p.Type.binary() {
		dst = strconv.AppendInt(dst, int64(len(p.Attachments)), 10)
		dst = append(dst, '-')
	}
	dst = appendNamespace(dst, p.Namespace)
	if p.HasID {
		dst = strconv.AppendUint(dst, p.ID, 10)
	}
	return append(dst, p.Data...)
}

func appendNamespace(dst []byte, name string) []byte {
	if name == "" || name == MainNamespace {
		return dst
	}
	return append(append(dst, name...), ',')
}

// validNamespace reports whether a namespace can be written into a packet: the
// separator of polling payloads is a control character, and text frames must be
// UTF-8.
func validNamespace(name []byte) bool {
	for _, c := range name {
		if c < 0x20 || c == 0x7f {
			return false
		}
	}
	return utf8.Valid(name)
}

// appendSpliced appends array with extra elements in front of its final bracket.
// White space around the array goes: peers take it for the digit 0 of an id.
func appendSpliced(dst, array []byte, extra [][]byte) []byte {
	array = bytes.Trim(array, " \t\r\n")
	if len(extra) == 0 || len(array) < len("[]") {
		return append(dst, array...)
	}
	inner := bytes.TrimRight(array[:len(array)-1], " \t\r\n")
	dst = append(dst, inner...)
	separate := len(inner) > len("[")
	for _, element := range extra {
		if separate {
			dst = append(dst, ',')
		}
		dst = append(dst, element...)
		separate = true
	}
	return append(dst, ']')
}

// AppendString appends s as a JSON string. Bytes that are not valid UTF-8 become
// U+FFFD.
func AppendString(dst []byte, s string) []byte { return appendJSONString(dst, s) }

func appendJSONString[T string | []byte](dst []byte, s T) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			switch {
			case plain[c]:
				dst = append(dst, c)
			case c == '"' || c == '\\':
				dst = append(dst, '\\', c)
			default: // a control character
				dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))]))
		dst = utf8.AppendRune(dst, r)
		i += size
	}
	return append(dst, '"')
}

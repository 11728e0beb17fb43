package socketio

import (
	"bytes"
	"fmt"
	"math"

	"github.com/tinylib/msgp/msgp"
)

// MsgpackDecoder turns the binary messages of one connection into packets, as the msgpack parser spells them. The
// zero value reads what clients send, with the default limits. It is not safe for concurrent use.
//
// It gives what Decoder gives for the same packet, so that nobody behind it knows the parser: the payload is JSON
// text, as JSON.stringify writes it, and binary data is a placeholder and an attachment.
//
//   - A float that JSON cannot say is null. A float 32 is written with the digits of the float 64 that it equals.
//   - Keys stay in their order. Those that are numbers, booleans or nil become strings; other kinds are an error.
//   - Bytes in a string that are not UTF-8 become U+FFFD.
//   - bin, and ext of type 0 with a length of its own (an ArrayBuffer), is binary data. fixext 1 of type 0 is
//     undefined: null in arrays, no member in maps. fixext 8 of type 0 is a Date. Other ext are an array of the type
//     and the bytes, as the stock parser reads them.
//   - A map that looks like a placeholder is a map like any other in a packet without binary data. In one with
//     binary data it is an error, since receivers could not tell it from an attachment.
//
// Unlike the stock parser it refuses what Decoder refuses: event arrays without a name, reserved names, ids that
// are negative or over MaxID, binary data in a CONNECT, and what is over the limits.
type MsgpackDecoder struct {
	// MaxAttachments bounds the binary data in a packet, 1…64; 0 means DefaultMaxAttachments.
	MaxAttachments int

	// FromServer lets CONNECT_ERROR pass, which only servers send. It is for clients.
	FromServer bool

	namespace string // of the last packet, to be shared by the next
}

// Decode decodes a binary message. Of what it returns, the attachments alone are sub-slices of the message. What
// it allocates is bounded by the message's size, of which the JSON text takes six times at most, but for 30 bytes
// for each attachment.
//
// The errors are ErrPacket, ErrPayload, ErrReserved, ErrAttachments and ErrTooLarge; after any of them the
// connection is to be closed.
func (d *MsgpackDecoder) Decode(message []byte) (*Packet, error) {
	limit := d.MaxAttachments
	if limit == 0 {
		limit = DefaultMaxAttachments
	}
	r := msgpackReader{rest: message, size: len(message), limit: min(limit, maxAttachments)}
	head, err := r.head()
	if err != nil {
		return nil, err
	}
	if head.kind < 0 || head.kind > int64(ConnectError-Connect) {
		return nil, fmt.Errorf("%w: a type from 0 to 4 is needed", ErrPacket)
	}
	if head.namespace == nil {
		return nil, fmt.Errorf("%w: a string nsp is needed", ErrPacket)
	}
	if !validNamespace(head.namespace) {
		shown, _, _ := bytes.Cut(head.namespace, []byte{'?'}) // behind it, some clients have secrets
		return nil, fmt.Errorf("%w: namespace %.40q has control characters or is not valid UTF-8", ErrPacket, shown)
	}
	p := &Packet{Type: Connect + Type(head.kind), Namespace: MainNamespace, Data: head.data, Attachments: head.attachments}
	if string(head.namespace) != MainNamespace {
		if string(head.namespace) != d.namespace {
			d.namespace = string(head.namespace)
		}
		p.Namespace = d.namespace
	}
	if p.HasID = head.id >= 0; p.HasID {
		p.ID = uint64(head.id)
	}
	if err := d.check(p); err != nil {
		return nil, err
	}
	return p, nil
}

// check holds a packet's payload against its type.
func (d *MsgpackDecoder) check(p *Packet) error {
	binary := len(p.Attachments) > 0
	switch p.Type {
	case Event:
		if binary {
			p.Type = BinaryEvent
		}
		return Valid(p.Data, len(p.Attachments))
	case Ack:
		if binary {
			p.Type = BinaryAck
		}
		return ValidArgs(p.Data, len(p.Attachments))
	}
	switch {
	case binary:
		return fmt.Errorf("%w: binary data in a %s", ErrAttachments, p.Type)
	case p.Type == Disconnect && p.Data != nil:
		return fmt.Errorf("%w: DISCONNECT has none", ErrPayload)
	case p.Type == ConnectError && !d.FromServer:
		return fmt.Errorf("%w: only servers send CONNECT_ERROR", ErrPacket)
	case p.Type == ConnectError || p.Type == Connect && p.Data != nil:
		return checkObject(p.Data)
	}
	return nil
}

// msgpackHead is a packet's map.
type msgpackHead struct {
	kind        int64  // -1: none
	namespace   []byte // nil: none
	id          int64  // -1: none
	data        []byte // JSON; nil: none
	attachments [][]byte
}

// head reads a packet's map, and nothing after it. Of a key that comes twice the last counts; unknown ones,
// such as the options that stock clients send along, are left out.
func (r *msgpackReader) head() (msgpackHead, error) {
	h := msgpackHead{kind: -1, id: -1}
	if msgp.NextType(r.rest) != msgp.MapType {
		return h, fmt.Errorf("%w: not a msgpack map", ErrPacket)
	}
	n, err := r.mapHeader()
	if err != nil {
		return h, err
	}
	var scratch, text []byte // used again, so that a key which comes many times costs no more
	for range n {
		if scratch, err = r.key(scratch[:0]); err != nil {
			return h, err
		}
		absent := r.undefined()
		switch string(scratch) {
		case `"type"`:
			if h.kind = -1; !absent {
				h.kind, err = r.integer("type")
			}
		case `"id"`:
			if h.id = -1; absent {
				break
			}
			if h.id, err = r.integer("id"); err == nil && (h.id < 0 || h.id > MaxID) {
				err = fmt.Errorf("%w: the acknowledgement id is not from 0 to 2^53-1", ErrPacket)
			}
		case `"nsp"`:
			if h.namespace = nil; absent {
				break
			}
			if msgp.NextType(r.rest) != msgp.StrType {
				return h, fmt.Errorf("%w: nsp is not a string", ErrPacket)
			}
			h.namespace, err = r.string()
		case `"data"`:
			if h.data, h.attachments = nil, nil; absent {
				break
			}
			if text == nil {
				text = make([]byte, 0, len(r.rest)+len(r.rest)/4)
			}
			text, err = r.value(text[:0])
			h.data, h.attachments, r.attachments = text, r.attachments, nil
		default:
			if !absent {
				scratch, err = r.value(scratch[:0])
				r.attachments = nil
			}
		}
		if err != nil {
			return h, err
		}
	}
	if len(r.rest) > 0 {
		return h, fmt.Errorf("%w: %d bytes after the packet", ErrPacket, len(r.rest))
	}
	return h, nil
}

// integer reads a whole number, in whatever form it is written.
func (r *msgpackReader) integer(what string) (int64, error) {
	var f float64
	var err error
	switch msgp.NextType(r.rest) {
	case msgp.IntType, msgp.UintType:
		var i int64
		if i, r.rest, err = msgp.ReadInt64Bytes(r.rest); err == nil {
			return i, nil
		}
	case msgp.Float32Type, msgp.Float64Type:
		if f, r.rest, err = msgp.ReadFloat64Bytes(r.rest); err == nil && f == math.Trunc(f) && math.Abs(f) <= MaxID {
			return int64(f), nil
		}
	}
	return 0, fmt.Errorf("%w: %s is not a whole number, or too large", ErrPacket, what)
}

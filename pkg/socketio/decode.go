package socketio

import (
	"bytes"
	"fmt"
)

// Decoder turns the messages of one connection into packets, and puts binary
// packets together. The zero value reads what clients send, with the default
// limits. It is not safe for concurrent use.
//
// Packets keep sub-slices of the data they are decoded from: the caller gives
// that data away. After an error the connection is to be closed.
type Decoder struct {
	// MaxAttachments bounds the attachments of a packet, 1…64;
	// 0 means DefaultMaxAttachments.
	MaxAttachments int

	// MaxAttachmentBytes bounds the sum of a packet's attachments;
	// 0 means DefaultMaxAttachmentBytes.
	MaxAttachmentBytes int

	// FromServer lets CONNECT_ERROR pass, which only servers send. It is for
	// clients.
	FromServer bool

	pending *Packet // a binary packet that waits for attachments
	want    int     // how many it has in all
	bytes   int     // what has come of them

	namespace string // of the last packet, to be shared by the next
}

// Pending returns the binary packet that waits for more attachments, nil if none
// does. Its head and payload are complete and checked, so that it can be refused
// before its attachments have arrived.
func (d *Decoder) Pending() *Packet { return d.pending }

// Text decodes a text message. It returns nil and no error if the packet is
// binary and waits for its attachments.
//
// The errors are ErrPacket, ErrPayload, ErrReserved, ErrAttachments, ErrTooLarge
// and, while a packet waits for attachments, ErrSequence.
func (d *Decoder) Text(data []byte) (*Packet, error) {
	if d.pending != nil {
		d.drop()
		return nil, fmt.Errorf("%w: text where an attachment was due", ErrSequence)
	}
	if len(data) == 0 || data[0] < byte(Connect) || data[0] > byte(BinaryAck) {
		return nil, fmt.Errorf("%w: %.20q… has no packet type", ErrPacket, data)
	}
	p := &Packet{Type: Type(data[0]), Namespace: MainNamespace}
	rest := data[1:]
	var (
		count int
		err   error
	)
	if p.Type.binary() {
		if count, rest, err = d.count(rest); err != nil {
			return nil, err
		}
	}
	if len(rest) > 0 && rest[0] == '/' {
		if rest, err = d.takeNamespace(p, rest); err != nil {
			return nil, err
		}
	}
	if rest, err = takeID(p, rest); err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		p.Data = rest[:len(rest):len(rest)]
	}
	if err := d.check(p, count); err != nil {
		return nil, err
	}
	if count == 0 {
		return p, nil
	}
	d.pending, d.want, d.bytes = p, count, 0
	return nil, nil
}

// Binary takes a binary message, the next attachment. It returns the packet that
// it completes, or nil and no error if there are more to come. The errors are
// ErrSequence, if none was due, and ErrTooLarge.
func (d *Decoder) Binary(data []byte) (*Packet, error) {
	p := d.pending
	if p == nil {
		return nil, fmt.Errorf("%w: an attachment without a packet", ErrSequence)
	}
	limit := d.MaxAttachmentBytes
	if limit == 0 {
		limit = DefaultMaxAttachmentBytes
	}
	if len(data) > limit-d.bytes {
		d.drop()
		return nil, fmt.Errorf("%w: more than %d bytes of attachments", ErrTooLarge, limit)
	}
	d.bytes += len(data)
	if p.Attachments == nil {
		p.Attachments = make([][]byte, 0, d.want)
	}
	p.Attachments = append(p.Attachments, data)
	if len(p.Attachments) < d.want {
		return nil, nil
	}
	d.drop()
	return p, nil
}

// drop forgets the packet that waits for attachments.
func (d *Decoder) drop() { d.pending, d.want, d.bytes = nil, 0, 0 }

// count reads the attachment count "N-" of a binary packet. There must be one:
// with none the packet would never be complete, and later frames would pile up
// in it.
func (d *Decoder) count(data []byte) (int, []byte, error) {
	limit := d.MaxAttachments
	if limit == 0 {
		limit = DefaultMaxAttachments
	}
	limit = min(limit, maxAttachments)
	n, i := 0, 0
	for ; i < len(data) && isDigit(data[i]); i++ {
		n = n*10 + int(data[i]-'0')
		if n > limit {
			return 0, nil, fmt.Errorf("%w: more than %d attachments", ErrTooLarge, limit)
		}
		if n == 0 {
			return 0, nil, fmt.Errorf("%w: the attachment count must be 1…%d", ErrAttachments, limit)
		}
	}
	if n == 0 || i == len(data) || data[i] != '-' {
		return 0, nil, fmt.Errorf("%w: a binary packet starts with its attachment count and a hyphen", ErrAttachments)
	}
	return n, data[i+1:], nil
}

// takeNamespace reads "/name," where the comma may be missing at the end.
func (d *Decoder) takeNamespace(p *Packet, data []byte) ([]byte, error) {
	name, rest, _ := bytes.Cut(data, []byte{','})
	if !validNamespace(name) {
		shown, _, _ := bytes.Cut(name, []byte{'?'}) // behind it, clients of version 4 have secrets
		return nil, fmt.Errorf("%w: namespace %.40q has control characters or is not valid UTF-8", ErrPacket, shown)
	}
	if string(name) != MainNamespace {
		if string(name) != d.namespace {
			d.namespace = string(name)
		}
		p.Namespace = d.namespace
	}
	return rest, nil
}

// takeID reads the digits of an acknowledgement id, if there are any.
func takeID(p *Packet, data []byte) ([]byte, error) {
	i := 0
	for ; i < len(data) && isDigit(data[i]); i++ {
		p.ID = p.ID*10 + uint64(data[i]-'0')
		if p.ID > MaxID {
			return nil, fmt.Errorf("%w: acknowledgement id greater than 2^53-1", ErrPacket)
		}
	}
	p.HasID = i > 0
	return data[i:], nil
}

// check holds a packet's payload against its type. White space in front of a
// payload is refused: peers take it for the digit 0 of an id.
func (d *Decoder) check(p *Packet, attachments int) error {
	if p.Data != nil && isSpace(p.Data[0]) {
		return fmt.Errorf("%w: white space in front of it", ErrPayload)
	}
	switch p.Type {
	case Connect:
		if p.Data == nil {
			return nil
		}
		return checkObject(p.Data)
	case Disconnect:
		if p.Data != nil {
			return fmt.Errorf("%w: DISCONNECT has none", ErrPayload)
		}
		return nil
	case ConnectError:
		if !d.FromServer {
			return fmt.Errorf("%w: only servers send CONNECT_ERROR", ErrPacket)
		}
		return checkObject(p.Data)
	case Event, BinaryEvent:
		if p.Data == nil && attachments == 0 {
			return nil // nothing to dispatch, but legal
		}
		return Valid(p.Data, attachments)
	default: // Ack, BinaryAck
		if p.Data == nil && attachments == 0 {
			return nil
		}
		return ValidArgs(p.Data, attachments)
	}
}

func checkObject(data []byte) error {
	if len(data) == 0 || data[0] != '{' {
		return fmt.Errorf("%w: %.20q… is not a JSON object", ErrPayload, data)
	}
	s := scanner{data: data}
	return s.document()
}

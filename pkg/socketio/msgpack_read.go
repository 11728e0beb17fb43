package socketio

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/tinylib/msgp/msgp"
)

// msgpackReader writes msgpack as JSON. What stands for nothing allocates nothing: an array's length is believed
// only as far as there are bytes for its elements.
type msgpackReader struct {
	rest  []byte // what is still to be read
	size  int    // of the whole message
	depth int

	attachments [][]byte
	limit       int // of them
}

// fail says where the message is malformed.
func (r *msgpackReader) fail(err error) error {
	return fmt.Errorf("%w: not valid msgpack at byte %d of %d: %v", ErrPayload, r.size-len(r.rest), r.size, err)
}

// value appends the next value.
func (r *msgpackReader) value(dst []byte) ([]byte, error) {
	switch msgp.NextType(r.rest) {
	case msgp.MapType:
		return r.object(dst)
	case msgp.ArrayType:
		return r.array(dst)
	case msgp.BinType:
		data, rest, err := msgp.ReadBytesZC(r.rest)
		if err != nil {
			return nil, r.fail(err)
		}
		r.rest = rest
		return r.attach(dst, data)
	case msgp.StrType, msgp.IntType, msgp.UintType, msgp.Float32Type, msgp.Float64Type, msgp.BoolType, msgp.NilType:
		return r.scalar(dst)
	case msgp.InvalidType:
		if len(r.rest) == 0 {
			return nil, r.fail(msgp.ErrShortBytes)
		}
		return nil, r.fail(msgp.InvalidPrefixError(r.rest[0]))
	}
	return r.extension(dst)
}

// scalar appends a string, number, boolean or nil.
func (r *msgpackReader) scalar(dst []byte) ([]byte, error) {
	var err error
	switch t := msgp.NextType(r.rest); t {
	case msgp.StrType:
		var text []byte
		if text, err = r.string(); err == nil {
			dst = appendJSONString(dst, text)
		}
		return dst, err
	case msgp.IntType:
		var i int64
		i, r.rest, err = msgp.ReadInt64Bytes(r.rest)
		dst = strconv.AppendInt(dst, i, 10)
	case msgp.UintType:
		var u uint64
		u, r.rest, err = msgp.ReadUint64Bytes(r.rest)
		dst = strconv.AppendUint(dst, u, 10)
	case msgp.Float32Type, msgp.Float64Type:
		var f float64
		f, r.rest, err = msgp.ReadFloat64Bytes(r.rest)
		dst = appendFloat(dst, f)
	case msgp.BoolType:
		var b bool
		b, r.rest, err = msgp.ReadBoolBytes(r.rest)
		dst = strconv.AppendBool(dst, b)
	case msgp.NilType:
		r.rest, err = msgp.ReadNilBytes(r.rest)
		dst = append(dst, "null"...)
	default:
		return nil, fmt.Errorf("%w: a key of a map is of the kind %s", ErrPayload, t)
	}
	if err != nil {
		return nil, r.fail(err)
	}
	return dst, nil
}

func (r *msgpackReader) string() ([]byte, error) {
	text, rest, err := msgp.ReadStringZC(r.rest)
	if err != nil {
		return nil, r.fail(err)
	}
	r.rest = rest
	return text[:len(text):len(text)], nil
}

// key appends a map's key as a JSON string.
func (r *msgpackReader) key(dst []byte) ([]byte, error) {
	if msgp.NextType(r.rest) == msgp.StrType {
		return r.scalar(dst)
	}
	dst, err := r.scalar(append(dst, '"'))
	return append(dst, '"'), err
}

// enter goes into an array or a map, unless it is nested too deeply.
func (r *msgpackReader) enter() error {
	r.depth++
	if r.depth > MaxDepth {
		return fmt.Errorf("%w: nested deeper than %d at byte %d", ErrTooLarge, MaxDepth, r.size-len(r.rest))
	}
	return nil
}

func (r *msgpackReader) array(dst []byte) ([]byte, error) {
	if err := r.enter(); err != nil {
		return nil, err
	}
	n, rest, err := msgp.ReadArrayHeaderBytes(r.rest)
	if err == nil && int64(n) > int64(len(rest)) {
		err = msgp.ErrShortBytes
	}
	if err != nil {
		return nil, r.fail(err)
	}
	r.rest = rest
	dst = append(dst, '[')
	for i := range n {
		if i > 0 {
			dst = append(dst, ',')
		}
		if r.undefined() {
			dst = append(dst, "null"...)
		} else if dst, err = r.value(dst); err != nil {
			return nil, err
		}
	}
	r.depth--
	return append(dst, ']'), nil
}

func (r *msgpackReader) mapHeader() (uint32, error) {
	n, rest, err := msgp.ReadMapHeaderBytes(r.rest)
	if err == nil && 2*int64(n) > int64(len(rest)) {
		err = msgp.ErrShortBytes
	}
	if err != nil {
		return 0, r.fail(err)
	}
	r.rest = rest
	return n, nil
}

func (r *msgpackReader) object(dst []byte) ([]byte, error) {
	if err := r.enter(); err != nil {
		return nil, err
	}
	n, err := r.mapHeader()
	if err != nil {
		return nil, err
	}
	dst = append(dst, '{')
	first := len(dst)
	for range n {
		before := len(dst)
		if before > first {
			dst = append(dst, ',')
		}
		if dst, err = r.key(dst); err != nil {
			return nil, err
		}
		if r.undefined() {
			dst = dst[:before]
		} else if dst, err = r.value(append(dst, ':')); err != nil {
			return nil, err
		}
	}
	r.depth--
	return append(dst, '}'), nil
}

// attach appends a placeholder for binary data.
func (r *msgpackReader) attach(dst, data []byte) ([]byte, error) {
	if len(r.attachments) >= r.limit {
		return nil, fmt.Errorf("%w: more than %d attachments", ErrTooLarge, r.limit)
	}
	dst = append(dst, `{"_placeholder":true,"num":`...)
	dst = strconv.AppendInt(dst, int64(len(r.attachments)), 10)
	r.attachments = append(r.attachments, data[:len(data):len(data)])
	return append(dst, '}'), nil
}

// The forms of extensions, by their first byte.
const (
	ext8     = 0xc7
	ext32    = 0xc9
	fixext1  = 0xd4
	fixext8  = 0xd7
	fixext16 = 0xd8
)

// undefined skips a value that JavaScript calls undefined: fixext 1 of type 0.
func (r *msgpackReader) undefined() bool {
	if len(r.rest) < 3 || r.rest[0] != fixext1 || r.rest[1] != 0 {
		return false
	}
	r.rest = r.rest[3:]
	return true
}

// extension appends an extension that is not undefined.
func (r *msgpackReader) extension(dst []byte) ([]byte, error) {
	form := r.rest[0]
	width := 0 // bytes of the length
	length := uint64(1)
	switch {
	case ext8 <= form && form <= ext32:
		width = 1 << (form - ext8)
	case fixext1 <= form && form <= fixext16:
		length <<= form - fixext1
	}
	if len(r.rest) < 1+width+1 {
		return nil, r.fail(msgp.ErrShortBytes)
	}
	switch width {
	case 1:
		length = uint64(r.rest[1])
	case 2:
		length = uint64(binary.BigEndian.Uint16(r.rest[1:]))
	case 4:
		length = uint64(binary.BigEndian.Uint32(r.rest[1:]))
	}
	kind, data := int8(r.rest[1+width]), r.rest[1+width+1:]
	if length > uint64(len(data)) {
		return nil, r.fail(msgp.ErrShortBytes)
	}
	r.rest, data = data[length:], data[:length]
	switch {
	case kind == 0 && width > 0: // an ArrayBuffer
		return r.attach(dst, data)
	case kind == 0 && form == fixext8:
		return appendDate(dst, int64(binary.BigEndian.Uint64(data))), nil
	}
	dst = strconv.AppendInt(append(dst, '['), int64(kind), 10)
	dst, err := r.attach(append(dst, ','), data)
	if err != nil {
		return nil, err
	}
	return append(dst, ']'), nil
}

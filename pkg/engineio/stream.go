package engineio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// On a WebTransport stream every packet stands behind its length, written as in a WebSocket frame: seven bits, or
// 126 and 16 bits, or 127 and 64 bits, in network byte order. The eighth bit of the first byte tells a binary
// message, which is nothing but its data, from text. Stock clients and servers have done so since engine.io 6.5
// (engine.io-parser: createPacketEncoderStream).

const (
	streamBinary = 0x80
	length16     = 126
	length64     = 127
)

// MaxStreamHeader is the size in bytes of the longest header of a packet in a stream.
const MaxStreamHeader = 9

// ErrStreamLength reports a packet in a stream that is longer than one may be.
var ErrStreamLength = errors.New("engineio: packet in a stream is too long")

// AppendStream appends a packet as it stands in a stream. Stock clients take a length of 0 for an error, so a
// binary message without data is written as text, in the form that it has in a polling payload.
func AppendStream(dst []byte, p Packet) []byte {
	switch {
	case !p.Binary:
		return Append(appendStreamHeader(dst, 0, 1+len(p.Data)), p)
	case len(p.Data) == 0:
		return AppendPolling(appendStreamHeader(dst, 0, PollingSize(p)), p)
	default:
		return append(appendStreamHeader(dst, streamBinary, len(p.Data)), p.Data...)
	}
}

func appendStreamHeader(dst []byte, kind byte, length int) []byte {
	switch {
	case length < length16:
		return append(dst, kind|byte(length))
	case length <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, kind|length16), uint16(length))
	default:
		return binary.BigEndian.AppendUint64(append(dst, kind|length64), uint64(length))
	}
}

// ReadStreamHeader reads what stands before a packet in a stream: whether the packet is a binary message, and its
// length in bytes. It reads nothing beyond the header. It fails with [ErrStreamLength] if the length is over limit,
// with io.EOF if the stream ends before a header, and with io.ErrUnexpectedEOF if it ends inside one.
func ReadStreamHeader(r io.Reader, limit int64) (isBinary bool, length int64, err error) {
	var b [8]byte
	if _, err := io.ReadFull(r, b[:1]); err != nil {
		return false, 0, err
	}
	isBinary = b[0]&streamBinary != 0
	n := uint64(b[0] &^ streamBinary)
	size := 0
	switch n {
	case length16:
		size = 2
	case length64:
		size = 8
	}
	if size > 0 {
		b[0] = 0
		if _, err := io.ReadFull(r, b[len(b)-size:]); err != nil {
			return false, 0, midway(err)
		}
		n = binary.BigEndian.Uint64(b[:])
	}
	if n > uint64(max(limit, 0)) {
		return false, 0, fmt.Errorf("%w: %d bytes, at most %d are taken", ErrStreamLength, n, limit)
	}
	return isBinary, int64(n), nil
}

// midway says that a stream ended where it must not.
func midway(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

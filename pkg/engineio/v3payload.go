package engineio

import (
	"errors"
	"fmt"
	"iter"
	"strconv"
	"unicode/utf8"
)

// ErrLength reports a packet in a payload of revision 3 whose length is missing, is not a decimal number, or is
// not that of what follows.
var ErrLength = errors.New("engineio: invalid packet length in payload")

// A payload of revision 3 is text if no packet in it is binary, or if the peer cannot take binary payloads:
//
//	6:4hello10:b4AQIDBA==
//
// Lengths count UTF-16 code units, as JavaScript does. Otherwise it is binary: for each packet a byte that says
// whether it is text (0) or binary (1), the digits of its length in bytes as the numbers 0 to 9, a byte 255, and
// the packet.
const (
	lengthEnd       = ':'
	binaryLengthEnd = 0xff
	textMark        = 0
	binaryMark      = 1
	// maxLengthDigits is more than any length of a payload that fits into memory has.
	maxLengthDigits = 15
)

// PacketsV3 iterates over the packets of a polling payload of revision 3, which is text or binary. Text must be
// valid UTF-8, which is for the caller to check. It is otherwise like [Packets]: it stops after the first error,
// which is one of [DecodeV3]'s, [ErrLength] or, after limit packets, [ErrTooManyPackets]; a packet's data
// is valid until the next iteration.
func PacketsV3(payload []byte, binary bool, limit int) iter.Seq2[Packet, error] {
	cut := cutText
	if binary {
		cut = cutBinary
	}
	return func(yield func(Packet, error) bool) {
		if len(payload) == 0 {
			yield(Packet{}, ErrEmptyPacket)
			return
		}
		var scratch []byte
		rest := payload
		for n := 0; len(rest) > 0; n++ {
			if n == limit {
				yield(Packet{}, fmt.Errorf("%w: more than %d", ErrTooManyPackets, limit))
				return
			}
			part, isBinary, after, err := cut(rest)
			var p Packet
			if err == nil {
				if rest = after; len(part) == 0 { // what clients make of no packets at all
					continue
				}
				p, err = decodeV3(part, isBinary, &scratch)
			}
			if !yield(p, err) || err != nil {
				return
			}
		}
	}
}

// cutText takes the first packet from a text payload.
func cutText(payload []byte) (packet []byte, binary bool, rest []byte, err error) {
	n, rest, err := cutLength(payload, '0', lengthEnd)
	if err != nil {
		return nil, false, nil, err
	}
	size, ok := unitsSize(rest, n)
	if !ok {
		return nil, false, nil, fmt.Errorf("%w: %d characters announced, %d bytes left", ErrLength, n, len(rest))
	}
	return rest[:size], false, rest[size:], nil
}

// cutBinary takes the first packet from a binary payload.
func cutBinary(payload []byte) (packet []byte, binary bool, rest []byte, err error) {
	mark := payload[0]
	if mark != textMark && mark != binaryMark {
		return nil, false, nil, fmt.Errorf("%w: packet begins with byte %d, neither text nor binary", ErrLength, mark)
	}
	n, rest, err := cutLength(payload[1:], 0, binaryLengthEnd)
	if err != nil {
		return nil, false, nil, err
	}
	if n > len(rest) {
		return nil, false, nil, fmt.Errorf("%w: %d bytes announced, %d left", ErrLength, n, len(rest))
	}
	return rest[:n], mark == binaryMark, rest[n:], nil
}

// cutLength takes a decimal number whose digits begin at zero, and the byte that ends it.
func cutLength(data []byte, zero, end byte) (int, []byte, error) {
	n := 0
	for i := 0; i < len(data) && i <= maxLengthDigits; i++ {
		c := data[i]
		switch digit := c - zero; {
		case c == end && i > 0:
			return n, data[i+1:], nil
		case digit > 9:
			return 0, nil, fmt.Errorf("%w: byte %#x is no digit", ErrLength, c)
		default:
			n = n*10 + int(digit)
		}
	}
	return 0, nil, fmt.Errorf("%w: it does not end", ErrLength)
}

// unitsSize returns how many bytes of text are n UTF-16 code units; false if there are fewer, or if a character
// would be cut in two.
func unitsSize(text []byte, n int) (int, bool) {
	if n > len(text) {
		return 0, false // a unit takes a byte at least
	}
	size := 0
	for n > 0 && size < len(text) {
		if text[size] < utf8.RuneSelf {
			size++
			n--
			continue
		}
		r, length := utf8.DecodeRune(text[size:])
		size += length
		n -= units(r)
	}
	return size, n == 0
}

// units returns how many UTF-16 code units a character takes.
func units(r rune) int {
	if r > 0xffff {
		return 2
	}
	return 1
}

// AppendPayloadV3 appends packets as one text payload of revision 3, binary ones as base64. Payloads may follow
// each other: together they are one.
func AppendPayloadV3(dst []byte, packets ...Packet) []byte {
	for _, p := range packets {
		n := TextSizeV3(p)
		if !p.Binary {
			n = 1
			for text := p.Data; len(text) > 0; {
				r, size := utf8.DecodeRune(text)
				n += units(r)
				text = text[size:]
			}
		}
		dst = append(strconv.AppendInt(dst, int64(n), 10), lengthEnd)
		dst = AppendTextV3(dst, p)
	}
	return dst
}

// AppendBinaryPayloadV3 appends packets as one binary payload of revision 3. Payloads may follow each other:
// together they are one.
func AppendBinaryPayloadV3(dst []byte, packets ...Packet) []byte {
	for _, p := range packets {
		mark := byte(textMark)
		if p.Binary {
			mark = binaryMark
		}
		dst = append(dst, mark)
		digits := len(dst)
		dst = strconv.AppendInt(dst, int64(1+len(p.Data)), 10)
		for i := digits; i < len(dst); i++ {
			dst[i] -= '0'
		}
		dst = AppendV3(append(dst, binaryLengthEnd), p)
	}
	return dst
}

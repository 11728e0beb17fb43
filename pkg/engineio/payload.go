package engineio

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"iter"
)

// Separator stands between the packets of a polling payload (protocol section "HTTP
// long-polling").
const Separator = '\x1e'

// DefaultMaxPackets is a bound for [Packets] that no well-behaved client reaches: a stock client
// puts all that it has buffered into one payload, up to maxPayload bytes.
const DefaultMaxPackets = 1 << 16

// ErrTooManyPackets reports a payload with more packets than the limit.
var ErrTooManyPackets = errors.New("engineio: too many packets in one payload")

// Packets iterates over the packets of a polling payload. After the first error, which it yields
// with a zero packet, it stops: packets that precede a bad one are still seen. Errors are those of
// [Decode], [ErrBase64] and, after limit packets, [ErrTooManyPackets].
//
// A packet's data is valid until the next iteration; binary data is decoded into a buffer that is
// used again, text is a part of payload.
func Packets(payload []byte, limit int) iter.Seq2[Packet, error] {
	return func(yield func(Packet, error) bool) {
		var scratch []byte
		for n := 0; ; n++ {
			if n == limit {
				yield(Packet{}, fmt.Errorf("%w: more than %d", ErrTooManyPackets, limit))
				return
			}
			part, rest, more := bytes.Cut(payload, []byte{Separator})
			p, err := decodePolling(part, &scratch)
			if !yield(p, err) || err != nil || !more {
				return
			}
			payload = rest
		}
	}
}

func decodePolling(part []byte, scratch *[]byte) (Packet, error) {
	if len(part) == 0 || part[0] != binaryPrefix {
		return Decode(part)
	}
	return decodeBase64(part[1:], scratch)
}

// decodeBase64 decodes the data of a binary message into scratch.
func decodeBase64(encoded []byte, scratch *[]byte) (Packet, error) {
	// Padding is optional: some clients leave it out, and nothing is ambiguous without it.
	text := bytes.TrimRight(encoded, "=")
	if len(encoded)-len(text) > 2 {
		return Packet{}, fmt.Errorf("%w: more than two padding characters", ErrBase64)
	}
	data, err := base64.RawStdEncoding.AppendDecode((*scratch)[:0], text)
	if err != nil {
		return Packet{}, fmt.Errorf("%w: %w", ErrBase64, err)
	}
	*scratch = data
	return Packet{Type: Message, Binary: true, Data: data}, nil
}

// AppendPayload appends packets as one polling payload.
func AppendPayload(dst []byte, packets ...Packet) []byte {
	for i, p := range packets {
		if i > 0 {
			dst = append(dst, Separator)
		}
		dst = AppendPolling(dst, p)
	}
	return dst
}

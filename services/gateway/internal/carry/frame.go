package carry

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// kind says what a frame is for.
type kind byte

const (
	kindOpen   kind = iota + 1 // a new stream, and its first data
	kindData                   // data; at is its place in the stream
	kindEnd                    // no more data will follow; at is how much there was
	kindClose                  // as end, and nothing is read any more either
	kindReset                  // the stream is broken; data is the cause, one byte
	kindCredit                 // at is how much may be sent in all
	kindPing                   // is the gateway there?
	kindPong                   // it is
)

// cause says why a stream is broken.
type cause byte

const (
	causeBroken  cause = iota // its other end failed or was given up
	causeUnknown              // the other gateway knows no such stream, or not any more
	causeBusy                 // the other gateway carries as much as it may
)

// frame is what one NATS message carries. A gateway's epoch is a number that it draws when it starts, and
// whenever messages to it may have been lost: streams of another epoch are broken, whatever they missed.
type frame struct {
	kind   kind
	epoch  uint64 // the sender's
	stream uint64 // drawn at random by whoever opened it; 0 in ping and pong
	at     uint64
	data   []byte
}

const (
	frameVersion = 1
	frameHeader  = 2 + 3*8
)

var errFrame = errors.New("carry: not a frame of this version")

// append appends the frame's encoding: version, kind, epoch, stream, at (big endian) and data.
func (f frame) append(dst []byte) []byte {
	dst = append(dst, frameVersion, byte(f.kind))
	dst = binary.BigEndian.AppendUint64(dst, f.epoch)
	dst = binary.BigEndian.AppendUint64(dst, f.stream)
	dst = binary.BigEndian.AppendUint64(dst, f.at)
	return append(dst, f.data...)
}

// decode is the inverse. The frame's data is a part of b.
func decode(b []byte) (frame, error) {
	if len(b) < frameHeader || b[0] != frameVersion {
		return frame{}, errFrame
	}
	f := frame{
		kind:   kind(b[1]),
		epoch:  binary.BigEndian.Uint64(b[2:]),
		stream: binary.BigEndian.Uint64(b[10:]),
		at:     binary.BigEndian.Uint64(b[18:]),
		data:   b[frameHeader:],
	}
	if f.kind < kindOpen || f.kind > kindPong {
		return frame{}, fmt.Errorf("%w: kind %d", errFrame, f.kind)
	}
	return f, nil
}

// cause reads the data of a reset.
func (f frame) cause() cause {
	if len(f.data) == 0 {
		return causeBroken
	}
	return cause(f.data[0])
}

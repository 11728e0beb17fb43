package gatewayd_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// What scripted clients write and read, byte by byte: a library would not let anything be wrong.

// upgradeFields make a request a WebSocket handshake.
const upgradeFields = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

// request is the bytes of an HTTP request.
func request(method, path, host, extra, body string, f fault) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n%s", method, path, host, extra)
	for i := range f.fields {
		fmt.Fprintf(&b, "X-Field-%d: value\r\n", i)
	}
	if body != "" || f.announced != 0 {
		n := int64(len(body))
		if f.announced != 0 {
			n = f.announced
		}
		fmt.Fprintf(&b, "Content-Type: text/plain;charset=UTF-8\r\nContent-Length: %d\r\n", n)
	}
	b.WriteString("\r\n")
	b.WriteString(body)
	return []byte(b.String())
}

const (
	opText   = 1
	opBinary = 2
	opClose  = 8
	opPing   = 9
	opPong   = 10
	finalBit = 0x80
	maskBit  = 0x80
)

// appendFrame appends a WebSocket frame of a client, RFC 6455 section 5.2, with a mask of zeros.
func appendFrame(dst []byte, first byte, data string, f fault) []byte {
	n := uint64(len(data))
	if f.announced != 0 {
		n = uint64(f.announced)
	}
	mask := byte(maskBit)
	if f.unmasked {
		mask = 0
	}
	dst = append(dst, first^f.bits)
	switch {
	case n < 126:
		dst = append(dst, mask|byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, mask|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, mask|127), n)
	}
	if !f.unmasked {
		dst = append(dst, 0, 0, 0, 0)
	}
	return append(dst, data...)
}

// message is the bytes of a WebSocket message, in one frame or in fragments.
func message(op byte, data string, f fault) []byte {
	var b []byte
	for range f.pings {
		b = appendFrame(b, finalBit|opPing, "are you there", fault{})
	}
	if f.fragments == 0 {
		return appendFrame(b, finalBit|op, data, f)
	}
	for len(data) > f.fragments && len(b) < 1<<20 {
		b = appendFrame(b, op, data[:f.fragments], f)
		op, data = 0, data[f.fragments:]
	}
	return appendFrame(b, finalBit|op, data, f)
}

// packet is the bytes of a packet in a stream.
func packet(data string, isBinary bool, f fault) []byte {
	var b []byte
	switch n := len(data); {
	case f.announced != 0:
		b = binary.BigEndian.AppendUint64([]byte{127}, uint64(f.announced))
	case n < 126:
		b = []byte{byte(n)}
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16([]byte{126}, uint16(n))
	default:
		b = binary.BigEndian.AppendUint64([]byte{127}, uint64(n))
	}
	if isBinary {
		b[0] |= 0x80
	}
	b[0] ^= f.bits
	return append(b, data...)
}

// write writes with the faults that all bytes can have. It is an error that the connection was cut.
func write(conn net.Conn, b []byte, f fault) error {
	for _, bit := range f.flips {
		b[bit/8%len(b)] ^= 1 << (bit % 8)
	}
	cut := f.cut > 0 && f.cut < len(b)
	if cut {
		b = b[:f.cut]
	}
	if err := conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	for n := 0; f.pieces > 0 && len(b) > f.pieces && n < 200; n++ {
		if _, err := conn.Write(b[:f.pieces]); err != nil {
			return err
		}
		b = b[f.pieces:]
	}
	if _, err := conn.Write(b); err != nil {
		return err
	}
	if cut {
		return errors.Join(io.ErrUnexpectedEOF, conn.Close())
	}
	return nil
}

// readMessage reads a WebSocket message of a server, which is never in fragments here.
func readMessage(r *bufio.Reader) (op byte, data []byte, err error) {
	var head [2]byte
	if _, err = io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := uint64(head[1])
	switch n {
	case 126:
		var long [2]byte
		_, err = io.ReadFull(r, long[:])
		n = uint64(binary.BigEndian.Uint16(long[:]))
	case 127:
		var long [8]byte
		_, err = io.ReadFull(r, long[:])
		n = binary.BigEndian.Uint64(long[:])
	}
	if err != nil {
		return 0, nil, err
	}
	if head[0]&^0x0f != finalBit || n > 1<<27 {
		return 0, nil, fmt.Errorf("%w: % x and a length of %d", errServerFrame, head, n)
	}
	data = make([]byte, n)
	_, err = io.ReadFull(r, data)
	return head[0] & 0x0f, data, err
}

var errServerFrame = errors.New("the gateway sent a bad frame")

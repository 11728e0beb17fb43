package transport

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/klauspost/compress/flate"

	"github.com/natter-io/natter/pkg/engineio"
)

// WebSocket compression, RFC 7692: permessage-deflate without context takeover in either direction. So no
// connection holds a compressor's memory, and one compressed form of a message serves all recipients.

const (
	extensionsHeader = "Sec-Websocket-Extensions"
	deflateExtension = "permessage-deflate"
)

// offersDeflate reports whether a client offers the extension in a way to which the answer
// "server_no_context_takeover; client_no_context_takeover" agrees, RFC 7692 section 7.1. One who wants the server
// to use a smaller window must not get that answer; what the client may do for the server binds nobody.
func offersDeflate(fields []string) bool {
	for _, field := range fields {
		for offer := range strings.SplitSeq(field, ",") {
			parts := strings.Split(offer, ";")
			if strings.TrimSpace(parts[0]) == deflateExtension && !slices.ContainsFunc(parts[1:], unknownParameter) {
				return true
			}
		}
	}
	return false
}

func unknownParameter(parameter string) bool {
	name, _, _ := strings.Cut(parameter, "=")
	switch strings.TrimSpace(name) {
	case "server_no_context_takeover", "client_no_context_takeover", "client_max_window_bits":
		return false
	}
	return true
}

// withDeflate returns the request as one that offers the extension plainly, or not at all, so that the WebSocket
// library, which agrees to any offer, does what was decided here.
func withDeflate(r *http.Request, offer bool) *http.Request {
	if _, found := r.Header[extensionsHeader]; !found {
		return r
	}
	changed := *r
	changed.Header = r.Header.Clone()
	changed.Header.Del(extensionsHeader)
	if offer {
		changed.Header.Set(extensionsHeader, deflateExtension)
	}
	return &changed
}

// deflater compresses payloads, one at a time.
type deflater struct {
	writer  *flate.Writer
	out     bytes.Buffer
	payload []byte
}

var deflaters = sync.Pool{New: func() any {
	w, _ := flate.NewWriter(nil, flate.BestSpeed) // fails for unknown levels only
	return &deflater{writer: w}
}}

// deflateFrames encodes packets as [newMessage] does, payloads of at least from bytes compressed.
func deflateFrames(packets []engineio.Packet, from int) []byte {
	d := deflaters.Get().(*deflater)
	defer func() {
		if d.out.Cap() > maxPooled || cap(d.payload) > maxPooled {
			d.out, d.payload = bytes.Buffer{}, nil
		}
		deflaters.Put(d)
	}()
	var frames []byte
	for _, p := range packets {
		opcode := byte(opText)
		if p.Binary {
			opcode = opBinary
		}
		d.payload = engineio.Append(d.payload[:0], p)
		payload := d.payload
		if len(payload) >= from {
			if compressed := d.deflate(payload); len(compressed) < len(payload) {
				payload, opcode = compressed, opcode|rsv1Bit
			}
		}
		frames = append(appendFrameHeader(frames, opcode, len(payload)), payload...)
	}
	return frames
}

// deflate compresses a payload; the result is valid until the next call. What a flush ends with is left out, since
// the receiver adds it: RFC 7692 section 7.2.1. Writing to memory does not fail.
func (d *deflater) deflate(payload []byte) []byte {
	d.out.Reset()
	d.writer.Reset(&d.out)
	_, _ = d.writer.Write(payload)
	_ = d.writer.Flush()
	return bytes.TrimSuffix(d.out.Bytes(), []byte{0, 0, 0xff, 0xff})
}

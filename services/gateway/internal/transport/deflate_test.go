package transport

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	ws "github.com/gorilla/websocket"

	"github.com/natter-io/natter/pkg/engineio"
)

// rawSocket is a WebSocket of which one sees the frames.
type rawSocket struct {
	net.Conn
	r      *bufio.Reader
	answer http.Header
	t      testing.TB
}

// dialRawSocket opens a session on a WebSocket with these offers of extensions, one for each header field.
func (s *server) dialRawSocket(offers ...string) (*rawSocket, *peer) {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.http.Listener.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(3 * patience))
	var fields strings.Builder
	for _, o := range offers {
		fmt.Fprintf(&fields, "sec-websocket-extensions: %s\r\n", o)
	}
	fmt.Fprintf(conn, "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n", &fields)
	c := &rawSocket{Conn: conn, r: bufio.NewReader(conn), t: s.t}
	res, err := http.ReadResponse(c.r, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		s.t.Fatalf("handshake: %v, %v", res, err)
	}
	c.answer = res.Header
	_, open := c.frame()
	p := s.peer(sid(s.t, string(open)))
	s.wait("the websocket state", func() bool { return p.conn.Transport() == WebSocket })
	return c, p
}

// frame reads a frame: its first byte and its payload, as they come.
func (c *rawSocket) frame() (byte, []byte) {
	c.t.Helper()
	var head [2]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		c.t.Fatal(err)
	}
	length := uint64(head[1])
	if more := map[byte]int{126: 2, 127: 8}[head[1]]; more > 0 {
		var b [8]byte
		if _, err := io.ReadFull(c.r, b[8-more:]); err != nil {
			c.t.Fatal(err)
		}
		length = binary.BigEndian.Uint64(b[:])
	}
	payload := make([]byte, length)
	if _, err := io.ReadFull(c.r, payload); err != nil {
		c.t.Fatal(err)
	}
	return head[0], payload
}

// send writes a frame as clients do, masked with zeros.
func (c *rawSocket) send(first byte, payload []byte) {
	c.t.Helper()
	frame := appendFrameHeader(nil, 0, len(payload))
	frame[0] = first
	frame[1] |= 0x80
	frame = append(append(frame, 0, 0, 0, 0), payload...)
	if _, err := c.Write(frame); err != nil {
		c.t.Fatal(err)
	}
}

// inflate is what a client makes of a compressed payload, RFC 7692 section 7.2.2.
func inflate(t testing.TB, payload []byte) []byte {
	t.Helper()
	data, err := io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(payload), strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff"))))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

const agreed = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

func TestDeflateIsNegotiated(t *testing.T) {
	on, off := newServer(t, Options{PerMessageDeflate: 1}), newServer(t, Options{})
	for _, tt := range []struct {
		offers []string
		agreed bool
	}{
		{nil, false},
		{[]string{"permessage-deflate"}, true},
		{[]string{"permessage-deflate; client_max_window_bits"}, true}, // browsers and ws
		{[]string{"permessage-deflate; client_max_window_bits=10; server_no_context_takeover"}, true},
		{[]string{"x-other, permessage-deflate ;client_no_context_takeover"}, true},
		{[]string{"x-other", "permessage-deflate"}, true},
		{[]string{"permessage-deflate; server_max_window_bits=10"}, false}, // would have to be promised
		{[]string{"permessage-deflate; server_max_window_bits=10, permessage-deflate"}, true},
		{[]string{"permessage-deflate; brotli"}, false},
		{[]string{"x-webkit-deflate-frame"}, false},
		{[]string{"permessage-deflated"}, false},
		{[]string{`x; a="permessage-deflate`}, false},
		{[]string{"", ";", ","}, false},
	} {
		c, p := on.dialRawSocket(tt.offers...)
		if got := c.answer.Get("Sec-Websocket-Extensions"); got != agreed && tt.agreed || got != "" && !tt.agreed {
			t.Errorf("%q: the server answers %q", tt.offers, got)
		}
		p.conn.Send(NewMessage(big(100)))
		first, payload := c.frame()
		if tt.agreed {
			payload = inflate(t, payload)
		}
		if compressed := first&rsv1Bit != 0; compressed != tt.agreed || string(payload) != "4"+string(big(100)) {
			t.Errorf("%q: compressed is %v", tt.offers, compressed)
		}
		if len(tt.offers) > 0 && p.conn.Request().Header.Get("Sec-Websocket-Extensions") != tt.offers[0] {
			t.Errorf("%q: the request was changed", tt.offers)
		}
		c, p = off.dialRawSocket(tt.offers...)
		if got := c.answer.Get("Sec-Websocket-Extensions"); got != "" {
			t.Errorf("%q: a server without compression answers %q", tt.offers, got)
		}
		p.conn.Send(NewMessage(big(100)))
		if first, payload := c.frame(); first&rsv1Bit != 0 || len(payload) != 101 {
			t.Errorf("%q: a server without compression compresses", tt.offers)
		}
	}
}

// What is said both ways is what was meant, whatever its form and size, over TLS too.
func TestDeflatedMessages(t *testing.T) {
	for name, start := range map[string][]func(*httptest.Server){"tcp": nil, "tls": {startTLS}} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, Options{PerMessageDeflate: 100}, start...)
			d := ws.Dialer{HandshakeTimeout: patience, EnableCompression: true}
			if name == "tls" {
				d.TLSClientConfig = s.http.Client().Transport.(*http.Transport).TLSClientConfig
			}
			conn, _, err := d.Dial("ws"+strings.TrimPrefix(s.url("EIO=4&transport=websocket"), "http"), nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { conn.Close() })
			conn.SetReadDeadline(time.Now().Add(3 * patience))
			c := &client{conn, t}
			p := s.peer(sid(t, c.recv()))
			s.wait("the websocket state", func() bool { return p.conn.Transport() == WebSocket })
			noise := make([]byte, 70_000)
			for i := range noise {
				noise[i] = byte(i * i >> 3)
			}
			for _, n := range []int{0, 1, 98, 99, 100, 126, 65_536, 70_000} {
				c.send("4" + string(big(n)))
				p.wantMessage(t, string(big(n)))
				if err := p.conn.Send(NewMessage(big(n), noise[:n], []byte("z"))); err != nil {
					t.Fatal(err)
				}
				c.want("4" + string(big(n)))
				c.want("b:" + string(noise[:n]))
				c.want("b:z")
			}
			c.WriteMessage(ws.BinaryMessage, noise)
			p.wantMessage(t, "b:"+string(noise))
		})
	}
}

func TestWhatIsDeflated(t *testing.T) {
	s := newServer(t, Options{PerMessageDeflate: 1000})
	c, p := s.dialRawSocket("permessage-deflate")
	unlike := make([]byte, 5000) // does not get smaller
	for i := range unlike {
		unlike[i] = byte(i*2654435761>>13) ^ byte(i*i*40503>>7)
	}
	for _, tt := range []struct {
		m          *Message
		compressed []bool // each packet
	}{
		{NewMessage(big(998)), []bool{false}}, // and one byte for its type
		{NewMessage(big(999)), []bool{true}},
		{NewMessage(big(999)).Uncompressed(), []bool{false}},
		{NewMessage([]byte("short"), big(999), big(1000)), []bool{false, false, true}},
		{NewBinary(big(1000)), []bool{true}},
		{pingMessage, []bool{false}},
	} {
		p.conn.Send(tt.m)
		for i, want := range tt.compressed {
			first, payload := c.frame()
			if got := first&rsv1Bit != 0; got != want {
				t.Errorf("%d bytes: packet %d: compressed is %v", tt.m.Size(), i, got)
			} else if got {
				payload = inflate(t, payload)
			}
			if want := engineio.Append(nil, tt.m.packets[i]); !bytes.Equal(payload, want) {
				t.Errorf("%d bytes: packet %d: got %d bytes, want %d", tt.m.Size(), i, len(payload), len(want))
			}
		}
	}
	m := NewMessage([]byte("short"), unlike)
	if frames := m.deflatedFrames(1000); len(frames) > m.Size() {
		t.Errorf("%d bytes became %d", m.Size(), len(frames))
	}
}

// One compressed form serves everybody who negotiated it, and nobody pays for it otherwise.
func TestDeflatedFormIsShared(t *testing.T) {
	s := newServer(t, Options{PerMessageDeflate: 100})
	m := NewMessage(big(1000))
	plain := drained(t, s)
	if n := testing.AllocsPerRun(100, func() {
		if plain.conn.Send(m) != nil {
			t.Fatal("Send failed")
		}
	}); n != 0 || m.deflated.data != nil {
		t.Errorf("for a client without the extension: %v allocations, %d bytes compressed", n, len(m.deflated.data))
	}
	c, p := s.dialRawSocket("permessage-deflate")
	p.conn.Send(m)
	c.frame()
	if len(m.deflated.data) == 0 || len(m.deflated.data) > 100 {
		t.Fatalf("%d bytes compressed", len(m.deflated.data))
	}
	form := &m.deflated.data[0]
	if n := testing.AllocsPerRun(100, func() { p.conn.Send(m) }); n != 0 || &m.deflated.data[0] != form {
		t.Errorf("a second time: %v allocations", n)
	}
}

// bomb is a compressed frame of n zeros.
func bomb(t testing.TB, n int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	w.Write([]byte("4"))
	w.Write(make([]byte, n-1))
	w.Flush()
	return bytes.TrimSuffix(b.Bytes(), []byte{0, 0, 0xff, 0xff})
}

// The limit counts what comes of a message, and nothing beyond it is unpacked.
func TestDeflateBomb(t *testing.T) {
	const limit = 100_000
	s := newServer(t, Options{PerMessageDeflate: 1, MaxPayload: limit})
	most, over, huge := bomb(t, limit), bomb(t, limit+1), bomb(t, 64<<20)
	if len(huge) >= limit {
		t.Fatalf("the bomb has %d bytes, as much as any message may", len(huge))
	}
	c, p := s.dialRawSocket("permessage-deflate")
	c.send(finBit|rsv1Bit|opText, most)
	p.wantMessage(t, string(make([]byte, limit-1)))
	for name, frame := range map[string][]byte{"one byte over": over, "64 MiB": huge} {
		c, p := s.dialRawSocket("permessage-deflate")
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		c.send(finBit|rsv1Bit|opText, frame)
		if first, payload := c.frame(); first != finBit|opClose || !bytes.Equal(payload, []byte{1009 >> 8, 1009 & 0xff}) {
			t.Errorf("%s: answered with %x %x", name, first, payload)
		}
		p.wantClosed(t, ReasonTransportError)
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 20*limit {
			t.Errorf("%s: %d bytes were allocated", name, used)
		}
		if len(p.messages) > 0 {
			t.Errorf("%s: was heard", name)
		}
	}
	// In pieces, the first of which is compressed: a message all the same.
	c, p = s.dialRawSocket("permessage-deflate")
	c.send(rsv1Bit|opText, over[:len(over)/2])
	c.send(finBit, over[len(over)/2:])
	if first, _ := c.frame(); first != finBit|opClose {
		t.Errorf("in pieces: answered with %x", first)
	}
	p.wantClosed(t, ReasonTransportError)
}

func TestBadCompressedFrames(t *testing.T) {
	for name, tt := range map[string]struct {
		offers []string
		first  byte
		data   []byte
		code   uint16
	}{
		"garbage":        {[]string{"permessage-deflate"}, finBit | rsv1Bit | opText, []byte{7, 7, 7, 7, 7, 7}, 1007},
		"not UTF-8":      {[]string{"permessage-deflate"}, finBit | rsv1Bit | opText, []byte{0x32, 0xf9, 0x0f, 0x00}, 1007}, // 4, 0xff
		"not negotiated": {nil, finBit | rsv1Bit | opText, bomb(t, 10), 1002},
		"other bits":     {[]string{"permessage-deflate"}, finBit | 0x20 | opText, []byte("4a"), 1002},
	} {
		s := newServer(t, Options{PerMessageDeflate: 1})
		c, p := s.dialRawSocket(tt.offers...)
		c.send(tt.first, tt.data)
		first, payload := c.frame()
		if first != finBit|opClose || len(payload) < 2 || binary.BigEndian.Uint16(payload) != tt.code {
			t.Errorf("%s: answered with %x %q, want %d", name, first, payload, tt.code)
		}
		p.wantClosed(t, ReasonTransportError)
		if len(p.messages) > 0 {
			t.Errorf("%s: was heard as %q", name, <-p.messages)
		}
	}
}

// FuzzDeflate: what is compressed is what comes of it, next to others in one message.
func FuzzDeflate(f *testing.F) {
	f.Add([]byte("hello"), true, 1)
	f.Add(big(5000), false, 1024)
	f.Fuzz(func(t *testing.T, data []byte, isBinary bool, from int) {
		if from < 1 {
			from = 1
		}
		m := NewMessage(data, data)
		if isBinary {
			m = NewBinary(data)
		}
		frames := m.deflatedFrames(from)
		if len(frames) > m.Size() {
			t.Errorf("%d bytes became %d", m.Size(), len(frames))
		}
		c := &rawSocket{r: bufio.NewReader(bytes.NewReader(frames)), t: t}
		for _, p := range m.packets {
			first, payload := c.frame()
			if first&rsv1Bit != 0 {
				payload = inflate(t, payload)
			}
			if !bytes.Equal(payload, engineio.Append(nil, p)) || (first&0xf == opBinary) != p.Binary {
				t.Errorf("packet %q became %x %q", p.Data, first, payload)
			}
		}
		if _, err := c.r.ReadByte(); err != io.EOF {
			t.Error("more frames than packets")
		}
	})
}

// BenchmarkBroadcastDeflated sends one message of 2000 bytes to a hundred connections: compressed once, and as it is.
func BenchmarkBroadcastDeflated(b *testing.B) {
	data := []byte(strings.Repeat(`{"user":"ann","text":"hello there","at":12345},`, 43))
	for name, offers := range map[string][]string{"deflated": {"permessage-deflate"}, "plain": nil} {
		b.Run(name, func(b *testing.B) {
			s := newServer(b, Options{PerMessageDeflate: 1024, MaxQueueBytes: 1 << 30, MaxQueueMessages: 1 << 30})
			peers := make([]*peer, 100)
			for i := range peers {
				c, p := s.dialRawSocket(offers...)
				c.SetDeadline(time.Time{})
				go io.Copy(io.Discard, c.Conn)
				peers[i] = p
			}
			b.ReportAllocs()
			for b.Loop() {
				m := NewMessage(data)
				for _, p := range peers {
					if err := p.conn.Send(m); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(peers)), "ns/recipient")
		})
	}
}

// Clients of revision 3 take compressed messages too; their own form of binary ones goes as it is.
func TestDeflateForRevision3(t *testing.T) {
	s := newServer(t, Options{AllowEIO3: true, PerMessageDeflate: 1})
	d := ws.Dialer{HandshakeTimeout: patience, EnableCompression: true}
	conn, res, err := d.Dial("ws"+strings.TrimPrefix(s.url("EIO=3&transport=websocket"), "http"), nil)
	if err != nil || res.Header.Get("Sec-Websocket-Extensions") != agreed {
		t.Fatalf("%v %v", res, err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetReadDeadline(time.Now().Add(3 * patience))
	c := &client{conn, t}
	p := s.peer(sid(t, c.recv()))
	c.send("4" + string(big(5000)))
	p.wantMessage(t, string(big(5000)))
	s.wait("the websocket state", func() bool { return p.conn.Transport() == WebSocket })
	p.conn.Send(NewMessage(big(5000)))
	p.conn.Send(NewMessage(big(5000), []byte("bytes")))
	c.want("4" + string(big(5000)))
	c.want("4" + string(big(5000)))
	c.want("b:\x04bytes")

	a := s.do("GET", "EIO=3&transport=polling", "")
	_, open, _ := strings.Cut(a.body, ":") // its length comes first
	polling := s.peer(sid(t, open))
	for want, m := range map[string]*Message{"gzip": NewMessage(big(2000)), "": NewMessage(big(2000)).Uncompressed()} {
		polling.conn.Send(m)
		a := s.do("GET", "EIO=3&transport=polling&sid="+polling.conn.ID(), "", "Accept-Encoding", "gzip")
		if got := a.header.Get("Content-Encoding"); got != want || a.unpacked(t) != "2001:4"+string(big(2000)) {
			t.Errorf("poll: content encoding %q, want %q", got, want)
		}
	}
}

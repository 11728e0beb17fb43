package engineio

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestAppendStream(t *testing.T) {
	text := func(n int) Packet { return Packet{Type: Message, Data: bytes.Repeat([]byte{'x'}, n)} }
	binary := func(n int) Packet {
		return Packet{Type: Message, Binary: true, Data: bytes.Repeat([]byte{'x'}, n)}
	}
	for _, tt := range []struct {
		p    Packet
		want string // header, and what follows before the data
		size int    // of it all
	}{
		{Packet{Type: Open}, "\x010", 2},
		{Packet{Type: Ping, Data: []byte("probe")}, "\x062probe", 7},
		{text(124), "\x7d4x", 126},
		{text(125), "\x7e\x00\x7e4x", 129},
		{text(65534), "\x7e\xff\xff4x", 65538},
		{text(65535), "\x7f\x00\x00\x00\x00\x00\x01\x00\x004x", 65545},
		{binary(1), "\x81x", 2},
		{binary(126), "\xfe\x00\x7ex", 129},
		{binary(65536), "\xff\x00\x00\x00\x00\x00\x01\x00\x00x", 65545},
		{binary(0), "\x01b", 2}, // as text: a length of 0 is an error to stock clients
	} {
		got := AppendStream([]byte("before"), tt.p)[len("before"):]
		if !strings.HasPrefix(string(got), tt.want) || len(got) != tt.size {
			t.Errorf("%v with %d bytes: got %d bytes, %.20q…, want %d, %q…", tt.p.Type, len(tt.p.Data), len(got), got, tt.size, tt.want)
		}
		r := bytes.NewReader(got)
		isBinary, n, err := ReadStreamHeader(r, 1<<20)
		if err != nil || isBinary != (tt.p.Binary && len(tt.p.Data) > 0) || n != int64(r.Len()) {
			t.Errorf("%v with %d bytes is read as binary %v, %d of %d bytes, %v", tt.p.Type, len(tt.p.Data), isBinary, n, r.Len(), err)
		}
	}
}

func TestReadStreamHeader(t *testing.T) {
	for in, want := range map[string]error{
		"":                                     io.EOF,
		"\x7e":                                 io.ErrUnexpectedEOF,
		"\x7e\x00":                             io.ErrUnexpectedEOF,
		"\x7f\x00\x00\x00\x00\x00\x00\x00":     io.ErrUnexpectedEOF,
		"\x64":                                 nil,
		"\x65":                                 ErrStreamLength,
		"\xe5":                                 ErrStreamLength,
		"\x7e\x00\x64":                         nil, // longer than need be
		"\x7e\x00\x65":                         ErrStreamLength,
		"\x7f\x00\x00\x00\x00\x00\x00\x00\x00": nil,
		"\x7f\x00\x00\x00\x01\x00\x00\x00\x00": ErrStreamLength,
		"\xff\xff\xff\xff\xff\xff\xff\xff\xff": ErrStreamLength, // would be negative
		"\x7f\x80\x00\x00\x00\x00\x00\x00\x01": ErrStreamLength,
	} {
		if _, n, err := ReadStreamHeader(strings.NewReader(in), 100); !errors.Is(err, want) || n < 0 || n > 100 {
			t.Errorf("%q: %d, %v; want %v", in, n, err, want)
		}
	}
	if _, _, err := ReadStreamHeader(strings.NewReader("\x01"), -1); !errors.Is(err, ErrStreamLength) {
		t.Errorf("a negative limit: %v", err)
	}
}

func FuzzReadStreamHeader(f *testing.F) {
	f.Add([]byte("\x062probe"))
	f.Add([]byte("\x7e\x00\x7e"))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, in []byte) {
		const limit = 1 << 40
		r := bytes.NewReader(in)
		isBinary, n, err := ReadStreamHeader(r, limit)
		read := len(in) - r.Len()
		if n < 0 || n > limit || read > MaxStreamHeader {
			t.Fatalf("%x: length %d after %d bytes", in, n, read)
		}
		if err != nil || n == 0 || n > int64(r.Len()) {
			return
		}
		// What was understood means the same when it is encoded again.
		p := Packet{Type: Message, Binary: true, Data: in[read : read+int(n)]}
		if !isBinary {
			if p, err = Decode(p.Data); err != nil {
				return
			}
		}
		back, m, err := ReadStreamHeader(bytes.NewReader(AppendStream(nil, p)), limit)
		if err != nil || back != isBinary || m != n {
			t.Fatalf("%x: %v %d became %v %d, %v", in, isBinary, n, back, m, err)
		}
	})
}

package transport

import (
	"compress/gzip"
	"compress/zlib"
	"io"
	"strings"
	"testing"
)

// unpacked is the answer's body as it was before it was compressed.
func (a answer) unpacked(t *testing.T) string {
	t.Helper()
	var r io.Reader = strings.NewReader(a.body)
	var err error
	switch a.header.Get("Content-Encoding") {
	case "gzip":
		r, err = gzip.NewReader(r)
	case "deflate":
		r, err = zlib.NewReader(r)
	}
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func (s *server) getAs(sid, accepted string) answer {
	s.t.Helper()
	return s.do("GET", "EIO=4&transport=polling&sid="+sid, "", "Accept-Encoding", accepted)
}

func TestPollsAreCompressed(t *testing.T) {
	s := newServer(t, Options{})
	p := s.open()
	for accepted, coding := range map[string]string{
		"gzip": "gzip", "deflate": "deflate", "gzip, deflate, br": "gzip", "deflate, gzip": "gzip", "deflate, GZIP;q=0.5": "deflate",
		"gzip;q=0, deflate": "deflate", "*": "gzip", "gzip;q=0, *": "deflate", "identity, gzip;q=0.1": "gzip", "br": "",
		"identity": "", "gzip;q=0": "", "gzip; q=0.0": "", "xgzip": "", "gzip;q=high": "", "gzip;q=2": "", "*;q=0": "", "gzip;q=NaN": "",
	} {
		p.conn.Send(NewMessage(big(2000)))
		a := s.getAs(p.conn.ID(), accepted)
		if got := a.header.Get("Content-Encoding"); got != coding {
			t.Errorf("%s: content encoding %q, want %q", accepted, got, coding)
		}
		if got := a.unpacked(t); got != "4"+string(big(2000)) {
			t.Errorf("%s: %d bytes", accepted, len(got))
		}
	}
	p.conn.Send(NewMessage(big(100)))
	if a := s.getAs(p.conn.ID(), "gzip"); a.header.Get("Content-Encoding") != "" {
		t.Errorf("100 bytes: content encoding %q", a.header.Get("Content-Encoding"))
	}
}

func TestHTTPCompressionOption(t *testing.T) {
	for _, tt := range []struct {
		option, size int
		compressed   bool
	}{{-1, 5000, false}, {0, 1023, true}, {0, 1022, false}, {1, 0, true}, {3000, 2998, false}, {3000, 2999, true}} {
		s := newServer(t, Options{HTTPCompression: tt.option})
		p := s.open()
		p.conn.Send(NewMessage(big(tt.size))) // and one byte for its type
		a := s.getAs(p.conn.ID(), "gzip")
		if got := a.header.Get("Content-Encoding") != ""; got != tt.compressed || a.unpacked(t) != "4"+string(big(tt.size)) {
			t.Errorf("%+v: compressed is %v", tt, got)
		}
	}
}

// A poll's answer is compressed if one of its messages may be.
func TestUncompressedPolls(t *testing.T) {
	s := newServer(t, Options{})
	p := s.open()
	for _, tt := range []struct {
		messages []*Message
		want     string
	}{
		{[]*Message{NewMessage(big(2000)).Uncompressed()}, ""},
		{[]*Message{NewMessage(big(2000)).Uncompressed(), pingMessage}, ""},
		{[]*Message{NewMessage(big(2000)).Uncompressed(), text("short")}, "gzip"},
	} {
		for _, m := range tt.messages {
			p.conn.Send(m)
		}
		a := s.getAs(p.conn.ID(), "gzip")
		if got := a.header.Get("Content-Encoding"); got != tt.want {
			t.Errorf("content encoding %q, want %q", got, tt.want)
		}
		if !strings.HasPrefix(a.unpacked(t), "4"+string(big(2000))) {
			t.Error("not what was sent")
		}
	}
}

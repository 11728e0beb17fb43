package engineio

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestDecode(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want Packet
		err  error
	}{
		{"0{}", Packet{Type: Open, Data: []byte("{}")}, nil},
		{"1", Packet{Type: Close}, nil},
		{"2probe", Packet{Type: Ping, Data: []byte("probe")}, nil},
		{"3", Packet{Type: Pong}, nil},
		{"4hello", Packet{Type: Message, Data: []byte("hello")}, nil},
		{"4", Packet{Type: Message}, nil},
		{"5", Packet{Type: Upgrade}, nil},
		{"6", Packet{Type: Noop}, nil},
		{"", Packet{}, ErrEmptyPacket},
		{"7", Packet{}, ErrUnknownType},
		{"/", Packet{}, ErrUnknownType},
		{"abc", Packet{}, ErrUnknownType},
		{"bAQ==", Packet{}, ErrUnknownType}, // base64 belongs to payloads
		{"\xff", Packet{}, ErrUnknownType},
	} {
		got, err := Decode([]byte(tt.in))
		if !errors.Is(err, tt.err) || !equal(got, tt.want) {
			t.Errorf("Decode(%q) = %+v, %v; want %+v, %v", tt.in, got, err, tt.want, tt.err)
		}
		if err == nil && string(Append(nil, got)) != tt.in {
			t.Errorf("Append(Decode(%q)) = %q", tt.in, Append(nil, got))
		}
	}
}

func TestPackets(t *testing.T) {
	hello := Packet{Type: Message, Data: []byte("hello")}
	bin := Packet{Type: Message, Binary: true, Data: []byte{1, 2, 3, 4}}
	for _, tt := range []struct {
		in   string
		want []Packet
		err  error
	}{
		{"4hello", []Packet{hello}, nil},
		{"4hello\x1ebAQIDBA==", []Packet{hello, bin}, nil},
		{"bAQIDBA\x1e4hello", []Packet{bin, hello}, nil},
		{"b", []Packet{{Type: Message, Binary: true}}, nil},
		{"3\x1e3\x1e3", []Packet{{Type: Pong}, {Type: Pong}, {Type: Pong}}, nil},
		{"", nil, ErrEmptyPacket},
		{"4hello\x1e", []Packet{hello}, ErrEmptyPacket},
		{"4hello\x1eabc\x1e4hello", []Packet{hello}, ErrUnknownType},
		{"bA", nil, ErrBase64},
		{"bAQ===", nil, ErrBase64},
		{"b!!!!", nil, ErrBase64},
		{"3\x1e3\x1e3\x1e3", []Packet{{Type: Pong}, {Type: Pong}, {Type: Pong}}, ErrTooManyPackets},
	} {
		got, err := collect([]byte(tt.in), 3)
		if !errors.Is(err, tt.err) {
			t.Errorf("Packets(%q): error %v, want %v", tt.in, err, tt.err)
		}
		if len(got) != len(tt.want) {
			t.Errorf("Packets(%q) = %+v, want %+v", tt.in, got, tt.want)
			continue
		}
		for i := range got {
			if !equal(got[i], tt.want[i]) {
				t.Errorf("Packets(%q)[%d] = %+v, want %+v", tt.in, i, got[i], tt.want[i])
			}
		}
	}
}

func TestPayloadRoundTrip(t *testing.T) {
	want := []Packet{
		{Type: Message, Data: []byte(`2["a",{"ü":"\ud800"}]`)},
		{Type: Message, Binary: true, Data: bytes.Repeat([]byte{0x1e}, 100)},
		{Type: Message, Binary: true},
		{Type: Noop},
	}
	payload := AppendPayload(nil, want...)
	size := len(want) - 1
	for _, p := range want {
		size += PollingSize(p)
	}
	if len(payload) != size {
		t.Errorf("payload has %d bytes, PollingSize says %d", len(payload), size)
	}
	got, err := collect(payload, len(want))
	if err != nil || len(got) != len(want) {
		t.Fatalf("got %d packets, %v", len(got), err)
	}
	for i := range got {
		if !equal(got[i], want[i]) {
			t.Errorf("packet %d is %+v, want %+v", i, got[i], want[i])
		}
	}
}

func TestOpen(t *testing.T) {
	h := Handshake{SID: "lv_VI97HAXpY6yYWAAAC", PingInterval: 25 * time.Second, PingTimeout: 20 * time.Second, MaxPayload: 1e6}
	const want = `0{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`
	got := AppendOpen(nil, h)
	if string(got) != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	back, err := DecodeOpen(got[1:])
	if err != nil || back.SID != h.SID || back.PingInterval != h.PingInterval || back.PingTimeout != h.PingTimeout || back.MaxPayload != h.MaxPayload {
		t.Errorf("DecodeOpen = %+v, %v", back, err)
	}
	h.Upgrades = []string{"websocket"}
	if !strings.Contains(string(AppendOpen(nil, h)), `"upgrades":["websocket"]`) {
		t.Error("upgrades are missing")
	}
	for _, bad := range []string{"", "[]", `{"pingInterval":-1}`, `{"pingTimeout":9223372036854775807}`} {
		if _, err := DecodeOpen([]byte(bad)); err == nil {
			t.Errorf("DecodeOpen(%q) did not fail", bad)
		}
	}
}

func TestCodes(t *testing.T) {
	for code, want := range map[Code]string{
		TransportUnknown:   `400 {"code":0,"message":"Transport unknown"}`,
		SessionUnknown:     `400 {"code":1,"message":"Session ID unknown"}`,
		BadHandshakeMethod: `400 {"code":2,"message":"Bad handshake method"}`,
		BadRequest:         `400 {"code":3,"message":"Bad request"}`,
		Forbidden:          `403 {"code":4,"message":"Forbidden"}`,
		UnsupportedVersion: `400 {"code":5,"message":"Unsupported protocol version"}`,
	} {
		got := map[int]string{400: "400 ", 403: "403 "}[code.Status()] + string(AppendError(nil, code, ""))
		if got != want {
			t.Errorf("code %d: got %s, want %s", code, got, want)
		}
	}
	if got := string(AppendError(nil, Forbidden, `no "you"`)); got != `{"code":4,"message":"no \"you\""}` {
		t.Errorf("got %s", got)
	}
}

func TestTypeString(t *testing.T) {
	if Message.String() != "message" || Type(9).String() != "unknown(9)" {
		t.Errorf("got %s, %s", Message, Type(9))
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{"", "4hello", "2probe", "b", "7", "\xff"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		p, err := Decode(in)
		if err == nil && !bytes.Equal(Append(nil, p), in) {
			t.Errorf("%q became %q", in, Append(nil, p))
		}
	})
}

func FuzzPackets(f *testing.F) {
	for _, s := range []string{"", "4hello", "4a\x1ebAQIDBA==\x1e3", "b", "bA", "\x1e\x1e", "bAQ\n=="} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		const limit = 50
		first, err := collect(in, limit)
		if len(first) > limit {
			t.Fatalf("%d packets", len(first))
		}
		if err != nil {
			return
		}
		// What was understood means the same when it is encoded again.
		second, err := collect(AppendPayload(nil, first...), limit)
		if err != nil || len(second) != len(first) {
			t.Fatalf("%d packets became %d, %v", len(first), len(second), err)
		}
		for i := range first {
			if !equal(first[i], second[i]) {
				t.Errorf("%+v became %+v", first[i], second[i])
			}
		}
	})
}

func FuzzDecodeOpen(f *testing.F) {
	f.Add([]byte(`{"sid":"a","upgrades":["websocket"],"pingInterval":1,"pingTimeout":2,"maxPayload":3}`))
	f.Add([]byte(`{"pingInterval":9223372036854775807}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		h, err := DecodeOpen(in)
		if err != nil {
			return
		}
		back, err := DecodeOpen(AppendOpen(nil, h)[1:])
		if err != nil || back.SID != h.SID || back.PingInterval != h.PingInterval || back.PingTimeout != h.PingTimeout {
			t.Errorf("%+v became %+v, %v", h, back, err)
		}
	})
}

// BenchmarkPackets shows that the time per byte does not grow with the payload.
func BenchmarkPackets(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		payload := []byte(strings.Repeat("4x\x1e", n) + "4x")
		b.Run(fmt.Sprintf("%d packets", n), func(b *testing.B) {
			b.SetBytes(int64(len(payload)))
			b.ReportAllocs()
			for b.Loop() {
				for _, err := range Packets(payload, n+1) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

func collect(payload []byte, limit int) ([]Packet, error) {
	return collectPackets(Packets(payload, limit))
}

func equal(a, b Packet) bool {
	return a.Type == b.Type && a.Binary == b.Binary && bytes.Equal(a.Data, b.Data)
}

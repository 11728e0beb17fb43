package engineio

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"
)

func TestDecodeV3(t *testing.T) {
	for _, tt := range []struct {
		in     string
		binary bool
		want   Packet
		err    error
	}{
		{"4hello", false, Packet{Type: Message, Data: []byte("hello")}, nil},
		{"2probe", false, Packet{Type: Ping, Data: []byte("probe")}, nil},
		{"b4AQIDBA==", false, Packet{Type: Message, Binary: true, Data: []byte{1, 2, 3, 4}}, nil},
		{"b4AQIDBA", false, Packet{Type: Message, Binary: true, Data: []byte{1, 2, 3, 4}}, nil},
		{"b4", false, Packet{Type: Message, Binary: true}, nil},
		{"\x04\x01\x02", true, Packet{Type: Message, Binary: true, Data: []byte{1, 2}}, nil},
		{"\x04", true, Packet{Type: Message, Binary: true}, nil},
		{"", false, Packet{}, ErrEmptyPacket},
		{"", true, Packet{}, ErrEmptyPacket},
		{"7", false, Packet{}, ErrUnknownType},
		{"4", true, Packet{}, ErrUnknownType}, // the digit, not the number
		{"\x02", true, Packet{}, ErrUnknownType},
		{"b", false, Packet{}, ErrUnknownType},
		{"b2AQ==", false, Packet{}, ErrUnknownType},
		{"bAQIDBA==", false, Packet{}, ErrUnknownType}, // that is revision 4
		{"b4!", false, Packet{}, ErrBase64},
	} {
		got, err := DecodeV3([]byte(tt.in), tt.binary)
		if !errors.Is(err, tt.err) || !equal(got, tt.want) {
			t.Errorf("DecodeV3(%q, %v) = %+v, %v; want %+v, %v", tt.in, tt.binary, got, err, tt.want, tt.err)
		}
	}
}

// The examples of the protocol's text, section "Payload".
func TestPayloadV3(t *testing.T) {
	euro := Packet{Type: Message, Data: []byte("€")}
	hello := Packet{Type: Message, Data: []byte("hello")}
	bin := Packet{Type: Message, Binary: true, Data: []byte{1, 2, 3, 4}}
	for _, tt := range []struct {
		text, binary string
		packets      []Packet
	}{
		{"6:4hello2:4€", "\x00\x06\xff4hello\x00\x04\xff4\xe2\x82\xac", []Packet{hello, euro}},
		{"2:4€10:b4AQIDBA==", "\x00\x04\xff4\xe2\x82\xac\x01\x05\xff\x04\x01\x02\x03\x04", []Packet{euro, bin}},
		{"3:4🎉", "\x00\x05\xff4🎉", []Packet{{Type: Message, Data: []byte("🎉")}}}, // a surrogate pair counts twice
		{"1:2", "\x00\x01\xff2", []Packet{{Type: Ping}}},
	} {
		if got := string(AppendPayloadV3(nil, tt.packets...)); got != tt.text {
			t.Errorf("text payload %q, want %q", got, tt.text)
		}
		if got := string(AppendBinaryPayloadV3(nil, tt.packets...)); got != tt.binary {
			t.Errorf("binary payload %q, want %q", got, tt.binary)
		}
		for payload, binary := range map[string]bool{tt.text: false, tt.binary: true} {
			got, err := collectPackets(PacketsV3([]byte(payload), binary, 10))
			if err != nil || !slices.EqualFunc(got, tt.packets, equal) {
				t.Errorf("PacketsV3(%q) = %+v, %v", payload, got, err)
			}
		}
	}
}

func TestPacketsV3Errors(t *testing.T) {
	hello := Packet{Type: Message, Data: []byte("hello")}
	for _, tt := range []struct {
		in     string
		binary bool
		want   []Packet
		err    error
	}{
		{"", false, nil, ErrEmptyPacket},
		{"abc", false, nil, ErrLength},
		{":4", false, nil, ErrLength},
		{"-1:4", false, nil, ErrLength},
		{"+1:4", false, nil, ErrLength},
		{"0x1:4", false, nil, ErrLength},
		{"1", false, nil, ErrLength},
		{"6:4hello9", false, []Packet{hello}, ErrLength},
		{"6:4hello9:4", false, []Packet{hello}, ErrLength},
		{"2:4🎉", false, nil, ErrLength}, // half a character
		{"999999999999999:4", false, nil, ErrLength},
		{"99999999999999999999999999999:4", false, nil, ErrLength},
		{strings.Repeat("0", 100_000) + "1:4", false, nil, ErrLength},
		{"0:", false, nil, nil},
		{"0:6:4hello0:", false, []Packet{hello}, nil},
		{"1:7", false, nil, ErrUnknownType},
		{"6:4hello6:4hello6:4hello6:4hello", false, []Packet{hello, hello, hello}, ErrTooManyPackets},
		{"0:0:0:0:", false, nil, ErrTooManyPackets},
		{"", true, nil, ErrEmptyPacket},
		{"\x00", true, nil, ErrLength},
		{"\x00\xff", true, nil, ErrLength},
		{"\x02\x01\xff4", true, nil, ErrLength},
		{"\x00\x0a\xff4", true, nil, ErrLength},
		{"\x00\x31\xff4", true, nil, ErrLength}, // the digit's character, not the digit
		{"\x01\x09\x09\x09\xff\x04", true, nil, ErrLength},
		{"\x01" + strings.Repeat("\x09", 400) + "\xff\x04", true, nil, ErrLength},
		{"\x00\x06\xff4hello\x01\x01\xff\x05", true, []Packet{hello}, ErrUnknownType},
	} {
		got, err := collectPackets(PacketsV3([]byte(tt.in), tt.binary, 3))
		if !errors.Is(err, tt.err) || !slices.EqualFunc(got, tt.want, equal) {
			t.Errorf("PacketsV3(%.40q, %v) = %+v, %v; want %+v, %v", tt.in, tt.binary, got, err, tt.want, tt.err)
		}
	}
}

func FuzzDecodeV3(f *testing.F) {
	for _, s := range []string{"", "4hello", "2probe", "b4AQ==", "b", "\x04\x01"} {
		f.Add([]byte(s), s != "" && s[0] < '0')
	}
	f.Fuzz(func(t *testing.T, in []byte, binary bool) {
		p, err := DecodeV3(in, binary)
		if err != nil {
			return
		}
		if binary && !bytes.Equal(AppendV3(nil, p), in) {
			t.Errorf("%q became %q", in, AppendV3(nil, p))
		}
		text := AppendTextV3(nil, p)
		if len(text) != TextSizeV3(p) {
			t.Errorf("%q has %d bytes, TextSizeV3 says %d", text, len(text), TextSizeV3(p))
		}
		if back, err := DecodeV3(text, false); err != nil || !equal(back, p) {
			t.Errorf("%+v became %+v, %v", p, back, err)
		}
	})
}

func FuzzPacketsV3(f *testing.F) {
	for _, s := range []string{"", "6:4hello", "2:4€10:b4AQIDBA==", "0:", "3:4🎉", "2:4🎉", "9999999999999999:4"} {
		f.Add([]byte(s), false)
	}
	for _, s := range []string{"\x00\x04\xff4\xe2\x82\xac\x01\x05\xff\x04\x01\x02\x03\x04", "\x01\x09\x09\xff", "\x00\x08\xffb4AQ=="} {
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, in []byte, binary bool) {
		if !binary && !utf8.Valid(in) {
			return // for the caller to check
		}
		const limit = 50
		first, err := collectPackets(PacketsV3(in, binary, limit))
		if len(first) > limit {
			t.Fatalf("%d packets", len(first))
		}
		if err != nil || len(first) == 0 {
			return
		}
		// What was understood means the same when it is encoded again, either way.
		payloads := map[string]bool{string(AppendBinaryPayloadV3(nil, first...)): true}
		if !slices.ContainsFunc(first, func(p Packet) bool { return !utf8.Valid(p.Data) && !p.Binary }) {
			payloads[string(AppendPayloadV3(nil, first...))] = false
		}
		for payload, binary := range payloads {
			second, err := collectPackets(PacketsV3([]byte(payload), binary, limit))
			if err != nil || !slices.EqualFunc(first, second, equal) {
				t.Errorf("%+v became %+v, %v", first, second, err)
			}
		}
	})
}

// FuzzLengthV3 holds the lengths of text against the standard library's idea of UTF-16.
func FuzzLengthV3(f *testing.F) {
	for _, s := range []string{"", "hello", "€", "🎉", "e\u0301", "\ufffd"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			return
		}
		want := fmt.Sprintf("%d:4%s", 1+len(utf16.Encode([]rune(text))), text)
		if got := string(AppendPayloadV3(nil, Packet{Type: Message, Data: []byte(text)})); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// BenchmarkPacketsV3 shows that the time per byte does not grow with the payload.
func BenchmarkPacketsV3(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		payload := []byte(strings.Repeat("3:4é€", n))
		b.Run(fmt.Sprintf("%d packets", n), func(b *testing.B) {
			b.SetBytes(int64(len(payload)))
			b.ReportAllocs()
			for b.Loop() {
				for _, err := range PacketsV3(payload, false, n+1) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

func collectPackets(all iter.Seq2[Packet, error]) ([]Packet, error) {
	var packets []Packet
	for p, err := range all {
		if err != nil {
			return packets, err
		}
		p.Data = bytes.Clone(p.Data)
		packets = append(packets, p)
	}
	return packets, nil
}

package socketio_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/tinylib/msgp/msgp"

	"github.com/natter-io/natter/pkg/socketio"
)

// packet is a map of keys and values in turn; values in hex, keys as text.
func packet(t testing.TB, pairs ...string) []byte {
	t.Helper()
	b := msgp.AppendMapHeader(nil, uint32(len(pairs)/2))
	for i := 0; i < len(pairs); i += 2 {
		b = append(msgp.AppendString(b, pairs[i]), unhex(t, pairs[i+1])...)
	}
	return b
}

// The values that most packets have, in hex.
const (
	root  = "a1 2f"    // "/"
	event = "91 a1 65" // ["e"]
	undef = "d4 00 00"
)

func TestMsgpackLegalOddities(t *testing.T) {
	for name, frame := range map[string][]byte{
		"whole float as type":              packet(t, "type", "cb 4000000000000000", "nsp", root, "data", event),
		"float 32 as id":                   packet(t, "type", "02", "nsp", root, "data", event, "id", "ca 40000000"),
		"long integers":                    packet(t, "type", "d3 0000000000000002", "nsp", root, "data", event, "id", "cf 0000000000000002"),
		"options of stock clients":         packet(t, "type", "02", "data", event, "options", "81 a8 636f6d7072657373 c3", "id", "02", "nsp", root),
		"id undefined":                     packet(t, "type", "02", "nsp", root, "data", event, "id", undef),
		"the last counts":                  packet(t, "type", "00", "nsp", "a1 78", "data", "c4 01 01", "type", "02", "nsp", root, "data", event),
		"binary data that nobody asks for": packet(t, "type", "02", "nsp", root, "data", event, "x", "9b"+strings.Repeat("c0", 11), "y", "c4 01 01"),
		"a key that is a number":           append(append(msgp.AppendMapHeader(nil, 4), 0x07, 0xc0), packet(t, "type", "02", "nsp", root, "data", event)[1:]...),
	} {
		var d socketio.MsgpackDecoder
		p, err := d.Decode(frame)
		if err != nil || p.Type != socketio.Event || p.Namespace != "/" || string(p.Data) != `["e"]` || p.Attachments != nil || p.HasID && p.ID != 2 {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	for name, frame := range map[string][]byte{
		"without data":   packet(t, "type", "00", "nsp", root),
		"data undefined": packet(t, "type", "00", "nsp", root, "data", undef),
		"undefined last": packet(t, "type", "00", "nsp", root, "data", event, "data", undef),
	} {
		var d socketio.MsgpackDecoder
		if p, err := d.Decode(frame); err != nil || p.Type != socketio.Connect || p.Data != nil {
			t.Errorf("CONNECT %s: %+v, %v", name, p, err)
		}
	}
}

func TestMsgpackRefuses(t *testing.T) {
	deep := func(n int) string { return "92 a1 65 " + strings.Repeat("91", n-1) + "c0" }
	placeholder := "82 ac5f706c616365686f6c646572c3 a36e756d "
	for _, c := range []struct {
		name  string
		frame []byte
		want  error
	}{
		{"nothing", nil, socketio.ErrPacket},
		{"text of the default parser", []byte(`2["e"]`), socketio.ErrPacket},
		{"an array", unhex(t, "93 02 a12f 91a165"), socketio.ErrPacket},
		{"an empty map", unhex(t, "80"), socketio.ErrPacket},
		{"something after it", append(packet(t, "type", "02", "nsp", root, "data", event), 0xc0), socketio.ErrPacket},
		{"no type", packet(t, "nsp", root, "data", event), socketio.ErrPacket},
		{"type undefined", packet(t, "nsp", root, "data", event, "type", "02", "type", undef), socketio.ErrPacket},
		{"type 5", packet(t, "type", "05", "nsp", root, "data", event), socketio.ErrPacket},
		{"type -1", packet(t, "type", "ff", "nsp", root, "data", event), socketio.ErrPacket},
		{"type 2.5", packet(t, "type", "cb 4004000000000000", "nsp", root, "data", event), socketio.ErrPacket},
		{"type 2^64-1", packet(t, "type", "cf ffffffffffffffff", "nsp", root, "data", event), socketio.ErrPacket},
		{"type NaN", packet(t, "type", "cb 7ff8000000000000", "nsp", root, "data", event), socketio.ErrPacket},
		{"type is a string", packet(t, "type", "a1 32", "nsp", root, "data", event), socketio.ErrPacket},
		{"no nsp", packet(t, "type", "02", "data", event), socketio.ErrPacket},
		{"nsp nil", packet(t, "type", "02", "nsp", "c0", "data", event), socketio.ErrPacket},
		{"nsp undefined", packet(t, "type", "02", "nsp", undef, "data", event), socketio.ErrPacket},
		{"nsp is binary", packet(t, "type", "02", "nsp", "c4 01 2f", "data", event), socketio.ErrPacket},
		{"nsp with a control character", packet(t, "type", "02", "nsp", "a2 2f1e", "data", event), socketio.ErrPacket},
		{"nsp not UTF-8", packet(t, "type", "02", "nsp", "a2 2fff", "data", event), socketio.ErrPacket},
		{"id nil", packet(t, "type", "02", "nsp", root, "data", event, "id", "c0"), socketio.ErrPacket},
		{"id 1.5", packet(t, "type", "02", "nsp", root, "data", event, "id", "cb 3ff8000000000000"), socketio.ErrPacket},
		{"id negative", packet(t, "type", "02", "nsp", root, "data", event, "id", "ff"), socketio.ErrPacket},
		{"id 2^53", packet(t, "type", "02", "nsp", root, "data", event, "id", "cf 0020000000000000"), socketio.ErrPacket},
		{"CONNECT with nil", packet(t, "type", "00", "nsp", root, "data", "c0"), socketio.ErrPayload},
		{"CONNECT with an array", packet(t, "type", "00", "nsp", root, "data", event), socketio.ErrPayload},
		{"CONNECT with a Date", packet(t, "type", "00", "nsp", root, "data", "d7 00 0000000000000000"), socketio.ErrPayload},
		{"CONNECT with binary data", packet(t, "type", "00", "nsp", root, "data", "81 a161 c4 00"), socketio.ErrAttachments},
		{"DISCONNECT with data", packet(t, "type", "01", "nsp", root, "data", "80"), socketio.ErrPayload},
		{"DISCONNECT with nil", packet(t, "type", "01", "nsp", root, "data", "c0"), socketio.ErrPayload},
		{"EVENT without data", packet(t, "type", "02", "nsp", root), socketio.ErrPayload},
		{"EVENT with undefined", packet(t, "type", "02", "nsp", root, "data", undef), socketio.ErrPayload},
		{"EVENT with a map", packet(t, "type", "02", "nsp", root, "data", "80"), socketio.ErrPayload},
		{"EVENT with an empty array", packet(t, "type", "02", "nsp", root, "data", "90"), socketio.ErrPayload},
		{"EVENT with a reserved name", packet(t, "type", "02", "nsp", root, "data", "91 aa 646973636f6e6e656374"), socketio.ErrReserved},
		{"EVENT with a map for a name", packet(t, "type", "02", "nsp", root, "data", "91 80"), socketio.ErrPayload},
		{"EVENT with undefined for a name", packet(t, "type", "02", "nsp", root, "data", "91"+undef), socketio.ErrPayload},
		{"EVENT with binary data for a name", packet(t, "type", "02", "nsp", root, "data", "91 c4 00"), socketio.ErrPayload},
		{"ACK without data", packet(t, "type", "03", "nsp", root, "id", "01"), socketio.ErrPayload},
		{"ACK with a string", packet(t, "type", "03", "nsp", root, "id", "01", "data", "a0"), socketio.ErrPayload},
		{"CONNECT_ERROR", packet(t, "type", "04", "nsp", root, "data", "80"), socketio.ErrPacket},
		{"0xc1", wrap(t, "c1"), socketio.ErrPayload},
		{"the start of an array", wrap(t, "dd ffffffff"), socketio.ErrPayload},
		{"the start of a map", wrap(t, "df ffffffff"), socketio.ErrPayload},
		{"the start of a string", wrap(t, "db ffffffff 61"), socketio.ErrPayload},
		{"the start of bin", wrap(t, "c6 ffffffff 61"), socketio.ErrPayload},
		{"the start of ext", wrap(t, "c9 ffffffff 00 61"), socketio.ErrPayload},
		{"half of ext", wrap(t, "c9 0000"), socketio.ErrPayload},
		{"half of fixext", wrap(t, "d4 00"), socketio.ErrPayload},
		{"half of a Date", wrap(t, "d7 00 00000000"), socketio.ErrPayload},
		{"half of a float", wrap(t, "cb 0000"), socketio.ErrPayload},
		{"half of an integer", wrap(t, "cf 00000000"), socketio.ErrPayload},
		{"a map for a key", wrap(t, "81 80 c0"), socketio.ErrPayload},
		{"binary data for a key", wrap(t, "81 c400 c0"), socketio.ErrPayload},
		{"undefined for a key", wrap(t, "81"+undef+"c0"), socketio.ErrPayload},
		{"a key without a value", wrap(t, "81 a161"), socketio.ErrPayload},
		{"11 attachments", wrap(t, "9b"+strings.Repeat("c400", 11)), socketio.ErrTooLarge},
		{"like a placeholder, beside binary data", wrap(t, "92 c400"+placeholder+"00"), socketio.ErrAttachments},
		{"like a placeholder with another number", wrap(t, "92 c400"+placeholder+"01"), socketio.ErrAttachments},
		{"like a placeholder with a method", wrap(t, "92 c400"+placeholder+"a6 73706c696365"), socketio.ErrAttachments},
		{"1001 levels", packet(t, "type", "02", "nsp", root, "data", deep(1001)), socketio.ErrTooLarge},
		{"1025 elements", packet(t, "type", "02", "nsp", root, "data", "dc 0401 a165"+strings.Repeat("c0", 1024)), socketio.ErrTooLarge},
		{"many levels where nobody looks", packet(t, "type", "02", "nsp", root, "data", event, "x", strings.Repeat("91", 100_000)+"c0"), socketio.ErrTooLarge},
	} {
		var d socketio.MsgpackDecoder
		if p, err := d.Decode(c.frame); !errors.Is(err, c.want) {
			t.Errorf("%s: %+v, %v, want %v", c.name, p, err, c.want)
		}
	}
	var d socketio.MsgpackDecoder
	if _, err := d.Decode(packet(t, "type", "02", "nsp", root, "data", deep(1000))); err != nil {
		t.Errorf("1000 levels: %v", err)
	}
	whole := wrap(t, "93 c402 0102 82 a161 cb3ff8000000000000 a162 d700 0000000000000001 c0")
	for n := range whole {
		if p, err := d.Decode(whole[:n]); err == nil {
			t.Errorf("the first %d bytes: %+v", n, p)
		}
	}
}

// TestMsgpackAllocatesNoMoreThanItIsSent: what a frame declares costs nothing.
func TestMsgpackAllocatesNoMoreThanItIsSent(t *testing.T) {
	const size = 200_000
	repeated := msgp.AppendMapHeader(nil, size/6)
	for range size / 6 {
		repeated = append(repeated, packet(t, "data", "90")[1:]...)
	}
	for name, c := range map[string]struct {
		frame []byte
		most  uint64
	}{
		"huge array":             {wrap(t, "dd 7fffffff"), 4 << 10},
		"huge map":               {wrap(t, "df 7fffffff"), 4 << 10},
		"huge string":            {wrap(t, "db ffffffff"), 4 << 10},
		"huge arrays in another": {wrap(t, "dd 000000ff"+strings.Repeat("dd 000000ff", 400)), 16 << 10},
		"control characters":     {wrap(t, "db 00030d40"+strings.Repeat("01", size)), 40 * size},
		"nils":                   {wrap(t, "dd 00030d40"+strings.Repeat("c0", size)), 40 * size},
		"one key many times":     {repeated, 40 * size},
	} {
		var d socketio.MsgpackDecoder
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _ = d.Decode(c.frame)
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > c.most {
			t.Errorf("%s: %d bytes became %d", name, len(c.frame), got)
		}
	}
}

// FuzzMsgpackDecode: what is read is a packet that the default parser could have read, and reads the same when it
// is written again.
func FuzzMsgpackDecode(f *testing.F) {
	both, read := vectors(f)
	for _, v := range append(both, read...) {
		f.Add(unhex(f, v.Hex))
	}
	f.Add(wrap(f, "93 c402 0102 82 a161 cb3ff8000000000000 a162 d700 0000000000000001 c0"))
	f.Add(packet(f, "type", "03", "nsp", root, "id", "07", "data", "92 c8 0001 00 07 d6 ff 00000001", "x", "c0"))
	f.Add(packet(f, "type", "00", "nsp", "a2 2f61", "data", "81 a1 61 cf ffffffffffffffff"))
	f.Fuzz(func(t *testing.T, frame []byte) {
		d := socketio.MsgpackDecoder{FromServer: true}
		p, err := d.Decode(frame)
		if err != nil {
			return
		}
		if len(p.Data) > 6*len(frame)+30*len(p.Attachments) {
			t.Fatalf("%d bytes became %d", len(frame), len(p.Data))
		}
		head := socketio.Head{Namespace: p.Namespace, ID: p.ID, HasID: p.HasID}
		var again []byte
		switch {
		case p.IsEvent():
			again, err = socketio.AppendMsgpackEvent(nil, head, p.Data, p.Attachments)
		case p.IsAck():
			again, err = socketio.AppendMsgpackAck(nil, head, p.Data, p.Attachments)
		default:
			if p.Data != nil && !json.Valid(p.Data) {
				t.Fatalf("%x became %q", frame, p.Data)
			}
			return
		}
		if err != nil {
			t.Fatalf("%x became %+v: %v", frame, p, err)
		}
		q, err := d.Decode(again)
		if err != nil || !reflect.DeepEqual(p, q) {
			t.Fatalf("%x became\n%+v, and\n%+v: %v", frame, p, q, err)
		}
	})
}

// FuzzMsgpackEncode: what is written means to JavaScript what the JSON means.
func FuzzMsgpackEncode(f *testing.F) {
	for _, seed := range []string{
		`["a"]`, ` [1.5e300 , -0, {"a" : {} , "b":[ ]}, "\ud800\u0000", true,false,null ] `, `["e",{"_placeholder":true,"num":0}]`, `["e",[{"num":1,"_placeholder":true},{"_placeholder":true,"num":0}]]`,
		`["e",18446744073709551616,-9223372036854775809,1e21,12345678901234567890]`, `["e",{"_placeholder":false},[[],[[]]]]`,
	} {
		for n := range 3 {
			f.Add([]byte(seed), uint8(n))
		}
	}
	f.Fuzz(func(t *testing.T, array []byte, n uint8) {
		attachments := make([][]byte, n%4)
		for i := range attachments {
			attachments[i] = []byte{byte(i)}
		}
		frame, err := socketio.AppendMsgpackEvent([]byte("x"), socketio.Head{}, array, attachments, []byte(`{"x":[]}`))
		if valid := socketio.Valid(array, len(attachments)); (err == nil) != (valid == nil) {
			t.Fatalf("%q: %v, but %v", array, err, valid)
		}
		before, _ := socketio.Elements(array)
		if err != nil || len(before) == socketio.MaxElements {
			return
		}
		var want, got []any
		if json.Unmarshal(array, &want) != nil {
			return // a number out of range
		}
		d := socketio.MsgpackDecoder{MaxAttachments: 4}
		p, err := d.Decode(frame[1:])
		if err != nil {
			t.Fatalf("%q became %x: %v", array, frame, err)
		}
		want = append(want, map[string]any{"x": []any{}})
		if err := json.Unmarshal(p.Data, &got); err != nil {
			t.Fatalf("%q became %q: %v", array, p.Data, err)
		}
		// Attachments are numbered anew, in the order of the text; each must stand where it stood.
		if a, b := fill(want, attachments), fill(got, p.Attachments); !reflect.DeepEqual(a, b) {
			t.Fatalf("%q became %q\n%v\n%v", array, p.Data, a, b)
		}
	})
}

// fill puts attachments into the places of their placeholders, if there are any.
func fill(v any, attachments [][]byte) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = fill(v[i], attachments)
		}
	case map[string]any:
		if len(attachments) > 0 && v["_placeholder"] == true {
			return bytes.Clone(attachments[int(v["num"].(float64))])
		}
		for key := range v {
			v[key] = fill(v[key], attachments)
		}
	}
	return v
}

func BenchmarkMsgpackDecode(b *testing.B) {
	for name, array := range benchArrays() {
		b.Run(name, func(b *testing.B) {
			frame, err := socketio.AppendMsgpackEvent(nil, socketio.Head{}, array, nil)
			if err != nil {
				b.Fatal(err)
			}
			var d socketio.MsgpackDecoder
			b.SetBytes(int64(len(frame)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.Decode(frame); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendMsgpackEvent(b *testing.B) {
	for name, array := range benchArrays() {
		b.Run(name, func(b *testing.B) {
			var dst []byte
			b.SetBytes(int64(len(array)))
			b.ReportAllocs()
			for b.Loop() {
				var err error
				if dst, err = socketio.AppendMsgpackEvent(dst[:0], socketio.Head{}, array, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func benchArrays() map[string][]byte {
	return map[string][]byte{
		"chat": chat[1:],
		"64kB": []byte(`["paste","` + strings.Repeat("All work and no play. ", 3000) + `"]`),
	}
}

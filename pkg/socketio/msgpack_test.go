package socketio_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/tinylib/msgp/msgp"

	"github.com/natter-io/natter/pkg/socketio"
)

// vector is a value as JSON.stringify and as the stock parser write it, in an event. test/notepack.mjs makes them.
type vector struct {
	JSON string `json:"json"`
	Hex  string `json:"hex"`
}

func vectors(t testing.TB) (both, read []vector) {
	t.Helper()
	data, err := os.ReadFile("testdata/notepack.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct{ Both, Read []vector }
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Both) < 30 || len(v.Read) < 20 {
		t.Fatalf("there are %d and %d vectors", len(v.Both), len(v.Read))
	}
	return v.Both, v.Read
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestMsgpackLikeTheStockParser: what is written is byte for byte what the stock parser writes, and what it
// writes is read as JSON.stringify would have written it.
func TestMsgpackLikeTheStockParser(t *testing.T) {
	both, read := vectors(t)
	for _, v := range both {
		got, err := socketio.AppendMsgpackEvent(nil, socketio.Head{}, []byte(v.JSON), nil)
		if want := unhex(t, v.Hex); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%.100s became\n%.200x, want\n%.200x: %v", v.JSON, got, want, err)
		}
	}
	for _, v := range append(both, read...) {
		var d socketio.MsgpackDecoder
		p, err := d.Decode(unhex(t, v.Hex))
		if err != nil || p.Type != socketio.Event || p.Namespace != "/" || p.HasID || !sameJSON(t, p.Data, []byte(v.JSON)) {
			t.Errorf("%.200s became %+v, want %.100s: %v", v.Hex, p, v.JSON, err)
		}
	}
}

// sameJSON says whether two texts are the same to JavaScript.
func sameJSON(t testing.TB, a, b []byte) bool {
	t.Helper()
	var x, y any
	if err := json.Unmarshal(a, &x); err != nil {
		t.Fatalf("%.200q: %v", a, err)
	}
	if err := json.Unmarshal(b, &y); err != nil {
		t.Fatalf("%.200q: %v", b, err)
	}
	return reflect.DeepEqual(x, y)
}

// wrap is an EVENT for the namespace / with a value that is given in hex as its only argument.
func wrap(t testing.TB, value string) []byte {
	t.Helper()
	b := msgp.AppendMapHeader(nil, 3)
	b = msgp.AppendInt(msgp.AppendString(b, "type"), 2)
	b = msgp.AppendString(msgp.AppendString(b, "nsp"), "/")
	b = msgp.AppendArrayHeader(msgp.AppendString(b, "data"), 2)
	return append(msgp.AppendString(b, "e"), unhex(t, value)...)
}

func TestMsgpackValues(t *testing.T) {
	const first, second = `{"_placeholder":true,"num":0}`, `{"_placeholder":true,"num":1}`
	for _, c := range []struct {
		name, value, want string
		attachments       []string
	}{
		{name: "float 32", value: "ca 3dcccccd", want: `0.10000000149011612`},
		{name: "whole float 64", value: "cb 4014000000000000", want: `5`},
		{name: "-0", value: "cb 8000000000000000", want: `0`},
		{name: "float over integers", value: "cb 4415af1d78b58c40", want: `100000000000000000000`},
		{name: "exponent", value: "cb 444b1ae4d6e2ef50", want: `1e+21`},
		{name: "small exponent", value: "cb 3e7ad7f29abcaf48", want: `1e-7`},
		{name: "NaN of 32 bits", value: "ca 7fc00000", want: `null`},
		{name: "uint 64", value: "cf ffffffffffffffff", want: `18446744073709551615`},
		{name: "int 64", value: "d3 8000000000000000", want: `-9223372036854775808`},
		{name: "integer with room to spare", value: "d3 0000000000000001", want: `1`},
		{name: "string of str 32", value: "db 00000001 61", want: `"a"`},
		{name: "not UTF-8", value: "a3 61ff62", want: `"a` + "\ufffd" + `b"`},
		{name: "surrogate in a string", value: "a3 eda080", want: `"` + strings.Repeat("\ufffd", 3) + `"`},
		{name: "keys of other kinds", value: "86 01c0 d0ffc0 c3c0 c0c0 cb3ff8000000000000c0 a161c0", want: `{"1":null,"-1":null,"true":null,"null":null,"1.5":null,"a":null}`},
		{name: "order and repetition of keys", value: "83 a16201 a16102 a16203", want: `{"b":1,"a":2,"b":3}`},
		{name: "undefined with another byte", value: "92 d400ff 01", want: `[null,1]`},
		{name: "Date out of range", value: "d700 7fffffffffffffff", want: `null`},
		{name: "bin", value: "92 c402 0102 c400", want: `[` + first + `,` + second + `]`, attachments: []string{"\x01\x02", ""}},
		{name: "bin 32", value: "c6 00000001 07", want: first, attachments: []string{"\x07"}},
		{name: "ArrayBuffer", value: "c7 02 00 0102", want: first, attachments: []string{"\x01\x02"}},
		{name: "ArrayBuffer 16", value: "c8 0001 00 07", want: first, attachments: []string{"\x07"}},
		{name: "ArrayBuffer 32", value: "c9 00000001 00 07", want: first, attachments: []string{"\x07"}},
		{name: "timestamp of msgpack", value: "d6 ff 00000001", want: `[-1,` + first + `]`, attachments: []string{"\x00\x00\x00\x01"}},
		{name: "fixext 2 of type 0", value: "d5 00 0102", want: `[0,` + first + `]`, attachments: []string{"\x01\x02"}},
		{name: "ext 8 of type 5", value: "c7 01 05 09", want: `[5,` + first + `]`, attachments: []string{"\x09"}},
		{name: "like a placeholder, without binary data", value: "82 ac5f706c616365686f6c646572c3 a36e756d00", want: first},
		{name: "arrays of every size", value: "92 dc0001 01 dd00000001 02", want: `[[1],[2]]`},
		{name: "maps of every size", value: "92 de0001 a16101 df00000001 a16202", want: `[{"a":1},{"b":2}]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var d socketio.MsgpackDecoder
			p, err := d.Decode(wrap(t, c.value))
			if err != nil {
				t.Fatal(err)
			}
			if got, want := string(p.Data), `["e",`+c.want+`]`; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			want := socketio.Event
			if len(c.attachments) > 0 {
				want = socketio.BinaryEvent
			}
			if p.Type != want || len(p.Attachments) != len(c.attachments) {
				t.Fatalf("got a %s with %q", p.Type, p.Attachments)
			}
			for i, a := range c.attachments {
				if string(p.Attachments[i]) != a {
					t.Errorf("attachment %d is %x", i, p.Attachments[i])
				}
			}
		})
	}
}

func TestMsgpackText(t *testing.T) {
	for text, want := range map[string]string{
		`1.0`: "01", `1e3`: "cd 03e8", `-0`: "00", `-0.0`: "00", `-1e0`: "ff", `1E+2`: "64",
		`18446744073709551615`: "cf ffffffffffffffff", `18446744073709551616`: "cb 43f0000000000000", `-9223372036854775808`: "d3 8000000000000000",
		`-9223372036854775809`: "d3 8000000000000000", `1e21`: "cb 444b1ae4d6e2ef50", `1e400`: "cb 7ff0000000000000", `-1e400`: "cb fff0000000000000", `1e-400`: "00",
		`"\ud800"`: "a3 efbfbd", `"\udc00\ud800x"`: "a7 efbfbd efbfbd 78", `"\ud83c\udf89"`: "a4 f09f8e89", `"\u0061\n\/"`: "a3 610a2f",
		" [ 1 , { \"a\" : [ ] , \"b\":{ } } ]\n": "92 01 82 a16190 a16280", `{"\u0061":1,"a":2}`: "82 a16101 a16102",
		`{"_placeholder":true,"num":0}`: "82 ac5f706c616365686f6c646572c3 a36e756d00",
	} {
		got, err := socketio.AppendMsgpackEvent(nil, socketio.Head{}, []byte(`["e",`+text+`]`), nil)
		if err != nil || !bytes.Equal(got, wrap(t, want)) {
			t.Errorf("%s became\n%x, want\n%x: %v", text, got, wrap(t, want), err)
		}
	}
}

// TestMsgpackPackets writes each kind of packet and reads it again.
func TestMsgpackPackets(t *testing.T) {
	args := []byte(`["e",{"_placeholder":true,"num":1},[{"num":0,"_placeholder":true}]]`)
	binary := [][]byte{{1}, {}}
	head := socketio.Head{Namespace: "/a,b", ID: socketio.MaxID, HasID: true}
	must := func(b []byte, err error) []byte {
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, c := range []struct {
		frame []byte
		want  socketio.Packet
	}{
		{socketio.AppendMsgpackConnect(nil, "/a", "gw.1", ""), socketio.Packet{Type: socketio.Connect, Namespace: "/a", Data: []byte(`{"sid":"gw.1"}`)}},
		{socketio.AppendMsgpackConnect(nil, "", "gw.1", "p"), socketio.Packet{Type: socketio.Connect, Namespace: "/", Data: []byte(`{"sid":"gw.1","pid":"p"}`)}},
		{must(socketio.AppendMsgpackConnectError(nil, "/a", "no", nil)), socketio.Packet{Type: socketio.ConnectError, Namespace: "/a", Data: []byte(`{"message":"no"}`)}},
		{must(socketio.AppendMsgpackConnectError(nil, "/a", "no", []byte(` [1.0] `))), socketio.Packet{Type: socketio.ConnectError, Namespace: "/a", Data: []byte(`{"message":"no","data":[1]}`)}},
		{socketio.AppendMsgpackDisconnect(nil, "/a"), socketio.Packet{Type: socketio.Disconnect, Namespace: "/a"}},
		{must(socketio.AppendMsgpackEvent(nil, socketio.Head{}, []byte(` ["e" ] `), nil, []byte(`{"a":[]}`), []byte(`"x"`))), socketio.Packet{Type: socketio.Event, Namespace: "/", Data: []byte(`["e",{"a":[]},"x"]`)}},
		{must(socketio.AppendMsgpackEvent(nil, head, args, binary, []byte(`0`))), socketio.Packet{Type: socketio.BinaryEvent, Namespace: "/a,b", ID: socketio.MaxID, HasID: true, Data: []byte(`["e",{"_placeholder":true,"num":0},[{"_placeholder":true,"num":1}],0]`), Attachments: [][]byte{{}, {1}}}},
		{must(socketio.AppendMsgpackAck(nil, head, []byte(`[]`), nil)), socketio.Packet{Type: socketio.Ack, Namespace: "/a,b", ID: socketio.MaxID, HasID: true, Data: []byte(`[]`)}},
		{must(socketio.AppendMsgpackAck(nil, socketio.Head{HasID: true}, args[:], binary)), socketio.Packet{Type: socketio.BinaryAck, Namespace: "/", HasID: true, Data: []byte(`["e",{"_placeholder":true,"num":0},[{"_placeholder":true,"num":1}]]`), Attachments: [][]byte{{}, {1}}}},
	} {
		d := socketio.MsgpackDecoder{FromServer: true}
		p, err := d.Decode(c.frame)
		if err != nil || !reflect.DeepEqual(*p, c.want) {
			t.Errorf("%x became\n%+v, want\n%+v: %v", c.frame, p, c.want, err)
		}
	}
	for _, c := range []struct {
		array string
		extra string
		want  error
	}{
		{`["connect"]`, "", socketio.ErrReserved}, {`[]`, "", socketio.ErrPayload}, {`{}`, "", socketio.ErrPayload}, {`["e"`, "", socketio.ErrPayload},
		{`["e"]`, "{", socketio.ErrPayload}, {`["e",{"_placeholder":true,"num":1}]`, "", socketio.ErrAttachments}, {`["e"]`, "", socketio.ErrAttachments},
	} {
		var extra [][]byte
		if c.extra != "" {
			extra = [][]byte{[]byte(c.extra)}
		}
		var attachments [][]byte
		if errors.Is(c.want, socketio.ErrAttachments) {
			attachments = [][]byte{{1}}
		}
		if b, err := socketio.AppendMsgpackEvent(nil, socketio.Head{}, []byte(c.array), attachments, extra...); !errors.Is(err, c.want) || b != nil {
			t.Errorf("%s %s: %x, %v, want %v", c.array, c.extra, b, err, c.want)
		}
	}
	if b, err := socketio.AppendMsgpackAck(nil, socketio.Head{}, []byte(`{}`), nil); !errors.Is(err, socketio.ErrPayload) || b != nil {
		t.Errorf("%x, %v", b, err)
	}
	if b, err := socketio.AppendMsgpackConnectError(nil, "/", "no", []byte(`{`)); !errors.Is(err, socketio.ErrPayload) || b != nil {
		t.Errorf("%x, %v", b, err)
	}
}

package socketio_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/natter-io/natter/pkg/socketio"
)

func TestTextLegal(t *testing.T) {
	tests := []struct {
		text string
		want socketio.Packet
	}{
		{`0`, socketio.Packet{Type: socketio.Connect}},
		{`0{"token":"t"}`, socketio.Packet{Type: socketio.Connect, Data: []byte(`{"token":"t"}`)}},
		{`0/admin,`, socketio.Packet{Type: socketio.Connect, Namespace: "/admin"}},
		{`0/admin`, socketio.Packet{Type: socketio.Connect, Namespace: "/admin"}},
		{`0/,{}`, socketio.Packet{Type: socketio.Connect, Data: []byte(`{}`)}},
		{`0/a/b c?d=1,{}`, socketio.Packet{Type: socketio.Connect, Namespace: "/a/b c?d=1", Data: []byte(`{}`)}},
		{`0{"pid":"p","offset":"1-2"}`, socketio.Packet{Type: socketio.Connect, Data: []byte(`{"pid":"p","offset":"1-2"}`)}},
		{`1`, socketio.Packet{Type: socketio.Disconnect}},
		{`1/admin,`, socketio.Packet{Type: socketio.Disconnect, Namespace: "/admin"}},
		{`2["chat message","hello"]`, socketio.Packet{Type: socketio.Event, Data: []byte(`["chat message","hello"]`)}},
		{`2/admin,["a"]`, socketio.Packet{Type: socketio.Event, Namespace: "/admin", Data: []byte(`["a"]`)}},
		{`212["a"]`, socketio.Packet{Type: socketio.Event, ID: 12, HasID: true, Data: []byte(`["a"]`)}},
		{`20["a"]`, socketio.Packet{Type: socketio.Event, HasID: true, Data: []byte(`["a"]`)}},
		{`2/admin,9007199254740991["a"]`, socketio.Packet{Type: socketio.Event, Namespace: "/admin", ID: socketio.MaxID, HasID: true, Data: []byte(`["a"]`)}},
		{`2`, socketio.Packet{Type: socketio.Event}},
		{`21`, socketio.Packet{Type: socketio.Event, ID: 1, HasID: true}},
		{`2[1]`, socketio.Packet{Type: socketio.Event, Data: []byte(`[1]`)}},
		{`2["error"]`, socketio.Packet{Type: socketio.Event, Data: []byte(`["error"]`)}},
		{`2[""]`, socketio.Packet{Type: socketio.Event, Data: []byte(`[""]`)}},
		{`2["__proto__",{"__proto__":1}]`, socketio.Packet{Type: socketio.Event, Data: []byte(`["__proto__",{"__proto__":1}]`)}},
		{`2["a",{"z":1,"b":"<&>\ud800é"}] `, socketio.Packet{Type: socketio.Event, Data: []byte(`["a",{"z":1,"b":"<&>\ud800é"}] `)}},
		{`2["a",{"_placeholder":true,"num":7}]`, socketio.Packet{Type: socketio.Event, Data: []byte(`["a",{"_placeholder":true,"num":7}]`)}},
		{`312[]`, socketio.Packet{Type: socketio.Ack, ID: 12, HasID: true, Data: []byte(`[]`)}},
		{`3/admin,1["connect",null]`, socketio.Packet{Type: socketio.Ack, Namespace: "/admin", ID: 1, HasID: true, Data: []byte(`["connect",null]`)}},
		{`3[]`, socketio.Packet{Type: socketio.Ack, Data: []byte(`[]`)}},
		{`31`, socketio.Packet{Type: socketio.Ack, ID: 1, HasID: true}},
	}
	for _, test := range tests {
		t.Run(test.text, func(t *testing.T) {
			if test.want.Namespace == "" {
				test.want.Namespace = "/"
			}
			var d socketio.Decoder
			got, err := d.Text([]byte(test.text))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(*got, test.want) {
				t.Errorf("got %+v, want %+v", *got, test.want)
			}
			if d.Pending() != nil {
				t.Error("a text packet waits for attachments")
			}
		})
	}
}

func TestTextIllegal(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	tests := []struct {
		text string
		want error
	}{
		{``, socketio.ErrPacket},
		{`7`, socketio.ErrPacket},
		{`-1`, socketio.ErrPacket},
		{"\xff", socketio.ErrPacket},
		{`abc`, socketio.ErrPacket},
		{`0[]`, socketio.ErrPayload},
		{`0"token"`, socketio.ErrPayload},
		{`0null`, socketio.ErrPayload},
		{`0{`, socketio.ErrPayload},
		{`0{}{}`, socketio.ErrPayload},
		{"0/a\x1eb,", socketio.ErrPacket},
		{"0/a\x7fb,", socketio.ErrPacket},
		{"0/a\xffb,", socketio.ErrPacket},
		{`1{}`, socketio.ErrPayload},
		{`1/admin,[]`, socketio.ErrPayload},
		{`2[]`, socketio.ErrPayload},
		{`2{}`, socketio.ErrPayload},
		{`2"a"`, socketio.ErrPayload},
		{`2null`, socketio.ErrPayload},
		{`2 ["a"]`, socketio.ErrPayload},
		{`21 ["a"]`, socketio.ErrPayload},
		{`2["a"`, socketio.ErrPayload},
		{`2["a"]x`, socketio.ErrPayload},
		{`2["a",]`, socketio.ErrPayload},
		{`2["a" "b"]`, socketio.ErrPayload},
		{"2[\"a\n\"]", socketio.ErrPayload},
		{"2[\"a\xff\"]", socketio.ErrPayload},
		{`2["\x"]`, socketio.ErrPayload},
		{`2["\u12g4"]`, socketio.ErrPayload},
		{`2["a",01]`, socketio.ErrPayload},
		{`2["a",1.]`, socketio.ErrPayload},
		{`2["a",1e]`, socketio.ErrPayload},
		{`2["a",-]`, socketio.ErrPayload},
		{`2["a",+1]`, socketio.ErrPayload},
		{`2["a",NaN]`, socketio.ErrPayload},
		{`2["a",tru]`, socketio.ErrPayload},
		{`2["a",{a:1}]`, socketio.ErrPayload},
		{`2["a",{"a"}]`, socketio.ErrPayload},
		{`2["a",{"a":1,}]`, socketio.ErrPayload},
		// the name of an event: CVE-2023-32695
		{`2[{"toString":"foo"}]`, socketio.ErrPayload},
		{`2[["a"]]`, socketio.ErrPayload},
		{`2[null]`, socketio.ErrPayload},
		{`2[true]`, socketio.ErrPayload},
		{`2["connect"]`, socketio.ErrReserved},
		{`2["connect_error"]`, socketio.ErrReserved},
		{`2["disconnect"]`, socketio.ErrReserved},
		{`2["disconnecting"]`, socketio.ErrReserved},
		{`2["newListener"]`, socketio.ErrReserved},
		{`2["removeListener",1]`, socketio.ErrReserved},
		{`2["\u0064isconnect"]`, socketio.ErrReserved},
		{`2["` + `\u0072\u0065\u006d\u006f\u0076\u0065\u004c\u0069\u0073\u0074\u0065\u006e\u0065\u0072` + `"]`, socketio.ErrReserved},
		{`29007199254740992["a"]`, socketio.ErrPacket},
		{`299999999999999999999999999["a"]`, socketio.ErrPacket},
		{`31{}`, socketio.ErrPayload},
		{`31null`, socketio.ErrPayload},
		{`4`, socketio.ErrPacket},
		{`4{"message":"no"}`, socketio.ErrPacket},
		// attachments
		{`5`, socketio.ErrAttachments},
		{`5["a"]`, socketio.ErrAttachments},
		{`5-["a"]`, socketio.ErrAttachments},
		{`51["a"]`, socketio.ErrAttachments},
		{`51`, socketio.ErrAttachments},
		{`5-1-["a"]`, socketio.ErrAttachments},
		{`51.5-["a"]`, socketio.ErrAttachments},
		{`51e0-["a",{"_placeholder":true,"num":0}]`, socketio.ErrAttachments},
		{`501-["a",{"_placeholder":true,"num":0}]`, socketio.ErrAttachments},
		{`50-["a"]`, socketio.ErrAttachments}, // CVE-2026-69185
		{`60-1[]`, socketio.ErrAttachments},
		{`511-` + binaryArray(11), socketio.ErrTooLarge}, // CVE-2026-33151
		{`5999999999999999999999-["a"]`, socketio.ErrTooLarge},
		{`51-`, socketio.ErrPayload},
		{`51-{}`, socketio.ErrPayload},
		{`51-["connect",{"_placeholder":true,"num":0}]`, socketio.ErrReserved},
		{`61-1`, socketio.ErrPayload},
		{`51-["a"]`, socketio.ErrAttachments},
		{`52-["a",{"_placeholder":true,"num":0}]`, socketio.ErrAttachments},
		{`51-["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]`, socketio.ErrAttachments},
		{`51-["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`, socketio.ErrAttachments},
		// the number of an attachment: CVE-2022-2421
		{`51-["a",{"_placeholder":true,"num":1}]`, socketio.ErrAttachments},
		{`51-["a",{"_placeholder":true,"num":10}]`, socketio.ErrAttachments},
		{`51-["a",{"_placeholder":true,"num":99999999999999999999999999}]`, socketio.ErrAttachments},
		{`51-["a",{"_placeholder":true,"num":-1}]`, socketio.ErrAttachments},
		{`51-["a",{"_placeholder":true,"num":"splice"}]`, socketio.ErrAttachments},
		{`51-["a",{"_placeholder":true,"num":0.5}]`, socketio.ErrAttachments},
		{`51-["a",{"_placeholder":true,"num":null}]`, socketio.ErrAttachments},
		{`51-["a",{"_placeholder":true}]`, socketio.ErrAttachments},
		{`51-["a",{"_placeholder":true,"x":0}]`, socketio.ErrAttachments},
		{`51-["a",{"_placeholder":true,"num":0,"x":0}]`, socketio.ErrAttachments},
		{`51-["a",{"\u005fplaceholder":true,"num":1}]`, socketio.ErrAttachments},
		{`2["a",` + deep(socketio.MaxDepth) + `]`, socketio.ErrTooLarge},
		{`2["a"` + strings.Repeat(",1", socketio.MaxElements) + `]`, socketio.ErrTooLarge},
		{`31["a"` + strings.Repeat(",1", socketio.MaxElements) + `]`, socketio.ErrTooLarge},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%.60s", test.text), func(t *testing.T) {
			var d socketio.Decoder
			got, err := d.Text([]byte(test.text))
			if !errors.Is(err, test.want) || got != nil {
				t.Fatalf("got %+v and %v, want %v", got, err, test.want)
			}
			if d.Pending() != nil {
				t.Error("a refused packet waits for attachments")
			}
			if _, err := d.Binary([]byte("x")); !errors.Is(err, socketio.ErrSequence) {
				t.Errorf("a refused packet took an attachment: %v", err)
			}
		})
	}
}

func TestDepthAndElementsAtTheLimit(t *testing.T) {
	deep := strings.Repeat("[", socketio.MaxDepth-1) + strings.Repeat("]", socketio.MaxDepth-1)
	for _, text := range []string{
		`2["a",` + deep + `]`,
		`2["a"` + strings.Repeat(",1", socketio.MaxElements-1) + `]`,
	} {
		var d socketio.Decoder
		if _, err := d.Text([]byte(text)); err != nil {
			t.Errorf("%.20s…: %v", text, err)
		}
	}
}

func TestConnectErrorFromServer(t *testing.T) {
	d := socketio.Decoder{FromServer: true}
	p, err := d.Text([]byte(`4/admin,{"message":"Invalid namespace"}`))
	if err != nil {
		t.Fatal(err)
	}
	if p.Type != socketio.ConnectError || p.Namespace != "/admin" || string(p.Data) != `{"message":"Invalid namespace"}` {
		t.Errorf("got %+v", p)
	}
	for _, text := range []string{`4`, `4[]`, `4"no"`} {
		if _, err := d.Text([]byte(text)); !errors.Is(err, socketio.ErrPayload) {
			t.Errorf("%s: got %v, want ErrPayload", text, err)
		}
	}
}

// Parsing must be linear in the packet's length (CVE-2020-36049): eight times
// the input may not take much more than eight times the time. Quadratic parsing
// would take 64 times.
func TestParsingIsLinear(t *testing.T) {
	inputs := map[string]func(n int) string{
		"namespace": func(n int) string { return "0/" + strings.Repeat("a", n) },
		"zeros":     func(n int) string { return "2" + strings.Repeat("0", n) + `["a"]` },
		"escapes":   func(n int) string { return `2["a","` + strings.Repeat(`\u0061`, n/6) + `"]` },
		"name":      func(n int) string { return `2["` + strings.Repeat(`\u0061`, n/6) + `"]` },
		"keys":      func(n int) string { return `51-["a",{` + strings.Repeat(`"\u0061":1,`, n/11) + `"b":1}]` },
		"nesting":   func(n int) string { return `2["a",[` + strings.Repeat("[],", n/3) + `1]]` },
	}
	for name, input := range inputs {
		t.Run(name, func(t *testing.T) {
			took := func(data []byte) time.Duration {
				var d socketio.Decoder
				start := time.Now()
				p, err := d.Text(data)
				took := time.Since(start)
				if (p == nil) == (err == nil) {
					t.Fatalf("got %v and %v", p, err)
				}
				return took
			}
			short, long := []byte(input(20_000)), []byte(input(160_000))
			small, large := took(short), took(long)
			for range 8 { // in turn: what else the machine does slows both down
				small, large = min(small, took(short)), min(large, took(long))
			}
			if large > 32*small+time.Millisecond {
				t.Errorf("20 kB take %v, 160 kB take %v", small, large)
			}
		})
	}
}

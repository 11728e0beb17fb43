package socketio_test

import (
	"encoding/json"
	"testing"

	"github.com/natter-io/natter/pkg/socketio"
)

func TestAppend(t *testing.T) {
	stamp, offset := []byte(`{"id":"1-2"}`), []byte(`"1-2"`)
	head := func(namespace string, id uint64, hasID bool, attachments int) socketio.Head {
		return socketio.Head{Namespace: namespace, ID: id, HasID: hasID, Attachments: attachments}
	}
	tests := []struct {
		name string
		got  []byte
		want string
	}{
		{"event", socketio.AppendEvent([]byte("4"), head("/", 0, false, 0), []byte(`["a","<é>\ud800"]`)), `42["a","<é>\ud800"]`},
		{"event in a namespace", socketio.AppendEvent(nil, head("/admin", 0, false, 0), []byte(`["a"]`)), `2/admin,["a"]`},
		{"event with id", socketio.AppendEvent(nil, head("", 0, true, 0), []byte(`["a"]`)), `20["a"]`},
		{"event with the greatest id", socketio.AppendEvent(nil, head("/n", socketio.MaxID, true, 0), []byte(`["a"]`)), `2/n,9007199254740991["a"]`},
		{"event with extras", socketio.AppendEvent(nil, head("", 0, false, 0), []byte(`["a",1]`), stamp, offset), `2["a",1,{"id":"1-2"},"1-2"]`},
		{"white space", socketio.AppendEvent(nil, head("", 0, false, 0), []byte("\r\n\t [ \"a\" ] \n")), `2[ "a" ]`},
		{"white space and extra", socketio.AppendEvent(nil, head("", 0, false, 0), []byte("\n[\"a\" \n]\n\n"), offset), `2["a","1-2"]`},
		{"binary event", socketio.AppendEvent(nil, head("/n", 3, true, 2), []byte(binaryArray(2)), offset),
			`52-/n,3["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1},"1-2"]`},
		{"ack", socketio.AppendAck(nil, head("/n", 3, true, 0), []byte(`[]`)), `3/n,3[]`},
		{"ack with extras to an empty array", socketio.AppendAck(nil, head("", 3, true, 0), []byte(`[ ]`), stamp, offset), `33[{"id":"1-2"},"1-2"]`},
		{"binary ack", socketio.AppendAck(nil, head("", 3, true, 1), []byte(`[{"_placeholder":true,"num":0}]`)), `61-3[{"_placeholder":true,"num":0}]`},
		{"connect", socketio.AppendConnect(nil, "/", "gw.1", ""), `0{"sid":"gw.1"}`},
		{"connect with pid", socketio.AppendConnect(nil, "/n", "gw.1", "p"), `0/n,{"sid":"gw.1","pid":"p"}`},
		{"connect error", socketio.AppendConnectError(nil, "/n", "Invalid namespace", nil), `4/n,{"message":"Invalid namespace"}`},
		{"connect error with data", socketio.AppendConnectError(nil, "", "\"no\"\n", []byte(`{"code":1}`)), `4{"message":"\"no\"\u000a","data":{"code":1}}`},
		{"disconnect", socketio.AppendDisconnect(nil, "/"), `1`},
		{"disconnect from a namespace", socketio.AppendDisconnect(nil, "/n"), `1/n,`},
		{"empty payload", socketio.AppendEvent(nil, head("", 0, false, 0), nil, offset), `2`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if string(test.got) != test.want {
				t.Errorf("got %s, want %s", test.got, test.want)
			}
		})
	}
}

func TestAppendLeavesTheArrayAlone(t *testing.T) {
	buffer := []byte(`["a"]tail`)
	socketio.AppendEvent(nil, socketio.Head{}, buffer[:5], []byte(`1`))
	if string(buffer) != `["a"]tail` {
		t.Errorf("the shared array became %s", buffer)
	}
}

func TestAppendString(t *testing.T) {
	for s, want := range map[string]string{
		``:           `""`,
		`a"b\c`:      `"a\"b\\c"`,
		"<&>\u2028é": "\"<&>\u2028é\"",
		"\x00\x1f":   `"\u0000\u001f"`,
		"a\xffb":     "\"a\ufffdb\"",
	} {
		got := socketio.AppendString(nil, s)
		if string(got) != want || !json.Valid(got) {
			t.Errorf("%q: got %s, want %s", s, got, want)
		}
	}
}

func TestTypeString(t *testing.T) {
	for kind, want := range map[socketio.Type]string{
		socketio.Connect: "CONNECT", socketio.Disconnect: "DISCONNECT", socketio.Event: "EVENT", socketio.Ack: "ACK",
		socketio.ConnectError: "CONNECT_ERROR", socketio.BinaryEvent: "BINARY_EVENT", socketio.BinaryAck: "BINARY_ACK", 'x': "Type('x')",
	} {
		if kind.String() != want {
			t.Errorf("got %s, want %s", kind, want)
		}
	}
}

// What a server sends, a client's decoder must understand.
func TestRoundTrip(t *testing.T) {
	for _, text := range []string{
		`0`, `0/n,{"a":1}`, `1`, `1/n,`, `2["a"]`, `2/n,12["a", {"z":1, "b":2}]`, `20["a"]`, `30[]`, `3/n,7[null]`, `4{"message":"m"}`,
		`51-["a",{"_placeholder":true,"num":0}]`, `62-/n,7[{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]`,
	} {
		d := socketio.Decoder{FromServer: true}
		p, err := d.Text([]byte(text))
		for p == nil && err == nil {
			p, err = d.Binary([]byte("attachment"))
		}
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got := p.Append(nil); string(got) != text {
			t.Errorf("got %s, want %s", got, text)
		}
	}
}

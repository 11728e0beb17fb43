package parser_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/tinylib/msgp/msgp"

	"github.com/natter-io/natter/pkg/socketio"
	"github.com/natter-io/natter/services/gateway/internal/parser"
)

var parsers = map[string]parser.Parser{"default": parser.Default, "msgpack": parser.Msgpack}

func TestNames(t *testing.T) {
	t.Parallel()
	for _, name := range parser.Names {
		if p := parser.ByName(name); p == nil || p != parsers[name] {
			t.Errorf("%s is %v", name, p)
		}
	}
	if len(parser.Names) != len(parsers) || parser.ByName("json") != nil || parser.ByName("") != nil {
		t.Error("there are parsers without a name, or names without a parser")
	}
}

// message is an event as a client of the parser sends it, and whether it is binary.
func message(t testing.TB, p parser.Parser) (data []byte, binary bool) {
	t.Helper()
	if p == parser.Msgpack {
		data, err := socketio.AppendMsgpackEvent(nil, socketio.Head{Namespace: "/admin"}, array, nil)
		if err != nil {
			t.Fatal(err)
		}
		return data, true
	}
	return socketio.AppendEvent(nil, socketio.Head{Namespace: "/admin"}, array), false
}

// TestEventsAreChecked: what clients cannot be told becomes no message, whatever the parser.
func TestEventsAreChecked(t *testing.T) {
	t.Parallel()
	for name, p := range parsers {
		for _, c := range []struct {
			array       string
			attachments int
			want        error
		}{
			{`["e",1]`, 0, nil}, {`["e",{"_placeholder":true,"num":0}]`, 1, nil}, {`["e",{"_placeholder":true,"num":0}]`, 0, nil},
			{`hello`, 0, socketio.ErrPayload}, {`["connect"]`, 0, socketio.ErrReserved}, {`["e"]`, 1, socketio.ErrAttachments}, {`["e"]`, 65, socketio.ErrTooLarge},
		} {
			m, err := p.Event(socketio.Head{}, []byte(c.array), make([][]byte, c.attachments))
			if !errors.Is(err, c.want) || (m == nil) != (err != nil) {
				t.Errorf("%s: %s with %d attachments: %v, want %v", name, c.array, c.attachments, err, c.want)
			}
		}
	}
}

// TestRefusalReachesTheClient though its data be nonsense.
func TestRefusalReachesTheClient(t *testing.T) {
	t.Parallel()
	whole := parser.Msgpack.ConnectError("/a", "no", []byte(`{"code":"x"}`)).Size()
	broken := parser.Msgpack.ConnectError("/a", "no", []byte("{\"code\":\"\xff\"}")).Size()
	if bare := parser.Msgpack.ConnectError("/a", "no", nil).Size(); broken != bare || whole <= bare {
		t.Errorf("%d bytes with data, %d with broken data, %d without", whole, broken, bare)
	}
}

// TestConnectKeepsNothingOfTheMessage, whose bytes are the transport's again while middlewares decide.
func TestConnectKeepsNothingOfTheMessage(t *testing.T) {
	t.Parallel()
	packed := msgp.AppendInt(msgp.AppendString(msgp.AppendMapHeader(nil, 3), "type"), 0)
	packed = msgp.AppendString(msgp.AppendString(packed, "nsp"), "/a")
	packed = msgp.AppendMapHeader(msgp.AppendString(packed, "data"), 1)
	packed = msgp.AppendString(msgp.AppendString(packed, "token"), "t")
	for name, data := range map[string][]byte{"default": []byte(`0/a,{"token":"t"}`), "msgpack": packed} {
		d := parsers[name].Decoder(parser.Limits{Attachments: 10, AttachmentBytes: 10})
		p, err := d.Message(data, name == "msgpack")
		if err != nil {
			t.Fatal(err)
		}
		copy(data, bytes.Repeat([]byte("x"), len(data)))
		if p.Type != socketio.Connect || p.Namespace != "/a" || string(p.Data) != `{"token":"t"}` {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

// TestAttachmentsAreBounded in number, and with the default parser, where each is a message, in size.
func TestAttachmentsAreBounded(t *testing.T) {
	t.Parallel()
	limits := parser.Limits{Attachments: 1, AttachmentBytes: 3}
	d := parser.Default.Decoder(limits)
	if p, err := d.Message([]byte(`51-["e",{"_placeholder":true,"num":0}]`), false); p != nil || err != nil || d.Pending() == nil {
		t.Fatalf("%+v, %v", p, err)
	}
	if p, err := d.Message([]byte("four"), true); !errors.Is(err, socketio.ErrTooLarge) {
		t.Fatalf("%+v, %v", p, err)
	}
	two := []byte(`["e",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`)
	frame, err := socketio.AppendMsgpackEvent(nil, socketio.Head{}, two, [][]byte{nil, nil})
	if err != nil {
		t.Fatal(err)
	}
	d = parser.Msgpack.Decoder(limits)
	if p, err := d.Message(frame, true); !errors.Is(err, socketio.ErrTooLarge) || d.Pending() != nil {
		t.Fatalf("%+v, %v", p, err)
	}
	if p, err := d.Message([]byte(`2["e"]`), false); !errors.Is(err, socketio.ErrPacket) {
		t.Fatalf("%+v, %v", p, err)
	}
}

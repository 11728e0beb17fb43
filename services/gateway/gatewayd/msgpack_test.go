package gatewayd_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	ws "github.com/gorilla/websocket"
	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/engineio"
	"github.com/natter-io/natter/pkg/socketio"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

func withMsgpack(c *gatewayd.Config) { c.Parser = "msgpack" }

// TestMsgpackCarriesWhatTheContractSays has clients of two gateways, over both transports.
func TestMsgpackCarriesWhatTheContractSays(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	all := d.gateways(2, withMsgpack)
	d.admit("/guarded", func(e contract.Entry) string {
		if string(e.Handshake.Auth) != `{"token":"t","n":1.5}` {
			return `{"ok":false,"message":"who?","data":{"auth":` + string(e.Handshake.Auth) + `}}`
		}
		return `{"ok":true,"user":"u1"}`
	})
	a, b := all[0].dial().enter("/", ""), all[1].poll().enter("/", "")

	// Refusals.
	if got := a.ask("/unknown", "").refused(); got != `{"message":"Invalid namespace"}` {
		t.Fatal(got)
	}
	if got := a.ask("/guarded", `{"token":[]}`).refused(); got != `{"message":"who?","data":{"auth":{"token":[]}}}` {
		t.Fatal(got)
	}
	a.client.enter("/guarded", `{"token":"t","n":1.5}`)

	// Rules, with stamps, over both gateways.
	a.join("red")
	b.join("red")
	if ack := a.request(`"room message"`, `"red"`, `{"z":1,"a":"\ud83c\udf89"}`); !strings.Contains(ack, `"ok":true,"id":"`) {
		t.Fatal(ack)
	}
	for _, s := range []*socket{a, b} {
		if got := s.event(); !strings.HasPrefix(got, `["room message","red",{"z":1,"a":"🎉"},{"id":"`) {
			t.Fatal(got)
		}
	}

	// Services: events, with and without binary data, and their answers.
	events := d.listen("natter.on._.>")
	binary := `["pic",{"b":{"_placeholder":true,"num":0},"x":[{"_placeholder":true,"num":1}]}]`
	b.send(`52-` + binary)
	b.sendBinary([]byte{1, 2})
	b.sendBinary(nil)
	msg := recv(t, "the event", events)
	if string(msg.Data) != binary+"\x01\x02" || msg.Header.Get(contract.HeaderAttachments) != "2,0" {
		t.Fatalf("services heard %q %v", msg.Data, msg.Header)
	}
	d.serve("natter.on._.twice.>", func(*nats.Msg) string { return `[2.0,{"_placeholder":true,"num":0}]` })
	if got := a.request(`"twice"`, `1`); got != `[2,{"_placeholder":true,"num":0}]` {
		t.Fatal(got)
	}
	d.emit("/", []string{a.id}, `["file",{"_placeholder":true,"num":0},1]`+"\xff\x00", contract.HeaderAttachments, "2")
	if p := recv(t, "the file", a.events); string(p.Data) != `["file",{"_placeholder":true,"num":0},1]` || !bytes.Equal(p.Attachments[0], []byte{0xff, 0}) {
		t.Fatalf("heard %s %x", p.Data, p.Attachments)
	}
	// A client that polls misses it between two polls.
	const now = `["now",null]`
	wait(t, "a volatile event by polling", func() bool {
		if err := d.nc.PublishMsg(d.message(contract.Volatile, "/", nil, now)); err != nil {
			t.Fatal(err)
		}
		a.want(now)
		return len(b.events) > 0
	})

	// A question, which the client answers.
	answer := make(chan string, 1)
	go func() {
		reply, err := d.nc.Request("natter.ask._.socket."+b.id, []byte(`["capital","France"]`), patience)
		if err != nil {
			answer <- err.Error()
			return
		}
		answer <- string(reply.Data)
	}()
	question := recv(t, "the volatile event", b.events)
	for string(question.Data) == now {
		question = recv(t, "the question", b.events)
	}
	b.answer(question, `"Paris"`)
	if got := recv(t, "the answer", answer); got != `[{"id":"`+b.id+`","ack":["Paris"]}]` {
		t.Fatal(got)
	}

	// Skipped like anywhere: what no client can be told.
	d.emit("/", nil, `["connect"]`)
	d.emit("/", nil, `["e"`)
	d.do("/", []string{b.id}, `["disconnect"]`)
	b.wantOut()
	a.wantAlive()
}

// TestMsgpackViolationsEndTheirConnectionAlone sends what no client may send, each over a connection of its own.
func TestMsgpackViolationsEndTheirConnectionAlone(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway(withMsgpack)
	neighbour := g.connect()
	event, err := socketio.AppendMsgpackEvent(nil, socketio.Head{}, []byte(`["e"]`), nil)
	if err != nil {
		t.Fatal(err)
	}
	connect, err := msgpackFrame(&socketio.Packet{Type: socketio.Connect, Namespace: "/"})
	if err != nil {
		t.Fatal(err)
	}
	for name, frame := range map[string][]byte{
		"text of the default parser": nil,
		"nothing":                    {},
		"second CONNECT":             connect,
		"half a packet":              event[:len(event)-1],
		"more than a packet":         append(bytes.Clone(event), 0),
		"a huge array":               append(bytes.Clone(event[:len(event)-3]), 0xdd, 0xff, 0xff, 0xff, 0xff),
		"nested deeply":              append(bytes.Clone(event[:len(event)-3]), bytes.Repeat([]byte{0x91}, 500_000)...),
		"a reserved name":            bytes.Replace(event, []byte("\x91\xa1e"), []byte("\x91\xaadisconnect"), 1),
		"a namespace it is not in":   bytes.Replace(event, []byte("\xa1/"), []byte("\xa5/bare"), 1),
		"CONNECT_ERROR":              bytes.Replace(event, []byte("type\x02"), []byte("type\x04"), 1),
		"noise":                      bytes.Repeat([]byte{0xc1, 0xff, 0x80}, 100),
	} {
		s := g.connect()
		if frame == nil {
			s.link.(*msgpackLink).link.(*wsLink).conn.WriteMessage(ws.TextMessage, []byte(`42["e"]`)) //nolint:errcheck // the end is awaited
		} else {
			s.sendBinary(frame)
		}
		t.Log(name)
		s.wantOver()
		neighbour.wantAlive()
	}
	p := g.poll().enter("/", "")
	p.sendBinary([]byte{0xc1})
	p.wantOver()
	neighbour.wantAlive()
	wait(t, "their sockets to be gone", func() bool { return len(d.list("/", nil)) == 1 }) // soon after the connection
}

// TestParsersDoNotMix has clients of each parser at a gateway with the other, which ends the connection without
// a word, as the stock server does.
func TestParsersDoNotMix(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	plain, packed := d.gateway(), d.gateway(withMsgpack)
	a, b := plain.connect(), packed.connect()
	connect, err := msgpackFrame(&socketio.Packet{Type: socketio.Connect, Namespace: "/"})
	if err != nil {
		t.Fatal(err)
	}
	for _, dial := range []func() *client{plain.dial, plain.poll} {
		c := dial()
		c.sendBinary(connect)
		c.wantOver()
	}
	for _, dial := range []func() *client{packed.dial, packed.poll} {
		c := dial()
		if err := c.link.(*msgpackLink).link.write(engineio.Packet{Type: engineio.Message, Data: []byte("0")}); err != nil {
			t.Fatal(err)
		}
		c.wantOver()
	}
	// Those who use the gateway's own hear each other nevertheless.
	a.request(`"chat message"`, `{"a":[1]}`)
	for _, s := range []*socket{a, b} {
		if got := s.event(); !strings.HasPrefix(got, `["chat message",{"a":[1]},{"id":`) {
			t.Fatal(got)
		}
	}
}

// FuzzMsgpackFramesHarmNobodyElse sends any two frames from a client: it may lose its connection, its
// neighbour notices nothing.
func FuzzMsgpackFramesHarmNobodyElse(f *testing.F) {
	for _, seed := range []string{`2["chat message","x"]`, `20["join","red"]`, `2["room message","red",1]`, `20["who","red"]`, `3[]`, `1`, `0{"token":{}}`, `0/bare,{}`, `2["history",{"room":"red"}]`} {
		var d socketio.Decoder
		p, err := d.Text([]byte(seed))
		if err != nil {
			f.Fatal(err)
		}
		frame, err := msgpackFrame(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(frame, []byte{0x80})
	}
	d := deploy(silent{f})
	g := d.gateway(withMsgpack)
	neighbour := g.connect()
	neighbour.join("red")
	connect, err := msgpackFrame(&socketio.Packet{Type: socketio.Connect, Namespace: "/"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		d.t, g.t, neighbour.t = t, t, t
		conn, _, err := ws.DefaultDialer.Dial(g.url("ws", engineQuery+"websocket"), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetWriteDeadline(time.Now().Add(patience))
		for _, frame := range [][]byte{connect, first, second} {
			if conn.WriteMessage(ws.BinaryMessage, frame) != nil {
				break // closed meanwhile
			}
		}
		neighbour.wantAlive()
		neighbour.heard()
	})
}

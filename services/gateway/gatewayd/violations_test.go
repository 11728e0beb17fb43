package gatewayd_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	ws "github.com/gorilla/websocket"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// text is the frame of a Socket.IO text packet; other frames stand as they are.
func text(packet string) string { return "4" + packet }

// TestViolationsEndTheirConnectionAlone sends what no client may send, each over a connection of its own.
func TestViolationsEndTheirConnectionAlone(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	life := d.life("/bare")
	neighbour := begin(t, life, g.dial().enter("/bare", ""))
	d.do("/bare", []string{neighbour.id}, `["join","red"]`)
	deep := strings.Repeat("[", 2000) + strings.Repeat("]", 2000)
	eleven := `"x"`
	for i := range 11 {
		eleven += fmt.Sprintf(`,{"_placeholder":true,"num":%d}`, i)
	}
	const bin = "binary:"
	for _, c := range []struct {
		name   string
		frames []string
		reason string
	}{
		{"second CONNECT", []string{text("0/bare,")}, "forced server close"},
		{"second CONNECT with auth", []string{text(`0/bare,{"token":1}`)}, "forced server close"},
		{"CONNECT with an array", []string{text("0[]")}, ""},
		{"CONNECT with a string", []string{text(`0"x"`)}, ""},
		{"CONNECT with half an object", []string{text(`0/other,{`)}, ""},
		{"DISCONNECT with payload", []string{text("1/bare,{}")}, ""},
		{"empty array", []string{text("2/bare,[]")}, ""},
		{"object for array", []string{text("2/bare,{}")}, ""},
		{"string for array", []string{text(`2/bare,"x"`)}, ""},
		{"half an array", []string{text(`2/bare,["x"`)}, ""},
		{"more than an array", []string{text(`2/bare,["x"]]`)}, ""},
		{"event name is an object", []string{text(`2/bare,[{"toString":1}]`)}, ""},
		{"event name is an array", []string{text(`2/bare,[["x"]]`)}, ""},
		{"event name is null", []string{text(`2/bare,[null]`)}, ""},
		{"event name is true", []string{text(`2/bare,[true]`)}, ""},
		{"reserved connect", []string{text(`2/bare,["connect"]`)}, ""},
		{"reserved connect, escaped", []string{text(`2/bare,["\u0063onnect"]`)}, ""},
		{"reserved connect_error", []string{text(`2/bare,["connect_error"]`)}, ""},
		{"reserved disconnect", []string{text(`2/bare,["disconnect"]`)}, ""},
		{"reserved disconnecting", []string{text(`2/bare,["disconnecting"]`)}, ""},
		{"reserved newListener", []string{text(`2/bare,["newListener"]`)}, ""},
		{"reserved removeListener", []string{text(`2/bare,["removeListener"]`)}, ""},
		{"ack that is no array", []string{text(`3/bare,1{}`)}, ""},
		{"ack id over 2^53", []string{text(`2/bare,9007199254740992["x"]`)}, ""},
		{"CONNECT_ERROR", []string{text(`4/bare,{"message":"x"}`)}, ""},
		{"bare CONNECT_ERROR", []string{text(`4`)}, ""},
		{"attachment count 0", []string{text(`50-/bare,["x"]`)}, ""},
		{"attachment count missing", []string{text(`5/bare,["x"]`)}, ""},
		{"attachment count of an attack", []string{text(`59999999999-/bare,["x"]`)}, ""},
		{"11 attachments", []string{text(`511-/bare,[` + eleven + `]`)}, ""},
		{"attachment number out of range", []string{text(`51-/bare,["x",{"_placeholder":true,"num":1}]`)}, ""},
		{"attachment number negative", []string{text(`51-/bare,["x",{"_placeholder":true,"num":-1}]`)}, ""},
		{"attachment number of a method", []string{text(`51-/bare,["x",{"_placeholder":true,"num":"splice"}]`)}, ""},
		{"attachment without a placeholder", []string{text(`51-/bare,["x"]`)}, ""},
		{"text for an attachment", []string{text(`51-/bare,["x",{"_placeholder":true,"num":0}]`), text(`2/bare,["y"]`)}, ""},
		{"attachment without a packet", []string{bin + "x"}, ""},
		{"one attachment too many", []string{text(`51-/bare,["x",{"_placeholder":true,"num":0}]`), bin + "x", bin + "y"}, ""},
		{"unknown type", []string{text("7")}, ""},
		{"no type", []string{text("")}, ""},
		{"nested deeply", []string{text(`2/bare,["x",` + deep + `]`)}, ""},
		{"too many arguments", []string{text(`2/bare,["x"` + strings.Repeat(",1", 2000) + `]`)}, ""},
		{"namespace it is not in", []string{text(`2/other,["x"]`)}, "forced server close"},
		{"ack in a namespace it is not in", []string{text(`3/other,1[]`)}, "forced server close"},
		{"DISCONNECT of a namespace it is not in", []string{text(`1/other,`)}, "forced server close"},
		{"attachments for a namespace it is not in", []string{text(`51-/other,["x",{"_placeholder":true,"num":0}]`)}, "forced server close"},
		{"control character in a namespace", []string{text("0/a\x01,")}, ""},
		{"Engine.IO: unknown packet", []string{"9"}, "parse error"},
		{"Engine.IO: empty packet", []string{""}, "parse error"},
		{"Engine.IO: ping of a client", []string{"2"}, "transport error"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := begin(t, life, g.dial().enter("/bare", ""))
			for _, frame := range c.frames {
				if data, ok := strings.CutPrefix(frame, bin); ok {
					s.sendBinary([]byte(data))
				} else {
					s.raw(frame)
				}
			}
			s.wantOver()
			reason := c.reason
			if reason == "" {
				reason = "forced close"
			}
			wantEnd(t, life, s, reason)
			d.emit("/bare", []string{"red"}, `["all is well"]`)
			neighbour.wantHeard(`["all is well"]`)
		})
	}
	if infos := d.list("/bare", nil); len(infos) != 1 {
		t.Fatalf("%d sockets are left", len(infos))
	}
	g.wantSubscriptions(map[string][]string{"/bare": {"red"}})
}

func TestLegalOddities(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	events := d.listen("natter.on.bare.>")
	for _, dial := range []func() *client{g.dial, g.poll} {
		s := dial().enter("/bare", "")
		recv(t, "connect", events)
		for packet, event := range map[string]string{
			`2/bare,`: "", `2/bare,[1]`: "1", `2/bare,["error"]`: "error", `2/bare,[""]`: "", `2/bare,["__proto__"]`: "__proto__", `2/bare,["message"]`: "message",
			`3/bare,77[]`: "", `3/bare,[]`: "", `2/bare,9007199254740991["x"]`: "x", `2/bare,[-1.5e3]`: "-1.5e3",
		} {
			s.send(packet)
			if !strings.Contains(packet, "[") || packet[0] == '3' {
				continue
			}
			msg := recv(t, "the event of "+packet, events)
			if p, err := (contract.Subjects{}).Parse(msg.Subject); err != nil || p.Event != event {
				t.Errorf("%s became %s %s", packet, msg.Subject, msg.Data)
			}
		}
		d.emit("/bare", []string{s.id}, `["well"]`)
		s.wantHeard(`["well"]`)
	}
}

// TestBeforeItsFirstNamespaceAClientCanDoNothing sends to namespaces before it is let in.
func TestBeforeItsFirstNamespaceAClientCanDoNothing(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	events := d.listen("natter.on.>")
	for _, packet := range []string{
		`2["x"]`, `2`, `1`, `3[]`, `51-["x",{"_placeholder":true,"num":0}]`, `61-0[{"_placeholder":true,"num":0}]`,
	} {
		for _, dial := range []func() *client{g.dial, g.poll} {
			c := dial()
			c.send(packet)
			c.wantOver()
		}
		c := g.dial()
		c.ask("/guarded", `{"token":"t"}`) // which nobody answers
		c.send(strings.NewReplacer(`2`, `2/guarded,`, `1`, `1/guarded,`, `3`, `3/guarded,`).Replace(packet[:1]) + packet[1:])
		c.wantOver()
	}
	if len(events) > 0 {
		t.Fatalf("services heard %s", (<-events).Subject)
	}
}

func TestClientsThatEnterNothingAreClosed(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway(func(c *gatewayd.Config) { c.ConnectTimeout = 2 * time.Second })
	in := g.connect()
	var out []*client
	for _, dial := range []func() *client{g.dial, g.poll} {
		c := dial()
		if got := c.ask("/unknown", "").refused(); got != `{"message":"Invalid namespace"}` {
			t.Fatal(got)
		}
		out = append(out, c, dial())
	}
	for _, c := range out {
		c.wantOver()
	}
	in.wantAlive()
}

func TestConnectionHasABoundedNumberOfNamespaces(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway(func(c *gatewayd.Config) { c.MaxNamespaces = 2 })
	c := g.dial()
	c.enter("/", "")
	c.enter("/bare", "")
	c.send("1/bare,")
	c.enter("/told", "")
	c.ask("/bare", "")
	c.wantOver()
}

// TestSlowClientIsDisconnected has a client that stops reading among others in its rooms.
func TestSlowClientIsDisconnected(t *testing.T) {
	t.Parallel()
	const size, most = 60_000, 1000
	d := deploy(t)
	g := d.gateway(func(c *gatewayd.Config) { c.MaxQueueBytes = 4 * size; c.Workers = 1 })
	life := d.life("/bare")
	others := []*socket{begin(t, life, g.dial().enter("/bare", "")), begin(t, life, g.poll().enter("/bare", ""))}

	dialer := ws.Dialer{NetDial: func(network, address string) (net.Conn, error) {
		conn, err := net.Dial(network, address)
		if err == nil {
			err = conn.(*net.TCPConn).SetReadBuffer(4096)
		}
		return conn, err
	}}
	conn, _, err := dialer.Dial(g.url("ws", engineQuery+"websocket"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.WriteMessage(ws.TextMessage, []byte("40/bare,")); err != nil {
		t.Fatal(err)
	}
	connected := recv(t, "connect", life)
	p, err := contract.Subjects{}.Parse(connected.Subject)
	if err != nil {
		t.Fatal(err)
	}
	d.do("/bare", nil, `["join","red"]`)

	filler := strings.Repeat("x", size)
	sent := 0
	for ; len(life) == 0; sent++ {
		if sent == most {
			t.Fatal("the slow client is still there")
		}
		event := fmt.Sprintf(`["e",%d,"%s"]`, sent, filler)
		d.emit("/bare", []string{"red"}, event)
		for _, s := range others {
			if got := s.event(); got != event { // at once, whatever the slow one does
				t.Fatalf("no. %d: heard %.40s", sent, got)
			}
		}
	}
	wantEnd(t, life, &socket{id: p.Socket}, "transport error", "red")
	for _, s := range others {
		d.emit("/bare", []string{s.id}, `["well"]`)
		s.wantHeard(`["well"]`)
	}
	if infos := d.list("/bare", nil); len(infos) != len(others) {
		t.Fatalf("%d sockets are left", len(infos))
	}
}

// TestIDsCannotBeGuessed looks at what clients are called.
func TestIDsCannotBeGuessed(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	c := g.dial()
	seen := map[string]bool{}
	for range 200 {
		s := c.enter("/", "")
		_, id, err := contract.SplitSocketID(s.id)
		if err != nil || seen[id] || seen[id[:8]] || seen[id[12:]] {
			t.Fatalf("id %s is like another: %v", s.id, err)
		}
		seen[id], seen[id[:8]], seen[id[12:]] = true, true, true
		c.send("1")
	}
}

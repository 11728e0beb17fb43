package gatewayd_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

func TestLocalMeansTheSocketsOfOneGateway(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(2)
	here, there := gws[0].dial().enter("/bare", ""), gws[1].dial().enter("/bare", "")
	local := []string{contract.HeaderGateway, gws[0].ID()}
	d.do("/bare", nil, `["join","red"]`)
	d.do("/bare", nil, `["join","blue"]`, local...)
	for _, rooms := range [][]string{nil, {"red"}, {"red", "blue"}, {here.id, there.id}} {
		d.emit("/bare", rooms, `["local"]`, local...)
		here.want(`["local"]`)
	}
	if err := d.nc.PublishMsg(d.message(contract.Volatile, "/bare", nil, `["now"]`, local...)); err != nil {
		t.Fatal(err)
	}
	here.want(`["now"]`)
	d.emit("/bare", []string{"blue"}, `["blue"]`)
	here.want(`["blue"]`)
	if got := append(there.heardVolatile(), there.heard()...); len(got) > 0 {
		t.Errorf("at the other gateway: %q", got)
	}

	// Every gateway answers; those that are not meant have no such sockets.
	answers := d.ask(d.message(contract.List, "/bare", nil, "", local...))
	if len(answers) != 2 {
		t.Errorf("%d gateways answered", len(answers))
	}
	replies := d.asked(d.message(contract.Ask, "/bare", []string{"red"}, `["?"]`, local...))
	here.answer(recv(t, "the question", here.events), "1")
	if byID, expected := acks(t, recv(t, "the answers", replies)); expected != 1 || byID[here.id] != "[1]" {
		t.Errorf("%d were asked, they said %v", expected, byID)
	}
	there.wantHeard()

	// What is malformed is skipped, and refused where somebody hears of it.
	d.emit("/bare", nil, `["lost"]`, contract.HeaderGateway, "a.b")
	here.wantHeard()
	reply, err := d.nc.RequestMsg(d.message(contract.List, "/bare", nil, "", contract.HeaderGateway, "*"), patience)
	if err != nil || reply.Header.Get(contract.HeaderError) != contract.CodeInvalid {
		t.Errorf("%v %v", reply, err)
	}
}

func TestServicesAreToldAuthWhereTheyAsk(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway(func(c *gatewayd.Config) {
		c.Namespaces["/open"] = contract.Namespace{Use: []string{"auth"}, HandshakeAuth: true}
	})
	d.serve("natter.use.*.auth", func(*nats.Msg) string { return `{"ok":true}` })
	c := g.dial()
	for ns, want := range map[string]string{"/open": `{"key":"<1>","n":1.0}`, "/guarded": "", "/bare": ""} {
		life := d.life(ns)
		s := c.enter(ns, `{"key":"<1>","n":1.0}`)
		var args []json.RawMessage
		var in contract.Connected
		m := recv(t, "connect", life)
		if err := json.Unmarshal(m.Data, &args); err != nil || json.Unmarshal(args[1], &in) != nil {
			t.Fatalf("connect %s", m.Data)
		}
		if got := string(in.Handshake.Auth); got != want || in.Transport != "websocket" {
			t.Errorf("%s: connect tells of auth %s and the transport %q", ns, got, in.Transport)
		}
		if got := string(d.list(ns, nil)[s.id].Handshake.Auth); got != strings.ReplaceAll(strings.ReplaceAll(want, "<", `\u003c`), ">", `\u003e`) {
			t.Errorf("%s: list tells of auth %s", ns, got)
		}
	}
	big := `{"key":"` + strings.Repeat("x", contract.MaxData) + `"}`
	if got := g.dial().ask("/open", big).refused(); !strings.Contains(got, "auth has") {
		t.Errorf("auth without bound: %s", got)
	}
	g.dial().enter("/guarded", big)
	if p := g.poll().enter("/bare", ""); d.list("/bare", nil)[p.id].Transport != "polling" {
		t.Error("the transport of a client that polls")
	}
}

func TestMiddlewaresGreet(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	answers := []string{
		`{"ok":true,"emit":[{"event":["connect"]}]}`, // none of these is an answer
		`{"ok":true,"emit":[{"event":{}}]}`,
		`{"ok":true,"emit":[{"event":["a"],"attachments":["AA=="]}]}`,
		`{"ok":true,"emit":[{}]}`,
	}
	d.admit("/guarded", func(contract.Entry) string {
		if len(answers) > 0 {
			answer := answers[0]
			answers = answers[1:]
			return answer
		}
		return `{"ok":true,"emit":[{"event":["hello",{"z":1,"a":"<"}]},{"event":["file",{"_placeholder":true,"num":0}],"attachments":["AQL/"]}]}`
	})
	s := g.dial().ask("/guarded", "")
	s.want(`["hello",{"z":1,"a":"<"}]`)
	p := recv(t, "the file", s.events)
	if string(p.Data) != `["file",{"_placeholder":true,"num":0}]` || len(p.Attachments) != 1 || string(p.Attachments[0]) != "\x01\x02\xff" {
		t.Errorf("heard %s %x", p.Data, p.Attachments)
	}
	s.entered()
}

func TestReasonsOfTwoKindsOfViolation(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway(func(c *gatewayd.Config) { c.MaxHTTPBufferSize = 1000 })
	life := d.life("/bare")
	for reason, packet := range map[string]string{
		"forced close":        `2/bare,{}`,
		"forced server close": `2/other,["x"]`,
		"transport error":     `2/bare,["` + strings.Repeat("x", 1000) + `"]`,
	} {
		s := begin(t, life, g.dial().enter("/bare", ""))
		s.send(packet)
		wantEnd(t, life, s, reason)
	}
}

package gatewayd_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

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

package gatewayd_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// life follows the events of sockets' lives in a namespace, as services hear them.
func (d *deployment) life(namespace string) <-chan *nats.Msg {
	d.t.Helper()
	var subjects []string
	for _, event := range []string{contract.EventConnect, contract.EventDisconnecting, contract.EventDisconnect} {
		subject, err := contract.Subjects{}.OnAny(namespace, event)
		if err != nil {
			d.t.Fatal(err)
		}
		subjects = append(subjects, subject)
	}
	return d.listen(subjects...)
}

// wantEnd takes the next two events of a socket's life, which must be its end with the reason.
func wantEnd(t testing.TB, life <-chan *nats.Msg, s *socket, reason string, rooms ...string) {
	t.Helper()
	for _, name := range []string{contract.EventDisconnecting, contract.EventDisconnect} {
		msg := recv(t, name, life)
		p, err := contract.Subjects{}.Parse(msg.Subject)
		if err != nil || p.Event != name || p.Socket != s.id {
			t.Fatalf("services heard %s %s, want %s of %s", msg.Subject, msg.Data, name, s.id)
		}
		var args []any
		if err := json.Unmarshal(msg.Data, &args); err != nil || len(args) < 2 || args[0] != name || args[1] != reason {
			t.Fatalf("services heard %s, want the reason %q", msg.Data, reason)
		}
		if name == contract.EventDisconnecting && fmt.Sprint(args[2]) != fmt.Sprint(rooms) {
			t.Fatalf("services heard %s, want the rooms %q", msg.Data, rooms)
		}
	}
}

// begin enters a namespace and takes the connect event.
func begin(t testing.TB, life <-chan *nats.Msg, s *socket) *socket {
	t.Helper()
	msg := recv(t, "connect", life)
	p, err := contract.Subjects{}.Parse(msg.Subject)
	if err != nil || p.Event != contract.EventConnect || p.Socket != s.id {
		t.Fatalf("services heard %s %s, want connect of %s", msg.Subject, msg.Data, s.id)
	}
	var args []json.RawMessage
	var c contract.Connected
	if json.Unmarshal(msg.Data, &args) != nil || len(args) != 2 || json.Unmarshal(args[1], &c) != nil || c.ID != s.id || c.Recovered {
		t.Fatalf("services heard %s", msg.Data)
	}
	return s
}

// wantEndOf is wantEnd for a socket in rooms whose order is not known.
func wantEndOf(t testing.TB, life <-chan *nats.Msg, s *socket, reason string) {
	t.Helper()
	for _, name := range []string{contract.EventDisconnecting, contract.EventDisconnect} {
		if msg := recv(t, name, life); !strings.Contains(msg.Subject, "."+name+"."+s.id) || !strings.Contains(string(msg.Data), quote(reason)) {
			t.Fatalf("services heard %s %s, want %s of %s: %s", msg.Subject, msg.Data, name, s.id, reason)
		}
	}
}

func TestReasonsThatServicesHear(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	life := d.life("/bare")
	for _, c := range []struct {
		reason string
		end    func(g *gateway, s *socket)
	}{
		{"client namespace disconnect", func(_ *gateway, s *socket) { s.send("1/bare,") }},
		{"transport close", func(_ *gateway, s *socket) { s.close() }},
		{"forced close", func(_ *gateway, s *socket) { s.send("2/bare,{}") }},
		{"parse error", func(_ *gateway, s *socket) { s.raw("x") }},
		{"server namespace disconnect", func(g *gateway, s *socket) { d.do("/bare", nil, `["disconnect"]`) }},
		{"server shutting down", func(g *gateway, s *socket) { g.stop() }},
	} {
		g := d.gateway()
		s := begin(t, life, g.dial().enter("/bare", ""))
		d.do("/bare", []string{s.id}, `["join","red"]`)
		s.heard()
		c.end(g, s)
		wantEnd(t, life, s, c.reason, "red")
		g.stop()
	}
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

package gatewayd_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/embed"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

func TestRulesRefuse(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway(func(c *gatewayd.Config) {
		c.MaxRooms = 3
		c.Namespaces["/"].Events["secret"] = contract.Rule{Action: contract.ActionRefuse}
		c.Namespaces["/"].Events["mine"] = contract.Rule{Action: contract.ActionEmit, To: "room", Args: 1}
		c.Namespaces["/"].Events["shout"] = contract.Rule{Action: contract.ActionVolatile, To: "all", Args: 2}
		c.Namespaces["/"].Events["members"] = contract.Rule{Action: contract.ActionWho, Args: 1, Members: true}
	})
	s, hearer := g.connect(), g.connect()
	s.join("red")
	id := quote(hearer.id)
	long := quote(strings.Repeat("r", 129))
	refusals := []struct {
		args []string
		code string
	}{
		{[]string{`"chat message"`}, "invalid"},
		{[]string{`"chat message"`, `1`, `2`}, "invalid"},
		{[]string{`"room message"`, `"red"`}, "invalid"},
		{[]string{`"room message"`, `"red"`, `1`, `{"id":"forged"}`}, "invalid"},
		{[]string{`"room message"`, `7`, `1`}, "invalid"},
		{[]string{`"room message"`, `null`, `1`}, "invalid"},
		{[]string{`"room message"`, `["red"]`, `1`}, "invalid"},
		{[]string{`"room message"`, `"blue"`, `1`}, "forbidden"},
		{[]string{`"room message"`, `"user:u1"`, `1`}, "forbidden"},
		{[]string{`"room message"`, id, `1`}, "forbidden"},
		{[]string{`"room message"`, long, `1`}, "invalid"},
		{[]string{`"typing"`, `"blue"`}, "forbidden"},
		{[]string{`"typing"`}, "invalid"},
		{[]string{`"typing"`, id}, "forbidden"},
		{[]string{`"mine"`, id}, "forbidden"},
		{[]string{`"mine"`, `"user:"`}, "forbidden"},
		{[]string{`"shout"`, `1`}, "invalid"},
		{[]string{`"join"`}, "invalid"},
		{[]string{`"join"`, `{}`}, "invalid"},
		{[]string{`"join"`, `"a"`, `"b"`}, "invalid"},
		{[]string{`"join"`, `"user:u1"`}, "forbidden"},
		{[]string{`"join"`, id}, "forbidden"},
		{[]string{`"join"`, long}, "invalid"},
		{[]string{`"leave"`, `true`}, "invalid"},
		{[]string{`"leave"`, `"user:u1"`}, "forbidden"},
		{[]string{`"who"`, id}, "forbidden"},
		{[]string{`"who"`, `"user:u1"`}, "forbidden"},
		{[]string{`"who"`}, "invalid"},
		{[]string{`"members"`, `"blue"`}, "forbidden"},
		{[]string{`"history"`, `"red"`}, "invalid"},
		{[]string{`"history"`, `{"room":7}`}, "invalid"},
		{[]string{`"history"`, `{"room":"blue"}`}, "forbidden"},
		{[]string{`"history"`, `{"room":"user:u1"}`}, "forbidden"},
		{[]string{`"history"`, `{"room":"red","around":"` + strings.Repeat("9", 200) + `"}`}, "invalid"},
		{[]string{`"search"`, `"word"`}, "invalid"},
		{[]string{`"search"`, `{"text":"word","rooms":["red","blue"]}`}, "forbidden"},
		{[]string{`"search"`, `{"text":"word","rooms":["user:u1"]}`}, "forbidden"},
		{[]string{`"search"`, `{"text":"word","rooms":[]}`}, "invalid"},
		{[]string{`"edit message"`, `{"room":"blue","id":"x-1","value":"v"}`}, "forbidden"},
		{[]string{`"edit message"`}, "invalid"},
		{[]string{`"delete message"`, `{"room":"blue","id":"x-1"}`}, "forbidden"},
		{[]string{`"read"`, `{"room":"blue","id":"x-1"}`}, "forbidden"},
		{[]string{`"read"`, `{"room":"red","id":"x-1"}`}, "forbidden"}, // a guest
		{[]string{`"unread"`, `{}`}, "forbidden"},
		{[]string{`"secret"`, `1`}, "forbidden"},
		{[]string{long}, "invalid"},
	}
	for _, c := range refusals {
		before := g.metric("natter_gateway_events_refused_total", c.code)
		if ack := s.request(c.args...); !strings.HasPrefix(ack, `[{"ok":false,"code":"`+c.code+`","message":"`) {
			t.Errorf("%.80q: %s, want %s", c.args, ack, c.code)
		}
		if n := g.metric("natter_gateway_events_refused_total", c.code) - before; n != 1 {
			t.Errorf("%.80q: %v refusals were counted", c.args, n)
		}
	}
	for _, c := range refusals {
		s.emit(c.args...) // without an ack the refusal is silent
	}
	s.wantAlive()
	if n := g.metric("natter_gateway_events_refused_total"); n != float64(2*len(refusals)) {
		t.Errorf("%v refusals were counted, want %d", n, 2*len(refusals))
	}
	s.join("blue", "green")
	if ack := s.request(`"join"`, `"one too many"`); !strings.Contains(ack, `"code":"forbidden"`) {
		t.Errorf("a fourth room: %s", ack)
	}
	s.join("blue") // it is in already
	for _, hears := range []*socket{s, hearer} {
		if got := append(hears.heardVolatile(), hears.heard()...); len(got) > 0 {
			t.Errorf("heard %q", got)
		}
	}
	if ack := s.request(`"members"`, `"blue"`); !strings.Contains(ack, s.id) {
		t.Errorf("who is in blue: %s", ack)
	}
}

// TestOversizedMessagesAreRefused sends messages around NATS's max_payload, over which NATS would close the
// gateway's connection: each is either refused, or acked and heard by everyone.
func TestOversizedMessagesAreRefused(t *testing.T) {
	t.Parallel()
	const limit = 64 << 10
	d := deploy(t, natstest.WithOptions(func(o *embed.Options) { o.MaxPayload = limit }))
	gws := d.gateways(2, func(c *gatewayd.Config) { c.MaxHTTPBufferSize = 4 * limit })
	a, b := gws[0].connect(`{"name":"Ann"}`), gws[1].connect()
	refused, accepted := 0, 0
	for size := limit - 500; size <= limit+50; size += 25 {
		text := quote(strings.Repeat("x", size))
		ack := a.request(`"chat message"`, text)
		switch {
		case strings.HasPrefix(ack, `[{"ok":true`):
			accepted++
			for _, s := range []*socket{a, b} {
				if got := s.event(); !strings.HasPrefix(got, `["chat message",`+text) {
					t.Fatalf("%d bytes: heard %.60s", size, got)
				}
			}
		case strings.HasPrefix(ack, `[{"ok":false,"code":"invalid"`):
			refused++
		default:
			t.Fatalf("%d bytes: %s", size, ack)
		}
	}
	if refused == 0 || accepted == 0 {
		t.Fatalf("%d refused, %d accepted", refused, accepted)
	}
	a.join("red")
	large := quote(strings.Repeat("x", 2*limit))
	bare := a.client.enter("/bare", "")
	for name, ack := range map[string]string{
		"room message": a.request(`"room message"`, `"red"`, large),
		"service":      bare.request(`"event"`, large),
	} {
		if !strings.HasPrefix(ack, `[{"ok":false,"code":"invalid"`) {
			t.Errorf("%s: %s", name, ack)
		}
	}
	d.admit("/guarded", func(contract.Entry) string { return `{"ok":true}` })
	if got := a.client.ask("/guarded", `{"token":`+large+`}`).refused(); !strings.Contains(got, "too large") {
		t.Errorf("a large handshake: %s", got)
	}
	a.wantHeard()
	a.wantAlive()
	b.wantHeard()
}

// namespacesBucket is where namespaces are configured.
func (d *deployment) namespacesBucket() jetstream.KeyValue {
	d.t.Helper()
	kv, err := d.js.KeyValue(d.t.Context(), contract.Subjects{}.Names().Namespaces)
	if err != nil {
		d.t.Fatal(err)
	}
	return kv
}

func (d *deployment) configure(key, value string) {
	d.t.Helper()
	if _, err := d.namespacesBucket().Put(d.t.Context(), key, []byte(value)); err != nil {
		d.t.Fatal(err)
	}
}

// awaitNamespace waits until clients can enter a namespace, and enters it.
func (g *gateway) awaitNamespace(name string) *socket {
	g.t.Helper()
	c := g.dial()
	var s *socket
	wait(g.t, "the namespace "+name, func() bool {
		s = c.ask(name, "")
		answer := recv(g.t, "the answer to CONNECT", s.entry)
		s.entry <- answer
		return strings.Contains(answer, `"sid"`)
	})
	return s.entered()
}

func TestConfigurationAppliesLive(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(2)
	s := gws[1].connect()
	if got := s.client.ask("/new", "").refused(); got != `{"message":"Invalid namespace"}` {
		t.Fatalf("an unknown namespace: %s", got)
	}
	d.configure("new", `{"events":{"say":{"action":"emit","to":"all","args":1}}}`)
	for _, g := range gws {
		n := g.awaitNamespace("/new")
		if ack := n.request(`"say"`, `1`); !strings.Contains(ack, `"ok":true`) {
			t.Fatalf("a new rule: %s", ack)
		}
	}
	rules := `{"events":{"say":{"action":"refuse"},"shout":{"action":"emit","to":"all","args":2}}}`
	d.configure("new", rules)
	n := gws[0].awaitNamespace("/new")
	wait(t, "the new rules", func() bool { return strings.Contains(n.request(`"say"`, `1`), "forbidden") })

	// What is not valid leaves the old in force, there and elsewhere.
	for i, bad := range []string{
		`{`, ``, `[]`, `{"events":{"say":{"action":"fly"}}}`, `{"events":{"say":{"action":"post"}}}`, `{"role":"admin"}`, `{"events":{"say":{"action":"emit","to":"all","args":-1}}}`,
	} {
		d.configure("new", bad)
		d.configure("not.a.token", `{}`)
		d.configure(fmt.Sprintf("after-%d", i), `{}`)
		gws[0].awaitNamespace(fmt.Sprintf("/after-%d", i))
		if ack := n.request(`"say"`, `1`); !strings.Contains(ack, "forbidden") {
			t.Fatalf("after %s: %s", bad, ack)
		}
		if ack := n.request(`"shout"`, `1`, `2`); !strings.Contains(ack, `"ok":true`) {
			t.Fatalf("after %s: %s", bad, ack)
		}
	}

	// A namespace that is removed takes nobody in; who is there stays, and no rule is left to be broken.
	if err := d.namespacesBucket().Delete(t.Context(), "new"); err != nil {
		t.Fatal(err)
	}
	c := gws[0].dial()
	wait(t, "the namespace's end", func() bool {
		ask := c.ask("/new", "")
		answer := recv(t, "the answer to CONNECT", ask.entry)
		if strings.Contains(answer, `"sid"`) {
			c.send("1/new,")
			return false
		}
		return answer == `{"message":"Invalid namespace"}`
	})
	d.emit("/new", []string{n.id}, `["still here"]`)
	if got := n.heard(); got[len(got)-1] != `["still here"]` {
		t.Fatalf("heard %q", got)
	}
}

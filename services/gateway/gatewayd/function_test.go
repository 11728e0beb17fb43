package gatewayd_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// functions declares two, a pattern and a static namespace that come before them.
func functions(c *gatewayd.Config) {
	c.Namespaces["/**tenants"] = contract.Namespace{Use: []string{"auth"}, Events: map[string]contract.Rule{
		"shout": {Action: contract.ActionEmit, To: "all", Args: 1},
	}}
	c.Namespaces["/**others"] = contract.Namespace{}
	c.Namespaces["/pattern-*"] = contract.Namespace{}
}

// exists answers for a function.
func (d *deployment) exists(name string, f func(contract.Entry) string) *nats.Subscription {
	d.t.Helper()
	subject, err := contract.Subjects{}.Use(contract.Function(name), contract.MiddlewareExists)
	if err != nil {
		d.t.Fatal(err)
	}
	return d.serve(subject, func(m *nats.Msg) string {
		var e contract.Entry
		if err := json.Unmarshal(m.Data, &e); err != nil {
			return `{"ok":"the test cannot read this"}`
		}
		return f(e)
	})
}

const invalidNamespace = `{"message":"Invalid namespace"}`

func TestFunctionsSayWhichNamespacesExist(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(2, functions)
	asked := make(chan contract.Entry, 100)
	d.exists("tenants", func(e contract.Entry) string {
		asked <- e
		if strings.HasPrefix(e.Namespace, "/tenant/") && string(e.Handshake.Auth) == `{"key":1}` {
			return `{"ok":true}`
		}
		return `{"ok":false}`
	})
	d.exists("others", func(e contract.Entry) string {
		if e.Namespace == "/ü .x" {
			return `{"ok":true}`
		}
		return `{"ok":false,"message":"not mine"}`
	})
	middleware := d.listen("natter.use.*.auth")
	d.serve("natter.use.*.auth", func(*nats.Msg) string { return `{"ok":true}` })
	said := d.listen("natter.on.>")

	a, b := gws[0].dial().enter("/tenant/a", `{"key":1}`), gws[1].dial().enter("/tenant/a", `{"key":1}`)
	if m := recv(t, "the middleware's request", middleware); m.Subject != "natter.use.tenant=2Fa.auth" || m.Header.Get(contract.HeaderPattern) != "=2A=2Atenants" {
		t.Errorf("asked on %s with %v", m.Subject, m.Header)
	}
	if m := recv(t, "connect", said); !strings.HasPrefix(m.Subject, "natter.on.tenant=2Fa.connect.") || m.Header.Get(contract.HeaderPattern) != "=2A=2Atenants" {
		t.Errorf("services heard %s with %v", m.Subject, m.Header)
	}
	if got := a.request(`"shout"`, `"hi"`); !strings.Contains(got, `"ok":true`) {
		t.Fatalf("the function's rules do not hold: %s", got)
	}
	b.wantStamped("shout", "hi")
	a.wantStamped("shout", "hi")

	// It is asked about each client anew, even where others are in.
	c := gws[0].dial()
	for _, name := range []string{"/tenant/a", "/nobody's", "/**tenants", "/" + strings.Repeat("x", contract.MaxToken+1)} {
		if got := c.ask(name, `{"key":2}`).refused(); got != invalidNamespace {
			t.Errorf("%s: %s", name, got)
		}
	}
	other := c.enter("/ü .x", "")

	// What has a configuration, or a pattern, is nobody's to decide.
	for len(asked) > 0 {
		<-asked
	}
	c.enter("/bare", "")
	c.enter("/pattern-1", "")
	if len(asked) > 0 {
		t.Errorf("the function was asked about %s", (<-asked).Namespace)
	}

	// What is said to the function reaches all namespaces that it said exist.
	e := c.enter("/tenant/e", `{"key":1}`)
	d.emit("/**tenants", nil, `["all"]`)
	for _, s := range []*socket{a, b, e} {
		s.want(`["all"]`)
	}
	other.wantHeard()
	if infos := d.list("/**tenants", nil); len(infos) != 3 || infos[e.id].Namespace != "/tenant/e" {
		t.Errorf("listed %v", infos)
	}
	// Nothing is left of a namespace that everybody has left.
	c.send("1/tenant/e,")
	wait(t, "the end of /tenant/e", func() bool { return len(d.list("/**tenants", nil)) == 2 })
	if got := c.ask("/tenant/e", "").refused(); got != invalidNamespace {
		t.Errorf("afterwards: %s", got)
	}
}

func TestFunctionThatIsDownHidesNoNamespace(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway(functions, func(c *gatewayd.Config) { c.ConnectTimeout = time.Second })
	c := g.dial()
	s := c.ask("/tenant/a", "")
	c.wantOver() // held, asked again, and closed without a word
	if len(s.entry) > 0 {
		t.Errorf("CONNECT was answered %s", <-s.entry)
	}
	// A connection that lives is not closed; the client is in as soon as the function answers.
	c = g.dial()
	in := c.enter("/bare", "")
	s = c.ask("/tenant/a", "")
	in.wantHeard()
	d.serve("natter.use.*.auth", func(*nats.Msg) string { return `{"ok":true}` })
	d.exists("others", func(contract.Entry) string { return `{"ok":true}` })
	s.entered()
}

// While somebody is in a namespace, all of its clients at the gateway have the one configuration.
func TestNamespaceBelongsToOneFunction(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway(functions)
	d.exists("others", func(e contract.Entry) string {
		if string(e.Handshake.Auth) == `{"mine":"others"}` {
			return `{"ok":true}`
		}
		return `{"ok":false}`
	})
	d.exists("tenants", func(contract.Entry) string { return `{"ok":true}` })
	d.serve("natter.use.*.auth", func(*nats.Msg) string { return `{"ok":true}` })
	first := g.dial().enter("/x", `{"mine":"others"}`)
	if got := g.dial().ask("/x", "").refused(); got != invalidNamespace {
		t.Errorf("a client that the namespace's function does not want: %s", got)
	}
	first.send("1/x,")
	// Its end is stored and told before the namespace is free again.
	wait(t, "the namespace's end", func() bool {
		return recv(t, "the answer to CONNECT", g.dial().ask("/x", "").entry) != invalidNamespace
	})
	if infos := d.list("/**others", nil); len(infos) != 0 {
		t.Errorf("of the function before, listed %v", infos)
	}
	if infos := d.list("/**tenants", nil); len(infos) != 1 {
		t.Errorf("listed %v", infos)
	}
}

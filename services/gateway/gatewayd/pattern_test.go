package gatewayd_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/gather"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// games declares a pattern, a more precise one, and a namespace that both would stand for.
func games(c *gatewayd.Config) {
	c.Namespaces["/game-*"] = contract.Namespace{Events: map[string]contract.Rule{
		"join":  {Action: contract.ActionJoin, Args: 1},
		"shout": {Action: contract.ActionEmit, To: "all", Args: 1},
	}}
	c.Namespaces["/game-vip-*"] = contract.Namespace{Use: []string{"auth"}}
	c.Namespaces["/game-lobby"] = contract.Namespace{Role: "player", Use: []string{"auth"}}
}

func TestPatternServesTheNamespacesItStandsFor(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway(games)
	asked := make(chan *nats.Msg, 10)
	d.serve("natter.use.*.auth", func(m *nats.Msg) string {
		asked <- m
		return `{"ok":true}`
	})
	c := g.dial()
	one, two := c.enter("/game-1", ""), c.enter("/game-2", "")
	if got := one.request(`"shout"`, `"hi"`); !strings.Contains(got, `"ok":true`) {
		t.Fatalf("ack %s", got)
	}
	one.wantStamped("shout", "hi")
	two.wantHeard() // they are namespaces of their own
	d.emit("/game-2", nil, `["only two"]`)
	two.want(`["only two"]`)
	one.wantHeard()
	for _, name := range []string{"/game-", "/game-1/2", "/game-*", "/Game-1", "/game-" + strings.Repeat(" ", 50)} {
		if got := c.ask(name, "").refused(); got != `{"message":"Invalid namespace"}` {
			t.Errorf("%s: %s", name, got)
		}
	}
	c.enter("/game-vip-1", "")
	if m := recv(t, "the middleware's request", asked); m.Subject != "natter.use.game-vip-1.auth" || m.Header.Get(contract.HeaderPattern) != "game-vip-=2A" {
		t.Errorf("asked on %s with %v", m.Subject, m.Header)
	}
	if got := c.ask("/game-lobby", "").refused(); !strings.Contains(got, "player") {
		t.Errorf("the namespace with a configuration of its own: %s", got)
	}
	if m := recv(t, "the middleware's request", asked); m.Subject != "natter.use.game-lobby.auth" || m.Header.Get(contract.HeaderPattern) != "" {
		t.Errorf("asked on %s with %v", m.Subject, m.Header)
	}
	if n := g.metric("natter_gateway_events_received_total", "/game-*", "emit"); n != 1 {
		t.Errorf("the events of the pattern: %v, want 1", n)
	}
}

func TestServicesKnowThePattern(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway(games)
	said := d.listen("natter.on.>")
	g.dial().enter("/game-1", "").emit(`"move"`, "1")
	for _, want := range []string{"natter.on.game-1.connect.", "natter.on.game-1.move."} {
		if m := recv(t, "what services hear", said); !strings.HasPrefix(m.Subject, want) || m.Header.Get(contract.HeaderPattern) != "game-=2A" {
			t.Errorf("heard %s with %v", m.Subject, m.Header)
		}
	}
	s := g.dial().enter("/bare", "")
	if m := recv(t, "what services hear", said); m.Subject != "natter.on.bare.connect."+s.id || m.Header.Get(contract.HeaderPattern) != "" {
		t.Errorf("heard %s with %v", m.Subject, m.Header)
	}
}

func TestWhatIsSaidToAPatternReachesAllItStandsFor(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(2, games)
	d.admit("/game-vip-1", func(contract.Entry) string { return `{"ok":true}` })
	d.admit("/game-lobby", func(contract.Entry) string { return `{"ok":true,"roles":["player"]}` })
	one, other := gws[0].dial().enter("/game-1", ""), gws[1].dial().enter("/game-1", "")
	two := gws[1].dial().enter("/game-2", "")
	others := []*socket{gws[1].dial().enter("/game-vip-1", ""), gws[1].dial().enter("/game-lobby", ""), gws[1].connect()}

	d.emit("/game-*", nil, `["all"]`)
	for _, s := range []*socket{one, other, two} {
		s.want(`["all"]`)
	}
	one.join("red")
	two.join("red")
	d.emit("/game-*", []string{"red"}, `["red"]`, contract.HeaderExcept, d.names(two.id))
	one.want(`["red"]`)
	d.emit("/game-*", []string{"red", other.id}, `["many"]`)
	d.emit("/game-*", []string{two.id}, `["you"]`)
	one.want(`["many"]`)
	other.want(`["many"]`)
	two.want(`["many"]`)
	two.want(`["you"]`)

	// Orders take effect at their own place, in rooms that nobody was in too.
	d.do("/game-*", nil, `["join","new"]`)
	d.emit("/game-2", []string{"new"}, `["in two"]`)
	d.emit("/game-*", []string{"new"}, `["in both"]`)
	two.want(`["in two"]`)
	for _, s := range []*socket{one, other, two} {
		s.want(`["in both"]`)
	}
	if err := d.nc.PublishMsg(d.message(contract.Volatile, "/game-*", nil, `["now"]`)); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*socket{one, other, two} {
		s.want(`["now"]`)
	}

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	found := map[string]string{}
	err := gather.All(ctx, d.nc, d.message(contract.List, "/game-*", nil, ""), func(reply *nats.Msg) error {
		var infos []contract.SocketInfo
		err := json.Unmarshal(reply.Data, &infos)
		for _, i := range infos {
			found[i.ID] = i.Namespace
		}
		return err
	})
	if err != nil || len(found) != 3 || found[one.id] != "/game-1" || found[other.id] != "/game-1" || found[two.id] != "/game-2" {
		t.Errorf("listed %v, %v", found, err)
	}
	d.do("/game-*", []string{"new"}, `["disconnect"]`)
	for _, s := range []*socket{one, other, two} {
		s.wantOut()
	}
	for _, s := range others {
		s.wantHeard()
	}
}

func TestAskingAPattern(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway(games)
	one, two := g.dial().enter("/game-1", ""), g.dial().enter("/game-2", "")
	replies := make(chan *nats.Msg, 1)
	go func() {
		reply, err := d.nc.RequestMsg(d.message(contract.Ask, "/game-*", nil, `["which?"]`), patience)
		if err != nil {
			t.Error(err)
		}
		replies <- reply
	}()
	for _, s := range []*socket{one, two} {
		p := recv(t, "the question", s.events)
		s.answer(p, quote(p.Namespace))
	}
	reply := recv(t, "the answers", replies)
	var answers []contract.Answer
	if err := json.Unmarshal(reply.Data, &answers); err != nil || len(answers) != 2 {
		t.Fatalf("answers %s, %v", reply.Data, err)
	}
	for _, a := range answers {
		if want := map[string]string{one.id: `["/game-1"]`, two.id: `["/game-2"]`}[a.ID]; string(a.Ack) != want {
			t.Errorf("%s answered %s, want %s", a.ID, a.Ack, want)
		}
	}
}

func TestPatternsApplyLive(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	c := g.dial()
	c.enter("/bare", "")
	if got := c.ask("/late-1", "").refused(); got != `{"message":"Invalid namespace"}` {
		t.Fatalf("before: %s", got)
	}
	kv, err := d.js.KeyValue(t.Context(), contract.Subjects{}.Names().Namespaces)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.PutString(t.Context(), "late-=2A", `{}`); err != nil {
		t.Fatal(err)
	}
	within, err := contract.Subjects{}.Within(contract.Volatile, "/late-*")
	if err != nil {
		t.Fatal(err)
	}
	subscribed := func() bool { return slices.Contains(g.subscriptions(), within[2]) }
	wait(t, "the pattern", subscribed)
	var s *socket
	wait(t, "the namespace", func() bool {
		s = c.ask("/late-2", "")
		return strings.Contains(recv(t, "the answer to CONNECT", s.entry), `"sid"`)
	})
	d.emit("/late-*", nil, `["hi"]`)
	s.want(`["hi"]`)
	if err := kv.Delete(t.Context(), "late-=2A"); err != nil {
		t.Fatal(err)
	}
	wait(t, "the pattern's end", func() bool { return !subscribed() })
	if got := c.ask("/late-3", "").refused(); got != `{"message":"Invalid namespace"}` {
		t.Errorf("after: %s", got)
	}
	d.emit("/late-2", nil, `["who is in stays"]`)
	s.want(`["who is in stays"]`)
}

package gatewayd_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/embed"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/pkg/socketio"
)

// readiness is what /readyz answers.
func (g *gateway) readiness() int {
	w := httptest.NewRecorder()
	g.Health().Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	return w.Code
}

func (g *gateway) awaitReadiness(status int) {
	g.t.Helper()
	wait(g.t, "the readiness "+http.StatusText(status), func() bool { return g.readiness() == status })
}

func TestGatewaySurvivesAnOutageOfNATS(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(2, slowLease)
	a, b := gws[0].connect(), gws[1].connect()
	a.join("red")
	b.join("red")
	before := a.request(`"room message"`, `"red"`, `"before"`)
	b.wantStamped("room message", "red", "before")
	a.wantStamped("room message", "red", "before")

	d.nats.Shutdown()
	for _, g := range gws {
		g.awaitReadiness(http.StatusServiceUnavailable)
	}
	waiting := []<-chan *socketio.Packet{
		a.emitAck(`"chat message"`, `"waits"`), a.emitAck(`"room message"`, `"red"`, `"waits"`),
		a.emitAck(`"join"`, `"blue"`), a.emitAck(`"nobody's event"`, `1`),
	}
	if ack := a.request(`"typing"`, `"red"`); ack != `[{"ok":true}]` {
		t.Fatalf("typing: %s", ack)
	}
	if ack := a.request(`"room message"`, `"green"`, `"x"`); !strings.Contains(ack, `"code":"forbidden"`) {
		t.Fatalf("a final refusal: %s", ack)
	}
	if ack := a.request(`"history"`, `{"room":"red"}`); ack != historyAway {
		t.Fatalf("history: %s", ack)
	}
	if ack := a.request(`"leave"`, `"yellow"`); ack != `[{"ok":true}]` {
		t.Fatalf("leaving a room: %s", ack)
	}
	for i, ch := range waiting {
		if len(ch) > 0 {
			t.Fatalf("no. %d was acked while NATS was away: %s", i, (<-ch).Data)
		}
	}
	held := gws[1].dial().ask("/told", "") // cannot be let in now
	polling := gws[1].poll()

	d.nats.Restart()
	for _, g := range gws {
		g.awaitReadiness(http.StatusOK)
	}
	wait(t, "the test's own connection", d.nc.IsConnected)
	for _, ch := range waiting[:2] { // what is stored waited for the stream
		if ack := string(recv(t, "the ack of a post", ch).Data); !strings.Contains(ack, `"ok":true`) {
			t.Fatal(ack)
		}
	}
	for _, s := range []*socket{a, b} {
		s.wantStamped("chat message", "waits")
		s.wantStamped("room message", "red", "waits")
	}
	a.join("blue")
	after := a.request(`"room message"`, `"red"`, `"after"`)
	if epochOf(t, before) != epochOf(t, after) {
		t.Fatalf("ids %s and %s are of different streams", before, after)
	}
	a.wantStamped("room message", "red", "after")
	b.wantStamped("room message", "red", "after")
	d.do("/", []string{"red"}, `["join","green"]`)
	d.emit("/", []string{"green", "blue"}, `["green"]`)
	a.wantHeard(`["green"]`)
	b.wantHeard(`["green"]`)
	for _, g := range gws {
		g.awaitPeers(2)
	}
	polling.enter("/", "").wantAlive()
	select {
	case <-held.over: // the client comes back by itself
	case answer := <-held.entry:
		if !strings.Contains(answer, `"sid"`) {
			t.Fatalf("CONNECT was answered %s", answer)
		}
	case <-time.After(patience):
		t.Fatal("the client is held for ever")
	}
}

// epochOf is the stream's part of the id in an ack.
func epochOf(t testing.TB, ack string) string {
	t.Helper()
	var args []struct{ ID string }
	if err := json.Unmarshal([]byte(ack), &args); err != nil || len(args) != 1 {
		t.Fatalf("ack %s: %v", ack, err)
	}
	epoch, _, err := contract.SplitMessageID(args[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	return epoch
}

// TestGatewaySurvivesTheLossOfTheStreams has NATS come back empty, with sequences that begin again.
func TestGatewaySurvivesTheLossOfTheStreams(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(2, slowLease)
	a, b := gws[0].connect(), gws[1].connect()
	a.join("red")
	b.join("red")
	var before string
	for range 20 {
		before = a.request(`"room message"`, `"red"`, `"before"`)
	}
	a.heard()
	b.heard()
	u, err := url.Parse(d.nats.URL())
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	d.nats.Shutdown()
	for _, g := range gws {
		g.awaitReadiness(http.StatusServiceUnavailable) // it has noticed, so that what is ready later is ready again
	}
	d.nats = natstest.Run(t, natstest.WithOptions(func(o *embed.Options) { o.Port = port }))
	for _, g := range gws {
		g.awaitReadiness(http.StatusOK)
		g.awaitPeers(2)
	}
	wait(t, "the test's own connection", d.nc.IsConnected)
	var after string
	wait(t, "the new stream", func() bool {
		ack := a.emitAck(`"room message"`, `"red"`, `"probe"`)
		select {
		case p := <-ack:
			after = string(p.Data)
			return true
		case <-time.After(patience / 30):
			return false
		}
	})
	if epochOf(t, before) == epochOf(t, after) {
		t.Fatalf("ids %s and %s are of the same stream", before, after)
	}
	for _, s := range []*socket{a, b} {
		for s.wantStamped("room message", "red", "probe").ID != args(t, after)[0].ID {
		}
	}
	d.emit("/", []string{"red"}, `["heard"]`)
	a.wantHeard(`["heard"]`)
	b.wantHeard(`["heard"]`)
}

func args(t testing.TB, ack string) []contract.Stamp {
	t.Helper()
	var a []contract.Stamp
	if err := json.Unmarshal([]byte(ack), &a); err != nil {
		t.Fatalf("ack %s: %v", ack, err)
	}
	return a
}

// TestGatewayWaitsForNATS starts a gateway before NATS: it takes its port, and serves once it can.
func TestGatewayWaitsForNATS(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	d.nats.Shutdown()
	g := d.launch()
	g.awaitReadiness(http.StatusServiceUnavailable)
	d.nats.Restart()
	g.awaitReady()
	g.awaitReadiness(http.StatusOK)
	g.connect().wantAlive()
}

// TestGatewayStopsWhileNATSIsAway ends at once, and cleanly.
func TestGatewayStopsWhileNATSIsAway(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g, never := d.gateway(), d.launch()
	s := g.connect()
	d.nats.Shutdown()
	g.awaitReadiness(http.StatusServiceUnavailable)
	g.stop()
	s.wantOver()
	never.stop()
}

// TestWhatJetStreamNeverTakesIsRefused has the stream take small messages only.
func TestWhatJetStreamNeverTakesIsRefused(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	s := g.connect()
	stream, err := d.js.Stream(t.Context(), contract.Subjects{}.Names().Stream)
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	cfg.MaxMsgSize = 1000
	if _, err := d.js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if ack := s.request(`"chat message"`, quote(strings.Repeat("x", 1000))); !strings.Contains(ack, `"code":"invalid"`) {
		t.Fatalf("ack %s", ack)
	}
	if ack := s.request(`"chat message"`, `"small"`); !strings.Contains(ack, `"ok":true`) {
		t.Fatalf("ack %s", ack)
	}
	s.wantStamped("chat message", "small")
}

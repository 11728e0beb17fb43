package gatewayd_test

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/config"
	"github.com/natter-io/natter/pkg/kit/embed"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// TestStopClosesTransportsAndTellsTheOthers stops one gateway of two. Its lease would last for long.
func TestStopClosesTransportsAndTellsTheOthers(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(2, func(c *gatewayd.Config) { c.Lease = time.Minute })
	life := d.life("/bare")
	sockets := map[string]*socket{}
	for _, c := range []*client{gws[0].dial(), gws[0].poll()} {
		s := begin(t, life, c.enter("/bare", ""))
		sockets[s.id] = s
	}
	stays := begin(t, life, gws[1].dial().enter("/bare", ""))
	last := []string{}
	for id := range sockets {
		d.emit("/bare", []string{id}, `["last words"]`)
		sockets[id].want(`["last words"]`)
		last = append(last, id)
	}
	began := time.Now()
	gws[0].stop()
	gws[1].awaitPeers(1)
	if took := time.Since(began); took > 30*time.Second {
		t.Fatalf("the others learned it after %s", took)
	}
	kv, err := d.js.KeyValue(t.Context(), contract.Subjects{}.Names().Gateways)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Get(t.Context(), gws[0].ID()); !errors.Is(err, jetstream.ErrKeyNotFound) {
		t.Fatalf("the lease: %v", err)
	}
	for _, id := range last {
		s := sockets[id]
		s.wantOver()
		select {
		case <-s.out:
			t.Fatal("a client was told to leave, so it will not come back by itself")
		default:
		}
	}
	for range 2 * len(sockets) {
		msg := recv(t, "an end", life)
		p, err := contract.Subjects{}.Parse(msg.Subject)
		if err != nil || sockets[p.Socket] == nil || !strings.HasPrefix(string(msg.Data), `["disconnect`) || !strings.Contains(string(msg.Data), `"server shutting down"`) {
			t.Fatalf("services heard %s %s", msg.Subject, msg.Data)
		}
	}
	// Nobody waits for its answers.
	if infos := d.list("/bare", nil); len(infos) != 1 || infos[stays.id].ID == "" {
		t.Fatalf("sockets: %+v", infos)
	}
	wait(t, "the end of its subscriptions", func() bool {
		return !slices.ContainsFunc(d.nats.SubscriptionDetails(), func(sub embed.Subscription) bool { return strings.HasSuffix(sub.Client, gws[0].ID()) })
	})
	d.emit("/bare", nil, `["goes on"]`)
	stays.wantHeard(`["goes on"]`)
}

// TestStopInTheMiddleOfEverything stops a gateway in the middle of everything.
func TestStopInTheMiddleOfEverything(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	for i := range 30 {
		s := g.dial().ask("/", "")
		if i%3 == 0 {
			s.entered().join("red")
		}
		g.dial().ask("/guarded", "")
	}
	d.traffic("red")
	for _, kind := range []contract.Kind{contract.List, contract.Ask} { // which nobody waits for
		if err := d.nc.PublishRequest(d.subject(kind, "/"), nats.NewInbox(), []byte(`["q"]`)); err != nil {
			t.Fatal(err)
		}
	}
	g.stop()
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	var cfg gatewayd.Config
	args := []string{"--listen=" + g.Addr().String(), "--health-listen=", "--nats-url=" + d.nats.URL()}
	if err := config.Load(gatewayd.Name, gatewayd.About, args, &cfg, config.Environ(nil)); err != nil {
		t.Fatal(err)
	}
	s, err := gatewayd.New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "already in use") {
		t.Fatalf("Run: %v", err)
	}
}

package gatewayd_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/kit/config"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// journal is a log that is read while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// has says whether a line holds all the words.
func (j *journal) has(words ...string) bool {
	for line := range strings.Lines(j.String()) {
		all := true
		for _, w := range words {
			all = all && strings.Contains(line, w)
		}
		if all {
			return true
		}
	}
	return false
}

// plain makes a gateway as its command does, with these flags and no namespaces in a file.
func (d *deployment) plain(args ...string) (*gatewayd.Service, *journal) {
	d.t.Helper()
	var cfg gatewayd.Config
	args = append([]string{"--listen=127.0.0.1:0", "--health-listen=", "--nats-url=" + d.nats.URL(), "--lease=2s", "--no-serve-client"}, args...)
	if err := config.Load(gatewayd.Name, gatewayd.About, args, &cfg, config.Environ(nil)); err != nil {
		d.t.Fatal(err)
	}
	j := new(journal)
	s, err := gatewayd.New(cfg, slog.New(slog.NewTextHandler(j, nil)))
	if err != nil {
		d.t.Fatal(err)
	}
	return s, j
}

// configuration is what the bucket has for a namespace.
func (d *deployment) configuration(key string) string {
	d.t.Helper()
	entry, err := d.namespacesBucket().Get(d.t.Context(), key)
	if err != nil {
		d.t.Fatal(err)
	}
	return string(entry.Value())
}

// A gateway without settings of its own must not turn the namespaces of those that run into a chat.
func TestBuiltInNamespacesYieldToThoseOfRunningGateways(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	start := func(args ...string) (*gateway, *journal) {
		s, log := d.plain(args...)
		g := d.run(s)
		g.awaitReady()
		return g, log
	}
	first, _ := start("--no-chat")
	second, log := start()
	if got := d.configuration("_"); got != "{}" {
		t.Fatalf("the configuration of / is %s", got)
	}
	if !log.has("level=WARN", "namespace=/", "--no-chat") {
		t.Fatalf("nothing warns of it: %s", log)
	}
	if log.has("namespace=/admin") {
		t.Fatalf("it warns of what does not differ: %s", log)
	}
	first.stop()
	second.stop()
	// With nobody else there, the chat is what it was before.
	running, log := start()
	if got := d.configuration("_"); !strings.Contains(got, "chat message") {
		t.Fatalf("the configuration of / is %s", got)
	}
	if log.has("level=WARN", "namespace=/") {
		t.Fatalf("it warns of gateways that have stopped: %s", log)
	}
	// What somebody has stated replaces it, and says so; so do those that run.
	chat := log
	_, log = start("--no-chat")
	if got := d.configuration("_"); got != "{}" {
		t.Fatalf("the configuration of / is %s", got)
	}
	if !log.has("level=WARN", "replaced", "namespace=/") {
		t.Fatalf("nothing warns of it: %s", log)
	}
	wait(t, "the gateway that runs to notice", func() bool {
		return running.metric("natter_gateway_namespaces_overridden") == 1 && chat.has("level=WARN", "were replaced", "namespace=/")
	})
	// By hand it is as before.
	entries, err := d.namespacesBucket().History(t.Context(), "_")
	if err != nil || len(entries) < 2 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	if _, err := d.namespacesBucket().Put(t.Context(), "_", entries[len(entries)-2].Value()); err != nil {
		t.Fatal(err)
	}
	wait(t, "the gateway that runs to go by its own rules", func() bool { return running.metric("natter_gateway_namespaces_overridden") == 0 })
}

// Two gateways of one id would answer for each other's sockets.
func TestSecondGatewayOfAnIDDoesNotStart(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	s, log := d.plain("--gateway-id=twin")
	first := d.run(s)
	first.awaitReady()
	second, _ := d.plain("--gateway-id=twin")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := second.Run(ctx)
	if err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), "--gateway-id") || !strings.Contains(err.Error(), `"twin"`) {
		t.Fatalf("the second one ends with %v", err)
	}
	if log.has("this one's id") {
		t.Fatalf("the second one took part: %s", log)
	}
	// One that comes to light later is told of.
	leases, err := d.js.KeyValue(t.Context(), "NATTER_GATEWAYS")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := leases.Put(t.Context(), "twin", []byte(`{"instance":"another"}`)); err != nil {
		t.Fatal(err)
	}
	wait(t, "the warning", func() bool { return log.has("level=WARN", "this one's id") })
}

// A gateway that was killed leaves its lease, which must not keep it from coming back at once, also while somebody watches
// everything, so that NATS does not tell that nobody answers.
func TestKilledGatewayComesBackWithItsID(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	d.gateway() // makes the buckets
	leases, err := d.js.KeyValue(t.Context(), "NATTER_GATEWAYS")
	if err != nil {
		t.Fatal(err)
	}
	for _, watched := range []bool{false, true} {
		if watched {
			if _, err := d.nc.Subscribe("natter.>", func(*nats.Msg) {}); err != nil {
				t.Fatal(err)
			}
			if err := d.nc.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := leases.Put(t.Context(), "phoenix", []byte(`{"instance":"before"}`)); err != nil {
			t.Fatal(err)
		}
		s, log := d.plain("--gateway-id=phoenix")
		began := time.Now()
		g := d.run(s)
		g.awaitReady()
		if took := time.Since(began); took > patience/2 {
			t.Fatalf("it took %s", took)
		}
		g.stop()
		if log.has("this one's id") {
			t.Fatalf("it takes its earlier life for another gateway: %s", log)
		}
	}
}

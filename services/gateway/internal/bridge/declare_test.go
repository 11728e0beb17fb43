package bridge

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/natstest"
)

// version is what a version of the gateway has built in for a namespace.
func version(event string) contract.Namespace {
	return contract.Namespace{Events: map[string]contract.Rule{event: {Action: contract.ActionRefuse}}}
}

// journal is a log that is read while it may be written.
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

// release is a running gateway of some version.
type release struct {
	*Bridge
	stop func()
	log  *journal
}

// startRelease runs a gateway that has the rules of the last of these versions built in for /, and an empty namespace for its id.
func startRelease(t *testing.T, server *natstest.Server, id string, versions ...string) *release {
	t.Helper()
	log := new(journal)
	last := len(versions) - 1
	b, stop := started(t, server, func(o *Options) {
		o.Gateway, o.Lease, o.Log = id, patience, slog.New(slog.NewTextHandler(log, nil))
		o.Namespaces = map[string]contract.Namespace{"/": version(versions[last]), "/of-" + id: {}}
		o.BuiltIn = map[string][]string{"/": nil}
		for _, earlier := range versions[:last] {
			o.BuiltIn["/"] = append(o.BuiltIn["/"], Fingerprint(version(earlier)))
		}
	})
	return &release{b, stop, log}
}

// reconnect has the gateway lose its connection, and waits until it has declared its namespaces again.
func (r *release) reconnect(t *testing.T, kv jetstream.KeyValue) {
	t.Helper()
	key, err := contract.EncodeNamespace("/of-" + r.opts.Gateway)
	if err != nil {
		t.Fatal(err)
	}
	if err := kv.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	w, err := kv.Watch(t.Context(), key, jetstream.UpdatesOnly())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.nc.ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-w.Updates():
	case <-time.After(patience):
		t.Fatalf("%s does not declare what is missing", r.opts.Gateway)
	}
	_ = w.Stop()
	until(t, "the gateway to be back", func() bool { return r.Ready(t.Context()) == nil })
}

func TestBuiltInRulesThroughARollingUpgrade(t *testing.T) {
	t.Parallel()
	server := natstest.Run(t)
	js, err := jetstream.New(server.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	a, b := startRelease(t, server, "a", "one"), startRelease(t, server, "b", "one")
	kv, err := js.KeyValue(t.Context(), "NATTER_NAMESPACES")
	if err != nil {
		t.Fatal(err)
	}
	want := func(when, value string) {
		t.Helper()
		entry, err := kv.Get(t.Context(), "_")
		if err != nil {
			t.Fatal(err)
		}
		if got := string(entry.Value()); got != value {
			t.Fatalf("%s the configuration of / is\n%s, want\n%s", when, got, value)
		}
	}
	rules := func(event, more string) string { return `{` + more + `"events":{"` + event + `":{"action":"refuse"}}}` }
	want("at first", rules("one", ""))
	// What services add is not what somebody has stated.
	added := `"registered":["door"],"roomEvents":true,"ordered":"till",`
	if _, err := kv.Put(t.Context(), "_", []byte(rules("one", added))); err != nil {
		t.Fatal(err)
	}

	a.stop()
	a = startRelease(t, server, "a2", "one", "two")
	want("with one gateway upgraded", rules("two", added))
	b.stop()
	b = startRelease(t, server, "b", "one")
	want("with a gateway of the old version started again", rules("two", added))
	a.reconnect(t, kv)
	b.reconnect(t, kv)
	a.stop()
	b.reconnect(t, kv)
	want("with the old gateway alone back at NATS", rules("two", added))
	a = startRelease(t, server, "a3", "one", "two", "three")
	b.stop()
	b = startRelease(t, server, "b3", "one", "two", "three")
	want("with all gateways upgraded twice", rules("three", added))
	a.stop()
	if log := a.log.String(); strings.Contains(log, "level=WARN") || !strings.Contains(log, "earlier version") {
		t.Errorf("the log of an upgrade: %s", log)
	}

	// What somebody has stated stays, while a gateway runs.
	stated := rules("mine", "")
	if _, err := kv.Put(t.Context(), "_", []byte(stated)); err != nil {
		t.Fatal(err)
	}
	a = startRelease(t, server, "a4", "one", "two", "three", "four")
	want("with a gateway upgraded beside other rules", stated)
	a.reconnect(t, kv)
	b.stop()
	a.reconnect(t, kv)
	want("with that gateway alone back at NATS", stated)
	a.stop()
	if log := a.log.String(); strings.Count(log, "msg=\"a namespace has another configuration") != 1 {
		t.Errorf("the log of a gateway that goes by other rules than its own: %s", log)
	}
}

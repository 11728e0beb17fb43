package gatewayd_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/config"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// A server that is shut down while it looks for a stream to copy from gives up only when its timeout comes.
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*stream).trySetupSourceConsumer.func3"))
}

// patience is how long a test waits for what must happen.
const patience = 15 * time.Second

// wait waits for a condition that nothing announces. It looks the more seldom the longer it takes.
func wait(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for began := time.Now(); !cond(); time.Sleep(max(2*time.Millisecond, time.Since(began)/20)) {
		if time.Since(began) > patience {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// recv takes from a channel that must have something soon.
func recv[T any](t testing.TB, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v, ok := <-ch:
		if !ok {
			t.Fatalf("the end came before %s", what)
		}
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
	}
	panic("unreachable")
}

// deployment is a NATS server for several gateways, with a connection that plays the services.
type deployment struct {
	t     testing.TB
	nats  *natstest.Server
	nc    *nats.Conn
	js    jetstream.JetStream
	syncs int
}

func deploy(t testing.TB, opts ...natstest.Option) *deployment {
	t.Helper()
	return deployOn(t, natstest.Run(t, opts...))
}

// deployOn is deploy on a server that runs already.
func deployOn(t testing.TB, server *natstest.Server) *deployment {
	t.Helper()
	d := &deployment{t: t, nats: server, nc: server.Connect(t)}
	var err error
	if d.js, err = jetstream.New(d.nc); err != nil {
		t.Fatal(err)
	}
	return d
}

// gateway is a running gateway.
type gateway struct {
	*gatewayd.Service
	t       testing.TB
	d       *deployment
	mounted string // the address of the server around it, if it has no port of its own
	msgpack bool   // whether its parser is msgpack
	keeps   bool   // whether clients may come back to it: recovery
	once    sync.Once
	end     context.CancelFunc
	done    chan error
}

// namespaces are the product's defaults, and some for tests. In the main namespace nobody is told who joins,
// which would come between what tests count.
func namespaces() map[string]contract.Namespace {
	all := gatewayd.DefaultNamespaces()
	all["/told"] = gatewayd.DefaultNamespaces()["/"]
	join := all["/"].Events["join"]
	join.Announce = false
	all["/"].Events["join"] = join
	all["/bare"] = contract.Namespace{}
	all["/guarded"] = contract.Namespace{Use: []string{"auth"}}
	return all
}

// gateway starts a gateway with the default settings but for short times and what is changed.
func (d *deployment) gateway(change ...func(*gatewayd.Config)) *gateway {
	d.t.Helper()
	g := d.launch(change...)
	g.awaitReady()
	return g
}

// gateways starts n gateways that know of each other.
func (d *deployment) gateways(n int, change ...func(*gatewayd.Config)) []*gateway {
	d.t.Helper()
	all := make([]*gateway, n)
	for i := range all {
		all[i] = d.gateway(change...)
	}
	for _, g := range all {
		g.awaitPeers(n)
	}
	return all
}

// shortLease is for what happens when a lease lapses, or often in the course of one. A test that is held up for that long by others
// sees gateways taken for gone: elsewhere it is longer.
func shortLease(c *gatewayd.Config) { c.Lease = 2 * time.Second }

func (d *deployment) launch(change ...func(*gatewayd.Config)) *gateway {
	d.t.Helper()
	var cfg gatewayd.Config
	args := []string{"--listen=127.0.0.1:0", "--health-listen=", "--nats-url=" + d.nats.URL(), "--room-linger=50ms", "--lease=6s", "--no-serve-client"}
	if err := config.Load(gatewayd.Name, gatewayd.About, args, &cfg, config.Environ(nil)); err != nil {
		d.t.Fatal(err)
	}
	cfg.Namespaces = namespaces()
	for _, f := range change {
		f(&cfg)
	}
	s, err := gatewayd.New(cfg, slog.New(slog.NewTextHandler(d.t.Output(), nil)))
	if err != nil {
		d.t.Fatal(err)
	}
	g := d.run(s)
	g.msgpack, g.keeps = cfg.Parser == "msgpack", cfg.Recovery
	return g
}

// run runs a gateway until the test is over.
func (d *deployment) run(s *gatewayd.Service) *gateway {
	ctx, cancel := context.WithCancel(context.Background())
	g := &gateway{Service: s, t: d.t, d: d, end: cancel, done: make(chan error, 1)}
	go func() { g.done <- s.Run(ctx) }()
	d.t.Cleanup(g.stop)
	return g
}

// stop ends the gateway and waits for its end.
func (g *gateway) stop() {
	g.once.Do(func() {
		g.end()
		select {
		case err := <-g.done:
			if err != nil {
				g.t.Errorf("Run: %v", err)
			}
		case <-time.After(2 * patience):
			g.t.Error("the gateway does not stop")
		}
	})
}

func (g *gateway) awaitReady() {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 4*patience) // a cluster makes its streams slowly
	defer cancel()
	if err := g.Ready(ctx); err != nil {
		g.t.Fatalf("the gateway is not ready: %v", err)
	}
}

// awaitPeers waits until the gateway counts n gateways, itself included.
func (g *gateway) awaitPeers(n int) {
	g.t.Helper()
	wait(g.t, "the number of gateways", func() bool { return g.metric("natter_gateway_gateways") == float64(n) })
}

// metric is the sum of a metric's values whose labels have all the given values.
func (g *gateway) metric(name string, labels ...string) float64 {
	g.t.Helper()
	families, err := g.Health().Registry().Gather()
	if err != nil {
		g.t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			var values []string
			for _, l := range m.GetLabel() {
				values = append(values, l.GetValue())
			}
			if !slices.ContainsFunc(labels, func(l string) bool { return !slices.Contains(values, l) }) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// subject spells a subject of the contract.
func (d *deployment) subject(kind contract.Kind, namespace string, rooms ...string) string {
	d.t.Helper()
	s, err := contract.Subjects{}.To(kind, namespace, contract.To(rooms...))
	if err != nil {
		d.t.Fatal(err)
	}
	return s
}

// message is a NATS message to rooms, or to all without any; header holds names and values in turn.
func (d *deployment) message(kind contract.Kind, namespace string, rooms []string, payload string, header ...string) *nats.Msg {
	d.t.Helper()
	msg := nats.NewMsg(d.subject(kind, namespace, rooms...))
	msg.Data = []byte(payload)
	if len(rooms) > 1 {
		msg.Header.Set(contract.HeaderRooms, d.names(rooms...))
	}
	for i := 0; i+1 < len(header); i += 2 {
		msg.Header.Set(header[i], header[i+1])
	}
	return msg
}

func (d *deployment) names(names ...string) string {
	d.t.Helper()
	value, err := contract.FormatNames(names)
	if err != nil {
		d.t.Fatal(err)
	}
	return value
}

// store publishes to the main stream, as a service does, and returns the sequence.
func (d *deployment) store(msg *nats.Msg) uint64 {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ack, err := d.js.PublishMsg(ctx, msg)
	if err != nil {
		d.t.Fatalf("publishing on %s: %v", msg.Subject, err)
	}
	return ack.Sequence
}

func (d *deployment) emit(namespace string, rooms []string, payload string, header ...string) uint64 {
	d.t.Helper()
	return d.store(d.message(contract.Emit, namespace, rooms, payload, header...))
}

func (d *deployment) do(namespace string, rooms []string, payload string, header ...string) uint64 {
	d.t.Helper()
	return d.store(d.message(contract.Do, namespace, rooms, payload, header...))
}

// listen subscribes to subjects, as nats sub does.
func (d *deployment) listen(subjects ...string) <-chan *nats.Msg {
	d.t.Helper()
	ch := make(chan *nats.Msg, 8192)
	for _, subject := range subjects {
		if _, err := d.nc.ChanSubscribe(subject, ch); err != nil {
			d.t.Fatal(err)
		}
	}
	if err := d.nc.Flush(); err != nil {
		d.t.Fatal(err)
	}
	return ch
}

// serve answers requests on a subject with what f returns, and not at all if that is "".
func (d *deployment) serve(subject string, f func(*nats.Msg) string) *nats.Subscription {
	d.t.Helper()
	sub, err := d.nc.Subscribe(subject, func(m *nats.Msg) {
		if reply := f(m); reply != "" {
			_ = m.Respond([]byte(reply))
		}
	})
	if err != nil {
		d.t.Fatal(err)
	}
	if err := d.nc.Flush(); err != nil {
		d.t.Fatal(err)
	}
	return sub
}

// admit answers a namespace's middleware with f of what it is asked.
func (d *deployment) admit(namespace string, f func(contract.Entry) string) *nats.Subscription {
	d.t.Helper()
	subject, err := contract.Subjects{}.Use(namespace, "auth")
	if err != nil {
		d.t.Fatal(err)
	}
	return d.serve(subject, func(m *nats.Msg) string {
		var e contract.Entry
		if err := json.Unmarshal(m.Data, &e); err != nil {
			return `{"ok":false,"message":"the test cannot read this"}`
		}
		return f(e)
	})
}

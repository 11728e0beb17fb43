package gatewayd_test

import (
	"bytes"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/socketio"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// One client that asks services for more acks than anybody gives is told so, and others post as before.
func TestUnansweredAcksAreBounded(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway(func(c *gatewayd.Config) { c.MaxPendingAcks = 100 })
	d.listen("natter.on._.nobody.>") // hears, and never answers
	greedy, other := g.connect(), g.connect()
	var last <-chan *socketio.Packet
	for range 300 {
		id, ack := greedy.await()
		last = ack
		greedy.send(`2` + strconv.FormatUint(id, 10) + `["nobody"]`)
	}
	if p := recv(t, "the 300th ack", last); !strings.Contains(string(p.Data), contract.CodeRateLimited) {
		t.Errorf("the 300th unanswered ack: %s", p.Data)
	}
	if got := other.request(`"chat message"`, `"hi"`); !strings.Contains(got, `"ok":true`) {
		t.Errorf("another client's post was acked with %s", got)
	}
}

// What a client said is not held until somebody answers it.
func TestUnansweredEventsAreNotHeld(t *testing.T) {
	d := deploy(t)
	g := d.gateway()
	heard := d.listen("natter.on._.nobody.>")
	s := g.connect()
	const events, size = 60, 900_000
	before := heap()
	for range events {
		id, _ := s.await()
		s.send(`51-` + strconv.FormatUint(id, 10) + `["nobody",{"_placeholder":true,"num":0}]`)
		s.sendBinary(bytes.Repeat([]byte{7}, size))
		recv(t, "the event", heard)
	}
	if held := heap() - before; held > events*size/3 {
		t.Errorf("%d bytes are held after %d events of %d bytes", held, events, size)
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Whoever answers a post in JetStream's place is not believed.
func TestOnlyJetStreamAcknowledges(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	s := g.connect()
	s.join("red")
	answered := make(chan struct{}, 10)
	d.serve("natter.post.>", func(*nats.Msg) string {
		answered <- struct{}{}
		return `{}`
	})
	ack := s.emitAck(`"room message"`, `"red"`, `"hi"`)
	recv(t, "the post", answered)
	select {
	case p := <-ack:
		if !strings.Contains(string(p.Data), "-1") { // JetStream was faster
			t.Errorf("acked with %s", p.Data)
		}
	case <-time.After(300 * time.Millisecond):
	}
}

// A client that is held may disconnect and ask again; its other namespaces do not notice.
func TestHeldClientAsksAgain(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	c := g.dial()
	bystander := c.enter("/bare", "")
	asked := d.listen("natter.use.guarded.>")
	c.ask("/guarded", "")
	recv(t, "a request to the middleware", asked)
	s := c.ask("/guarded", "")
	recv(t, "a request to the middleware", asked)
	d.admit("/guarded", func(contract.Entry) string { return `{"ok":true}` })
	s.entered()
	wait(t, "one socket to be in", func() bool { return len(d.list("/guarded", nil)) == 1 })
	d.emit("/bare", []string{bystander.id}, `["still here"]`)
	bystander.wantHeard(`["still here"]`)
}

// A stream that is deleted and made anew is noticed although the connection to NATS stays.
func TestStreamMadeAnew(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway(func(c *gatewayd.Config) { c.Lease = time.Second })
	s := g.connect()
	s.join("red")
	for range 5 {
		s.request(`"room message"`, `"red"`, `"before"`)
	}
	s.heard()
	if err := d.js.DeleteStream(t.Context(), "NATTER"); err != nil {
		t.Fatal(err)
	}
	wait(t, "a new stream", func() bool {
		_, err := d.js.Stream(t.Context(), "NATTER")
		return err == nil && g.readiness() == 200
	})
	d.emit("/", []string{"red"}, `["after"]`)
	s.want(`["after"]`)
}

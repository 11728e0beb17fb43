package gatewayd_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// TestOffsetsNeverGoBack says volatile and stored things to a client at the same time: none may have an offset from
// before what the client was sent already, which it would be sent again when it comes back. (Its reader looks.)
func TestOffsetsNeverGoBack(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	s := g.connect()
	s.join("red")
	const each = 3000
	var both sync.WaitGroup
	both.Go(func() {
		for i := range each {
			if _, err := d.js.PublishMsgAsync(d.message(contract.Emit, "/", []string{"red"}, fmt.Sprintf(`["stored",%d]`, i))); err != nil {
				t.Error(err)
				return
			}
		}
	})
	volatile := d.nats.Connect(t)
	both.Go(func() {
		for i := range each {
			if err := volatile.PublishMsg(d.message(contract.Volatile, "/", []string{"red"}, fmt.Sprintf(`["volatile",%d]`, i))); err != nil {
				t.Error(err)
				return
			}
		}
	})
	both.Wait()
	<-d.js.PublishAsyncComplete()
	if heard := s.heard(); len(heard) < each {
		t.Errorf("heard %d events, want all %d that were stored", len(heard), each)
	}
}

// TestGreetedClientGoesOn has a client that heard nothing but what a middleware gave it come back, and be greeted again
// before what it missed.
func TestGreetedClientGoesOn(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	d.emit("/guarded", nil, `["before",0]`)
	d.admit("/guarded", func(contract.Entry) string { return `{"ok":true,"emit":[{"event":["hello","Ann"]}]}` })
	s, pid := g.connectKept("/guarded", "")
	last := s.wantSaid(`"Ann"`)
	for round := range 3 {
		g.drop(s)
		d.emit("/guarded", nil, fmt.Sprintf(`["n",%d]`, round))
		s = g.back("/guarded", pid, last)
		if s.kept() != pid {
			t.Fatal("did not go on")
		}
		last = s.wantSaid(`"Ann"`, fmt.Sprint(round))
	}
	s.wantHeard()
}

// TestRecoveryIsOff has neither private ids nor offsets, and nobody goes on.
func TestRecoveryIsOff(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	kept := d.gateway()
	s, pid := kept.connectKept("/", "")
	d.say(nil, 0, 1)
	last := s.wantSaid("0")
	kept.drop(s)
	g := d.gateway(func(c *gatewayd.Config) { c.Recovery = false })
	s = g.back("/", pid, last).entered()
	s.join("red")
	d.emit("/", []string{"red"}, `["n",1,"x"]`)
	s.wantHeard(`["n",1,"x"]`)
}

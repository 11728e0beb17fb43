package gatewayd_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// replaceStream deletes the main stream and waits until a gateway has made another one.
func (d *deployment) replaceStream() {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	name := contract.Subjects{}.Names().Stream
	if err := d.js.DeleteStream(ctx, name); err != nil {
		d.t.Fatal(err)
	}
	wait(d.t, "a new stream", func() bool {
		_, err := d.js.Stream(ctx, name)
		return err == nil
	})
}

// allowDirect says whether the main stream can be read back.
func (d *deployment) allowDirect(allowed bool) {
	d.t.Helper()
	wait(d.t, "the stream to be changed", func() bool { // it may have no leader
		ctx, cancel := context.WithTimeout(context.Background(), patience/3)
		defer cancel()
		stream, err := d.js.Stream(ctx, contract.Subjects{}.Names().Stream)
		if err != nil {
			return false
		}
		cfg := stream.CachedInfo().Config
		cfg.AllowDirect = allowed
		_, err = d.js.UpdateStream(ctx, cfg)
		return err == nil
	})
}

// What waits for delivery when the stream is made anew is not taken for the new one's, whose sequences are lower; nor do
// volatile events say meanwhile that a client has heard that far. (Its reader looks.)
func TestWhatWaitsWhenTheStreamIsMadeAnew(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway(func(c *gatewayd.Config) { c.Lease = time.Second })
	s, _ := g.connectKept("/", "")
	s.join("red", "blue")
	d.say([]string{"red"}, 0, 1)
	s.wantSaid("0")
	d.silently(func() { d.say([]string{"red"}, 1, 2) })
	d.elsewhere()
	before := g.metric(silences, "silence")
	d.allowDirect(false)
	d.say([]string{"blue"}, 2, 3)
	wait(t, "the question", func() bool { return g.metric(silences, "silence") > before })
	d.say([]string{"blue"}, 3, 40)

	ctx, stop := context.WithCancel(t.Context())
	var talking sync.WaitGroup
	defer talking.Wait()
	defer stop()
	volatile := d.nats.Connect(t)
	talking.Go(func() {
		for msg := d.message(contract.Volatile, "/", []string{"blue"}, `["volatile"]`); ctx.Err() == nil; time.Sleep(time.Millisecond) {
			if err := volatile.PublishMsg(msg); err != nil {
				t.Error(err)
				return
			}
		}
	})
	d.replaceStream()
	for _, from := range []int{100, 140} { // stored before the gateway knows, and after that
		d.say([]string{"blue"}, from, from+40)
		for i := from; i < from+40; {
			e := recv(t, "an event", s.events)
			if text := string(e.Data); text == fmt.Sprintf(`["n",%d]`, i) {
				i++
			} else if !strings.HasPrefix(text, `["volatile"`) {
				t.Fatalf("heard %s, want %d", text, i)
			}
		}
	}
}

// A client that came back and was sent all up to a sequence of the stream hears what has a lower one in the next.
func TestWhoCameBackHearsAStreamMadeAnew(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway(func(c *gatewayd.Config) { c.Lease = time.Second })
	s, pid := g.connectKept("/", "")
	d.say(nil, 0, 20)
	last := s.wantSaid(countUp(0, 20)...)
	g.drop(s)
	s = g.back("/", pid, last)
	if s.kept() != pid {
		t.Fatal("did not go on")
	}
	d.replaceStream()
	d.say(nil, 20, 25)
	s.wantSaid(countUp(20, 25)...)
}

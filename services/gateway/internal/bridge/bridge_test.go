package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/provision"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/services/gateway/internal/session"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// A server that is shut down while it looks for a stream to copy from gives up only when its timeout comes.
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*stream).trySetupSourceConsumer.func3"))
}

const patience = 10 * time.Second

// counters counts what the parts under test report.
type counters struct{ dropped, late int }

func (*counters) Delivered(contract.Kind)    {}
func (*counters) Skipped(contract.Kind)      {}
func (*counters) Duplicate()                 {}
func (*counters) Doubted(string)             {}
func (*counters) Repaired(int)               {}
func (c *counters) Dropped(string)           { c.dropped++ }
func (c *counters) StoredAgain()             {}
func (c *counters) Missed()                  {}
func (c *counters) LateReply()               { c.late++ }
func (*counters) Rooms(int)                  {}
func (*counters) Gateways(int)               {}
func (*counters) Overridden(int)             {}
func (*counters) Copies(time.Duration, bool) {}

func options(m Metrics) Options {
	return Options{Queue: 16, MaxPending: 2, Log: slog.New(slog.DiscardHandler), Metrics: m}
}

// storedMessage looks like a republished one; sequence 0 is one that does not.
func storedMessage(sequence uint64) *nats.Msg {
	msg := nats.NewMsg("natter.live._.all")
	if sequence > 0 {
		msg.Header.Set("Nats-Subject", "natter.emit._.all")
		msg.Header.Set("Nats-Sequence", strconv.FormatUint(sequence, 10))
	}
	return msg
}

func TestFetchedMessagesTakeTheirPlaceInTheOrder(t *testing.T) {
	for _, c := range []struct{ backlog, live, fetched, want []uint64 }{
		{nil, []uint64{3, 5}, nil, []uint64{3, 5}},
		{nil, nil, []uint64{1, 2}, []uint64{1, 2}},
		{nil, []uint64{3, 5, 9}, []uint64{1, 4, 6}, []uint64{1, 3, 4, 5, 6, 9}},
		{[]uint64{2, 7}, []uint64{8, 10}, []uint64{1, 9, 11}, []uint64{1, 2, 7, 8, 9, 10, 11}},
		{[]uint64{4, 5}, []uint64{6, 7}, []uint64{4, 5, 6, 8}, []uint64{4, 5, 6, 7, 8}}, // what waits already does so once
		{nil, []uint64{0, 2}, []uint64{1}, []uint64{0, 1, 2}},                           // what is no stored message stays where it is
	} {
		b := &Bridge{live: make(chan *nats.Msg, 16)}
		for _, n := range c.backlog {
			b.backlog = append(b.backlog, incoming{msg: storedMessage(n)})
		}
		for _, n := range c.live {
			b.live <- storedMessage(n)
		}
		var fetched []stored
		for _, n := range c.fetched {
			fetched = append(fetched, stored{msg: storedMessage(n), sequence: n})
		}
		b.merge(fetched)
		var got []uint64
		for _, in := range b.backlog {
			got = append(got, sequenceOf(in.msg))
		}
		for len(b.live) > 0 {
			got = append(got, sequenceOf(<-b.live))
		}
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%v and %v with %v became %v, want %v", c.backlog, c.live, c.fetched, got, c.want)
		}
	}
}

func TestRepliesAreBoundedAndCalledOnce(t *testing.T) {
	nc := natstest.Run(t).Connect(t)
	m := &counters{}
	r := newReplies(nc, options(m))
	got := make(chan error, 10)
	done := func(_ *nats.Msg, err error) { got <- err }
	for i := range 3 {
		err := r.request(nats.NewMsg("nobody.listens"), time.Hour, done)
		if (i == 2) != errors.Is(err, errBusy) || i == 2 && !errors.Is(err, session.ErrUnavailable) {
			t.Fatalf("request %d: %v", i, err)
		}
	}
	r.expire(time.Now())
	if len(got) != 0 {
		t.Fatal("expired an hour too early")
	}
	r.expire(time.Now().Add(2 * time.Hour))
	for range 2 {
		if err := <-got; !errors.Is(err, errNoReply) {
			t.Fatalf("done with %v", err)
		}
	}
	r.dispatch(nats.NewMsg(r.inbox + ".1"))
	r.dispatch(nats.NewMsg(r.inbox + ".not a number"))
	if len(got) != 0 || m.late != 1 || m.dropped != 1 {
		t.Fatalf("%d calls, %d late, %d dropped", len(got), m.late, m.dropped)
	}
	nc.Close()
	if err := r.request(nats.NewMsg("x"), time.Hour, done); err == nil || len(r.waiting) != 0 || len(got) != 0 {
		t.Fatalf("on a closed connection: %v, %d wait", err, len(r.waiting))
	}
}

func TestFenceSaysTheLastSequenceAndWritesNothing(t *testing.T) {
	server := natstest.Run(t)
	nc := server.Connect(t)
	f := newFence(nc, options(&counters{}))
	if _, err := f.wait(t.Context()); !errors.Is(err, session.ErrUnavailable) {
		t.Fatalf("without a stream: %v", err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := provision.Main(t.Context(), js, contract.Subjects{}, time.Minute, time.Minute, provision.Storage{Replicas: 1, MaxBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	for want := range uint64(3) {
		for range 3 {
			if last, err := f.wait(t.Context()); err != nil || last != want {
				t.Fatalf("fence at %d, %v, want %d", last, err, want)
			}
		}
		if _, err := js.Publish(t.Context(), "natter.emit._.all", []byte(`["x"]`)); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := stream.Info(t.Context()); err != nil || info.State.Msgs != 3 {
		t.Fatalf("the stream holds %+v, %v", info.State, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.wait(ended); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatalf("after the context's end: %v", err)
	}
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) { // its last round
		f.mu.Lock()
		running := f.running
		f.mu.Unlock()
		if !running {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the fence runs on")
		}
	}
}

func TestEpochIsWaitedFor(t *testing.T) {
	e := newEpoch()
	e.forget()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if e.get() != "" || e.wait(ended) != "" {
		t.Fatal("known before it was set")
	}
	got := make(chan string)
	go func() { got <- e.wait(t.Context()) }()
	e.set("a")
	if v := <-got; v != "a" || e.get() != "a" {
		t.Fatalf("epoch %q", v)
	}
	e.set("b")
	if v := e.wait(ended); v != "b" {
		t.Fatalf("epoch %q", v)
	}
	e.forget()
	go func() { got <- e.wait(t.Context()) }()
	e.set("c")
	if v := <-got; v != "c" {
		t.Fatalf("epoch %q", v)
	}
}

// Who waits for the answer whether it may connect is no connection yet: their number has a bound of its own.
func TestTooManyWaitToConnect(t *testing.T) {
	c := &counters{}
	b := &Bridge{opts: options(c), asked: make(chan struct{})}
	if a, err := b.Allow(t.Context(), "door", contract.AllowRequest{}); a.OK || !errors.Is(err, session.ErrUnavailable) || c.dropped != 1 {
		t.Errorf("allowed %v, %v; %d counted", a.OK, err, c.dropped)
	}
}

// FuzzAllowance: nothing but an answer that says so lets a client in.
func FuzzAllowance(f *testing.F) {
	for _, s := range []string{`{"ok":true}`, `{"ok":false,"message":"x"}`, `{"OK":true}`, `true`, `{"ok":1}`, `{"ok":true,"ok":false}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := allowance(&nats.Msg{Data: data})
		if err != nil && (a.OK || a.Message != "") || len(a.Message) > maxRefusal {
			t.Errorf("%q: %+v, %v", data, a, err)
		}
	})
}

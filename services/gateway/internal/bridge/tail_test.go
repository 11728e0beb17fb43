package bridge

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/internal/session"
)

// slow has the stream answer so many questions of each round, and none after them until the round is given up. round is called before
// each one.
func (b *bench) slow(questions int, round func()) {
	b.t.Helper()
	stream, left := b.tail.stream, 0
	_, err := b.nc.Subscribe("$JS.API.DIRECT.GET.SLOW", func(question *nats.Msg) {
		if strings.Contains(string(question.Data), "multi_last") {
			round()
			left = questions + 1
		}
		if left == 0 {
			return
		}
		left--
		if err := b.nc.PublishRequest("$JS.API.DIRECT.GET."+stream, question.Reply, question.Data); err != nil {
			b.t.Error(err)
		}
	})
	if err == nil {
		err = b.nc.Flush()
	}
	if err != nil {
		b.t.Fatal(err)
	}
	b.tail.stream, b.tail.timeout = "SLOW", 500*time.Millisecond
}

// fill stores events for rooms in turn.
func (b *bench) fill(rooms, events int) {
	b.t.Helper()
	for i := range events {
		subject, err := contract.Subjects{}.To(contract.Emit, "/", contract.To(fmt.Sprintf("room %d", i%rooms)))
		if err == nil {
			_, err = b.js.PublishAsync(subject, []byte(`["x"]`))
		}
		if err != nil {
			b.t.Fatal(err)
		}
	}
	select {
	case <-b.js.PublishAsyncComplete():
	case <-time.After(patience):
		b.t.Fatal("the stream does not take events")
	}
}

// A gateway catches up also if that takes many times as long as it waits for, however much there is, and while more is stored.
func TestCatchingUpGoesOnWhereItFailed(t *testing.T) {
	for name, c := range map[string]struct {
		rooms, events int
		more          int // events that are stored in each round
		cached        uint64
		cacheSize     int
	}{
		"one room":            {rooms: 1, events: 2000},
		"many rooms":          {rooms: 100, events: 2000},
		"two rooms":           {rooms: 2, events: 2000},
		"while more comes":    {rooms: 1, events: 2000, more: 600},
		"the end is known":    {rooms: 1, events: 2000, cached: 1900},
		"more than the cache": {rooms: 1, events: 2000, cacheSize: 1 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, &counters{})
			var rooms []string
			for i := range c.rooms {
				rooms = append(rooms, fmt.Sprintf("room %d", i))
			}
			b.fill(c.rooms, c.events)
			path := b.follow(rooms...) // who did not hear all that
			if c.cached > 0 {
				if _, err := b.tail.read(t.Context(), []want{everything(path, c.cached)}, uint64(c.events)); err != nil {
					t.Fatal(err)
				}
			}
			if c.cacheSize > 0 {
				b.tail.cacheSize = c.cacheSize
			}
			rounds := 0
			b.slow(2, func() {
				rounds++
				if rounds > 1 {
					b.fill(1, c.more)
				}
			})
			ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
			defer cancel()
			b.catchUp(ctx, testEpoch)
			if rounds < 4 {
				t.Errorf("it took %d rounds: the test is in vain", rounds)
			}
			if b.caught != uint64(c.events) || len(b.backlog) < c.events {
				t.Fatalf("caught up to %d of %d in %d rounds, with %d messages", b.caught, c.events, rounds, len(b.backlog))
			}
			for i, in := range b.backlog[:c.events] {
				if sequence := sequenceOf(in.msg); sequence != uint64(i+1) {
					t.Fatalf("message %d is %d", i+1, sequence)
				}
			}
		})
	}
}

// Who misses nothing is not held up by who misses more than is read in one round.
func TestAFailedRoundAnswersWhomItCan(t *testing.T) {
	b := newBench(t, &counters{})
	b.fill(1, 2000)
	b.slow(2, func() {})
	alone := newTail(b.nc, b.opts)
	alone.stream, alone.timeout = b.tail.stream, b.tail.timeout
	reads := func(room string) *reading {
		path, err := b.rooms.path("/", contract.To(room))
		if err != nil {
			t.Fatal(err)
		}
		return &reading{wants: []want{everything(path, 0)}, upTo: 2000, done: make(chan readResult, 1)}
	}
	much, nothing := reads("room 0"), reads("silent")
	alone.serveAll(t.Context(), []*reading{much, nothing})
	if r := <-much.done; !errors.Is(r.err, session.ErrUnavailable) {
		t.Errorf("who misses much got %d messages, %v", len(r.messages), r.err)
	}
	if r := <-nothing.done; r.err != nil || len(r.messages) != 0 {
		t.Errorf("who misses nothing got %d messages, %v", len(r.messages), r.err)
	}
}

// Orders are looked for from where sessions were stored on, which may be long ago, what was said from where clients have heard on: the former
// do not have each room read by itself.
func TestAnOldOrderDoesNotHaveEachRoomReadByItself(t *testing.T) {
	const rooms, old = 50, 3000
	b := newBench(t, &counters{})
	order, err := contract.Subjects{}.To(contract.Do, "/", contract.All())
	if err == nil {
		_, err = b.js.Publish(t.Context(), order, []byte(`["data",1]`))
	}
	if err != nil {
		t.Fatal(err)
	}
	b.fill(1, old-1)
	b.fill(rooms, rooms)
	wants := make([]want, 0, rooms+1)
	for i := range rooms + 1 {
		target := contract.All()
		if i < rooms {
			target = contract.To(fmt.Sprintf("room %d", i))
		}
		path, err := b.rooms.path("/", target)
		if err != nil {
			t.Fatal(err)
		}
		wants = append(wants, want{path, [3]uint64{old, old, 0}})
	}
	questions, err := b.nc.SubscribeSync("$JS.API.DIRECT.GET." + b.tail.stream)
	if err != nil {
		t.Fatal(err)
	}
	messages, err := b.tail.read(t.Context(), wants, old+rooms)
	if err != nil || len(messages) != rooms+1 || messages[0].sequence != 1 {
		t.Fatalf("read %d messages, %v; want %d, the order first", len(messages), err, rooms+1)
	}
	if n, _, err := questions.Pending(); err != nil || n > 5 {
		t.Errorf("the stream was asked %d times, %v", n, err)
	}
}

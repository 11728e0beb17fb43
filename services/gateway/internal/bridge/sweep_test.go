package bridge

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/provision"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/services/gateway/internal/hub"
	"github.com/natter-io/natter/services/gateway/internal/parser"
	"github.com/natter-io/natter/services/gateway/internal/session"
)

// bench is a bridge with a stream, of which nothing runs but what reads the stream back.
type bench struct {
	*Bridge
	t      testing.TB
	stream jetstream.Stream
}

func newBench(t testing.TB, m Metrics) *bench {
	t.Helper()
	nc := natstest.Run(t).Connect(t)
	h := hub.New[*session.Socket](1, 1)
	t.Cleanup(h.Close)
	o := options(m)
	o.Parser, o.Gateway, o.Queue, o.StreamAge = parser.Default, "g", 1<<16, time.Minute
	b, err := New(nc, h, nil, o)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := provision.Main(t.Context(), b.js, contract.Subjects{}, time.Minute, time.Minute, provision.Storage{Replicas: 1, MaxBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	b.epoch.set(testEpoch)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); b.tail.run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	return &bench{b, t, stream}
}

// emit stores an event for a room.
func (b *bench) emit(room string) {
	b.t.Helper()
	subject, err := contract.Subjects{}.To(contract.Emit, "/", contract.To(room))
	if err == nil {
		_, err = b.js.Publish(b.t.Context(), subject, []byte(`["x"]`))
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// follow acquires rooms; the result is the path of the last.
func (b *bench) follow(rooms ...string) (path string) {
	b.t.Helper()
	for _, room := range rooms {
		var err error
		if path, err = b.rooms.path("/", contract.To(room)); err != nil {
			b.t.Fatal(err)
		}
		if _, _, err := b.rooms.acquire(path); err != nil {
			b.t.Fatal(err)
		}
		b.rooms.settle(path, 0)
	}
	return path
}

// Whatever else changes, a sweep finds what was lost and the next one says so: not only now and then, when the stream has more
// subjects than JetStream tells of in one answer.
func TestEverySweepLooksAtEverything(t *testing.T) {
	m := &doubts{reasons: make(chan string, 16)}
	b := newBench(t, m)
	b.follow("red")
	for i := range 1100 {
		b.emit(fmt.Sprintf("room %d", i))
	}
	s := sweeper{bridge: b.Bridge}
	for range 3 {
		s.look(t.Context()) // nothing is lost yet
	}
	for range 3 {
		for i := range 100 { // more than is looked at one by one
			b.emit(fmt.Sprintf("room %d", i))
		}
		b.emit("red")
		s.look(t.Context())
		if len(m.reasons) != 0 {
			t.Fatal("suspected what may be under way")
		}
		s.look(t.Context())
		if len(m.reasons) != 1 || <-m.reasons != "sweep" {
			t.Fatal("what was lost is not found")
		}
		info, err := b.stream.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		b.rooms.note("_.room.red", contract.Emit, info.State.LastSeq)
	}
}

// The messages between and the followed subjects tell the same.
func TestMissingIsFoundEitherWay(t *testing.T) {
	for name, c := range map[string]struct{ others, followed int }{
		"few messages":              {5, 1},
		"many messages":             {300, 1},
		"more paths than are asked": {300, pathsAtOnce + 1},
		"few messages, many paths":  {20, pathsAtOnce + 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, &counters{})
			for i := range c.followed {
				b.follow(fmt.Sprintf("own %d", i))
			}
			for range 2 {
				for i := range c.others {
					b.emit(fmt.Sprintf("room %d", i))
				}
				b.emit("own 0")
			}
			last := uint64(2*c.others + 2)
			found, err := b.missing(t.Context(), uint64(c.others), last)
			if want := map[string]uint64{"natter.emit._.room.own=200": last}; err != nil || fmt.Sprint(found) != fmt.Sprint(want) {
				t.Fatalf("found %v, %v; want %v", found, err, want)
			}
			b.rooms.note("_.room.own=200", contract.Emit, last)
			if found, err := b.missing(t.Context(), 0, last); err != nil || len(found) != 0 {
				t.Fatalf("after it was read: %v, %v", found, err)
			}
		})
	}
}

// answers has somebody answer Direct Gets with what is scripted, one script a question.
func answers(t *testing.T, scripts ...[]*nats.Msg) *tail {
	t.Helper()
	nc := natstest.Run(t).Connect(t)
	n := 0
	_, err := nc.Subscribe("$JS.API.DIRECT.GET.NATTER", func(question *nats.Msg) {
		for _, msg := range scripts[min(n, len(scripts)-1)] {
			if err := question.RespondMsg(msg); err != nil {
				t.Error(err)
			}
		}
		n++
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return newTail(nc, options(&counters{}))
}

// read is a message of a Direct Get's answer, which names the one before it there.
func read(sequence, before uint64) *nats.Msg {
	msg := nats.NewMsg("")
	msg.Header = nats.Header{"Nats-Subject": {"natter.emit._.all"}, "Nats-Sequence": {fmt.Sprint(sequence)}, "Nats-Last-Sequence": {fmt.Sprint(before)}}
	return msg
}

func end(last uint64) *nats.Msg {
	msg := nats.NewMsg("")
	msg.Header = nats.Header{"Status": {"204"}, "Nats-Num-Pending": {"0"}, "Nats-Last-Sequence": {fmt.Sprint(last)}, "Nats-UpTo-Sequence": {"9"}}
	return msg
}

// What is lost on the way from a replica shows, wherever in the answer it was, and is asked for again.
func TestALossWithinAnAnswerShows(t *testing.T) {
	whole := []*nats.Msg{read(3, 0), read(5, 3), read(9, 5), end(9)}
	for i := range whole[:3] {
		broken := append(append([]*nats.Msg(nil), whole[:i]...), whole[i+1:]...)
		if _, err := answers(t, broken).get(t.Context(), nil, func(*nats.Msg, contract.Stored) {}); !errors.Is(err, errBroken) {
			t.Errorf("without message %d: %v", i, err)
		}
	}
	broken := []*nats.Msg{whole[0], whole[2], whole[3]}
	rest := []*nats.Msg{read(5, 0), read(9, 5), end(9)}
	all, err := answers(t, broken, rest).fetch(t.Context(), "natter.emit._.all", 0, 9, 10)
	if err != nil || len(all) != 3 || all[1].sequence != 5 {
		t.Errorf("fetched %v, %v", all, err)
	}
	var seen []uint64
	upTo, err := answers(t, broken, rest).between(t.Context(), 0, 9, betweenBytes, func(_ *nats.Msg, s contract.Stored) bool {
		seen = append(seen, s.Sequence)
		return true
	})
	if err != nil || upTo != 9 || fmt.Sprint(seen) != "[3 5 9]" {
		t.Errorf("between are %v up to %d, %v", seen, upTo, err)
	}
	lasts, err := answers(t, broken, whole).lasts(t.Context(), []string{"_.all"}, 0, 9)
	if err != nil || lasts["natter.emit._.all"] != 9 {
		t.Errorf("the last is %v, %v", lasts, err)
	}
}

package bridge

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/natstest"
)

// count is how many lines have all of the texts.
func (j *journal) count(texts ...string) (n int) {
	for line := range strings.Lines(j.String()) {
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) }) {
			n++
		}
	}
	return n
}

// TestCopyingThatStandsStillIsSetUpAnew gives the posts stream more copies, as an operator does, while posts come all the time: then
// nats-server stops copying.
func TestCopyingThatStandsStillIsSetUpAnew(t *testing.T) {
	t.Parallel()
	nodes := natstest.Cluster(t, 3)
	var log journal
	started(t, nodes[0], func(o *Options) {
		o.StreamAge, o.Duplicates = 10*shortAge, shortAge // not forgotten while the gateway is held up
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
	}, func(b *Bridge) { b.copies.late, b.copies.every = time.Second, time.Second/2 })
	s := newSpeaker(t, nodes[0])
	copies := func(n int) {
		until(t, "another number of copies", func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			cfg := s.stream("NATTER_POSTS").Config
			cfg.Replicas = n
			_, err := s.js.UpdateStream(ctx, cfg)
			return err == nil
		})
		until(t, "that number of copies", func() bool {
			c := s.stream("NATTER_POSTS").Cluster
			return c != nil && c.Leader != "" && c.Desired == nil && len(c.Replicas) == n-1
		})
	}
	say := func(wait time.Duration) uint64 {
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		defer cancel()
		ack, err := s.js.Publish(ctx, "natter.post._.all", []byte(`["x"]`))
		if err != nil {
			return 0
		}
		return ack.Sequence
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	quiet := sync.OnceFunc(func() { close(stop); wg.Wait() })
	defer quiet()
	for range 8 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
					say(50 * time.Millisecond)
				}
			}
		})
	}
	// It takes a post in the moment in which the stream has no leader.
	for began := time.Now(); log.count("told to set up the copying anew") == 0; {
		if time.Since(began) > 5*time.Minute {
			t.Fatal("no gateway sees that nothing is copied, or it always is")
		}
		copies(1)
		copies(3)
		from, said := s.stream("NATTER_POSTS").State.LastSeq, say(3*time.Second)
		until(t, "posts to be copied", func() bool { return s.stream("NATTER_POSTS").State.LastSeq > max(from, said)+10 })
	}
	quiet()
	var last uint64
	until(t, "the last post", func() bool { last = say(3 * time.Second); return last > 0 })
	until(t, "its copy", func() bool { return s.stream("NATTER_POSTS").State.LastSeq >= last })
	if copied := s.stream("NATTER_POSTS").State; copied.LastSeq != last || len(s.copied()) != int(last) {
		t.Errorf("%d of %d posts were copied, %d times", len(s.copied()), last, copied.LastSeq)
	}
}

func TestStandstillIsToldFromProgress(t *testing.T) {
	t.Parallel()
	at := func(last uint64) *jetstream.StreamInfo {
		return &jetstream.StreamInfo{State: jetstream.StreamState{LastSeq: last}}
	}
	var s still
	for i, look := range []struct {
		last  uint64
		lag   time.Duration
		still bool
	}{
		{5, 0, false}, {5, time.Second, false}, {5, time.Second, true}, {6, time.Hour, false}, {6, time.Hour, true}, {6, 0, false}, {6, time.Second, false},
	} {
		before := time.Now()
		for time.Now().Equal(before) {
		}
		if stood := s.see(at(look.last), look.lag); stood > 0 != look.still {
			t.Errorf("look %d: stood still for %s", i, stood)
		}
	}
}

func TestTheRemedyIsForTheCause(t *testing.T) {
	t.Parallel()
	c := &copies{opts: Options{Subjects: contract.Subjects{}}, late: time.Second}
	posts := func(replicas int, active time.Duration) *jetstream.StreamInfo {
		return &jetstream.StreamInfo{
			Config:  jetstream.StreamConfig{Name: "NATTER_POSTS", Replicas: replicas},
			Sources: []*jetstream.StreamSourceInfo{{Name: "NATTER", Active: active}},
		}
	}
	for _, test := range []struct {
		posts *jetstream.StreamInfo
		want  string
	}{
		{nil, "bring back"}, {posts(1, 0), "room"}, {posts(3, 0), "room"}, {posts(3, -1), "step-down NATTER_POSTS"}, {posts(3, time.Minute), "step-down NATTER_POSTS"},
		{posts(1, time.Minute), "start the nats-server again"},
	} {
		if got := c.remedy(test.posts); !strings.Contains(got, test.want) {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}

package provision

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/natstest"
)

// underLoad makes both streams with a single copy and does something while posts are said all the time. Then all that is in the main
// stream must be in the posts stream, once and in order.
func underLoad(t *testing.T, js jetstream.JetStream, j *journal, act func()) {
	t.Helper()
	var s contract.Subjects
	makeBoth(t, js, j.storage(1))
	saying, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for saying.Err() == nil {
				// Nobody waits for an ack that was lost with a leader: there is always a post on its way.
				ctx, cancel := context.WithTimeout(saying, 50*time.Millisecond)
				_, _ = js.Publish(ctx, "natter.post._.all", []byte(`["x"]`))
				cancel()
				time.Sleep(time.Millisecond)
			}
		})
	}
	defer func() { stop(); wg.Wait() }()
	more(t, js)
	act()
	more(t, js)
	stop()
	wg.Wait()
	ack, err := js.Publish(t.Context(), "natter.post._.all", []byte(`["last"]`)) // behind all that is on its way
	if err != nil {
		t.Fatal(err)
	}
	last := ack.Sequence
	grown(t, js, s.Names().Posts, last)
	stream, err := js.Stream(t.Context(), s.Names().Posts)
	if err != nil || stream.CachedInfo().State.LastSeq != last {
		t.Fatalf("%d posts were copied, %d said: %v", stream.CachedInfo().State.LastSeq, last, err)
	}
	for n := uint64(1); n <= last; n++ {
		msg, err := Repeat(t.Context(), func(ctx context.Context) (*jetstream.RawStreamMsg, error) { return stream.GetMsg(ctx, n) })
		if err != nil {
			t.Fatalf("%d of %d: %v", n, last, err)
		}
		if _, is, err := contract.SourceSequence(contract.Header(msg.Header)); err != nil || is != n {
			t.Fatalf("%d was copied (%v), want %d of %d", is, err, n, last)
		}
	}
}

// grown waits until a stream has reached a sequence.
func grown(t *testing.T, js jetstream.JetStream, name string, to uint64) {
	t.Helper()
	var last uint64
	for end := time.Now().Add(60 * time.Second); last < to; time.Sleep(10 * time.Millisecond) {
		if stream, err := js.Stream(t.Context(), name); err == nil {
			last = stream.CachedInfo().State.LastSeq
		}
		if time.Now().After(end) {
			t.Fatalf("the stream %s stands still at %d", name, last)
		}
	}
}

// more waits until some that are said from now on are copied.
func more(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	ack, err := Repeat(t.Context(), func(ctx context.Context) (*jetstream.PubAck, error) {
		return js.Publish(ctx, "natter.post._.all", []byte(`["x"]`))
	})
	if err != nil {
		t.Fatal(err)
	}
	grown(t, js, "NATTER_POSTS", ack.Sequence+50)
}

// makeBoth tries on, as services do: a cluster that is slow to make a stream refuses to make it a second time.
func makeBoth(t *testing.T, js jetstream.JetStream, st Storage) {
	t.Helper()
	var s contract.Subjects
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		_, err := Main(t.Context(), js, s, time.Hour, time.Minute, st)
		if err == nil {
			_, err = Posts(t.Context(), js, s, 0, st)
		}
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// TestMoreCopiesDoNotEndCopying raises the number of copies of streams while posts are said.
func TestMoreCopiesDoNotEndCopying(t *testing.T) {
	js, err := jetstream.New(natstest.Cluster(t, 3).Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	var j journal
	underLoad(t, js, &j, func() { makeBoth(t, js, j.storage(3)) })
	if n := config(t, js, "NATTER_POSTS").Replicas; n != 3 {
		t.Errorf("%d copies", n)
	}
	if text := j.take(); strings.Contains(text, "WARN") {
		t.Error(text)
	}
}

// TestCopyingIsSetUpAgain is about streams that JetStream copies into, with one copy and with several.
func TestCopyingIsSetUpAgain(t *testing.T) {
	for _, test := range []struct {
		name     string
		servers  int
		replicas int
	}{
		{"single server", 1, 1},
		{"single copy in a cluster", 3, 1},
		{"three copies", 3, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			nc := natstest.Run(t).Connect(t)
			if test.servers > 1 {
				nc = natstest.Cluster(t, test.servers).Connect(t)
			}
			js, err := jetstream.New(nc)
			if err != nil {
				t.Fatal(err)
			}
			var j journal
			underLoad(t, js, &j, func() {
				makeBoth(t, js, j.storage(test.replicas))
				for range 3 {
					if err := Resume(t.Context(), js, "NATTER_POSTS"); err != nil {
						t.Fatal(err)
					}
					more(t, js)
				}
			})
			if have := config(t, js, "NATTER_POSTS"); len(have.Sources) != 1 || len(have.Subjects) > 0 {
				t.Errorf("sources %v, subjects %v", have.Sources, have.Subjects)
			}
		})
	}
}

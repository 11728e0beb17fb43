package copying

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/provision"
	"github.com/natter-io/natter/pkg/natstest"
)

// TestLagIsOfTheMainStreamOfToday makes the main stream again, with sequences that begin again: what was copied from the first
// one says nothing of the second one.
func TestLagIsOfTheMainStreamOfToday(t *testing.T) {
	nc := natstest.Run(t).Connect(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	var s contract.Subjects
	var made time.Time
	begin := func() {
		t.Helper()
		main, err := provision.Main(t.Context(), js, s, time.Hour, time.Minute, provision.Storage{})
		if err != nil {
			t.Fatal(err)
		}
		made = main.CachedInfo().Created
		if _, err := provision.Posts(t.Context(), js, s, time.Hour, provision.Storage{}); err != nil {
			t.Fatal(err)
		}
	}
	w := New(nc, s)
	lag := func() time.Duration {
		t.Helper()
		posts, err := js.Stream(t.Context(), "NATTER_POSTS")
		if err != nil {
			t.Fatal(err)
		}
		_, lag, err := w.Lag(t.Context(), made, posts.CachedInfo())
		if err != nil {
			t.Fatal(err)
		}
		return lag
	}
	say := func(subject string) {
		t.Helper()
		if _, err := js.Publish(t.Context(), subject, []byte(`["x"]`)); err != nil {
			t.Fatal(err)
		}
	}
	caughtUp := func() {
		t.Helper()
		for end := time.Now().Add(60 * time.Second); lag() > 0; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("posts are not copied")
			}
		}
	}
	begin()
	if lag() != 0 {
		t.Error("nothing was said, and something waits")
	}
	for range 3 {
		say("natter.post._.all")
	}
	caughtUp()
	say("natter.emit._.all") // is not copied
	if lag() != 0 {
		t.Error("what is not kept waits for its copy")
	}
	if err := js.DeleteStream(t.Context(), "NATTER"); err != nil {
		t.Fatal(err)
	}
	begin()
	say("natter.post._.all")
	if lag() == 0 {
		posts, err := js.Stream(t.Context(), "NATTER_POSTS")
		if err != nil || posts.CachedInfo().State.Msgs != 4 {
			t.Errorf("nothing waits, and nothing was copied: %v", err)
		}
	}
	caughtUp()
	if posts, err := js.Stream(t.Context(), "NATTER_POSTS"); err != nil || posts.CachedInfo().State.Msgs != 4 {
		t.Errorf("not all posts are there: %v", err)
	}
}

// TestAllThatWaitIsCounted is about a posts stream into which nothing is copied, and of which JetStream says nothing.
func TestAllThatWaitIsCounted(t *testing.T) {
	nc := natstest.Run(t).Connect(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	var s contract.Subjects
	main, err := provision.Main(t.Context(), js, s, time.Hour, time.Minute, provision.Storage{})
	if err != nil {
		t.Fatal(err)
	}
	posts, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "NATTER_POSTS", Subjects: []string{"elsewhere"}})
	if err != nil {
		t.Fatal(err)
	}
	w := New(nc, s)
	for n := range uint64(4) {
		info, err := posts.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		waiting, lag, err := w.Lag(t.Context(), main.CachedInfo().Created, info)
		if err != nil || waiting != n || (lag > 0) != (n > 0) || Behind(info) != 0 {
			t.Errorf("%d wait for %s, %d of them by JetStream's figure (%v); want %d", waiting, lag, Behind(info), err, n)
		}
		for _, subject := range []string{"natter.post._.all", "natter.emit._.all"} {
			if _, err := js.Publish(t.Context(), subject, []byte(`["x"]`)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

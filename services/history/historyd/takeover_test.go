package historyd

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/provision"
)

// TestFirstStartWithLessRoom has more posts wait than the settings have room for.
func TestFirstStartWithLessRoom(t *testing.T) {
	f := newFixture(t)
	if _, err := provision.Posts(f.ctx(), f.js, subjects, 0, one); err != nil { // as a gateway does
		t.Fatal(err)
	}
	text := strings.Repeat("x", 50_000)
	const n = 60
	for i := range n {
		f.publish("natter.post._.room.red", fmt.Sprintf(`["m",%d,%q]`, i, text))
	}
	f.awaitCopies(n)
	f.cfg.PostsMaxBytes, f.cfg.Batch = 1<<20, 5
	f.start()
	f.until("the settings", func() error {
		s, err := f.js.Stream(f.ctx(), "NATTER_POSTS")
		if err == nil && s.CachedInfo().Config.MaxBytes != 1<<20 {
			err = fmt.Errorf("max_bytes is %d", s.CachedInfo().Config.MaxBytes)
		}
		return err
	})
	var found int
	for after, more := "0-0", true; more; {
		page := f.pageOf(fmt.Sprintf(`{"namespace":"/","room":"red","after":%q}`, after))
		for _, m := range page.Messages {
			if want := fmt.Sprintf(`["m",%d,`, found); !strings.HasPrefix(string(m.Event), want) {
				t.Fatalf("message %d is %.20s", found, m.Event)
			}
			after = m.Stamp.ID
			found++
		}
		more = *page.Newer
	}
	if found != n {
		t.Errorf("history has %d of %d posts", found, n)
	}
}

// TestDuplicateWindowOfPosts is set by hand, which has JetStream not copy what the main stream does not take for a duplicate any more.
func TestDuplicateWindowOfPosts(t *testing.T) {
	f := newFixture(t)
	f.start()
	f.say(contract.To("red"), `["m",0]`)
	f.awaitRoom("red", 1)
	f.stop()
	posts, err := f.js.Stream(f.ctx(), "NATTER_POSTS")
	if err != nil {
		t.Fatal(err)
	}
	cfg := posts.CachedInfo().Config
	cfg.Duplicates = 10 * time.Minute
	if _, err := f.js.UpdateStream(f.ctx(), cfg); err != nil {
		t.Fatal(err)
	}
	main := f.main.CachedInfo().Config
	main.Duplicates = 100 * time.Millisecond
	if _, err := f.js.UpdateStream(f.ctx(), main); err != nil {
		t.Fatal(err)
	}
	f.start()
	f.until("no window", func() error {
		s, err := f.js.Stream(f.ctx(), "NATTER_POSTS")
		if err == nil && s.CachedInfo().Config.Duplicates > 0 {
			err = fmt.Errorf("it is %s", s.CachedInfo().Config.Duplicates)
		}
		return err
	})
	for i := 1; i < 3; {
		ack, err := f.js.Publish(f.ctx(), "natter.post._.room.red", fmt.Appendf(nil, `["m",%d]`, i), jetstream.WithMsgID("again"))
		if err != nil {
			t.Fatal(err)
		}
		if !ack.Duplicate {
			i++
		}
	}
	f.awaitRoom("red", 3)
}

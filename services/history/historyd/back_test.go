package historyd

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/natter-io/natter/pkg/contract"
)

// connected waits until NATS answers again, and knows the main stream.
func (f *fixture) connected() {
	f.t.Helper()
	f.until("the main stream", func() error {
		ctx, cancel := context.WithTimeout(f.ctx(), 2*time.Second) // a question may be lost with the connection
		defer cancel()
		_, err := f.main.Info(ctx)
		return err
	})
}

// TestMainStreamGoesBack has nats-server lose power. What it had stored last is gone from all streams, or from the main one alone, and what is said then
// has the same sequences. It is kept, once, under ids of its own, which are those that the stream's metadata tells gateways.
func TestMainStreamGoesBack(t *testing.T) {
	for name, streams := range map[string][]string{"all": nil, "NATTER": {"NATTER"}, "NATTER_POSTS": {"NATTER_POSTS"}} {
		for _, posts := range []int{1, 3, 9} { // less than are gone, and more
			t.Run(fmt.Sprint(name, posts), func(t *testing.T) { mainGoesBack(t, streams, posts) })
		}
	}
}

func mainGoesBack(t *testing.T, streams []string, posts int) {
	f := newFixture(t)
	s := f.start()
	var want []string
	say := func(n int) {
		t.Helper()
		for range n {
			text := fmt.Sprintf(`["m",%d]`, len(want))
			f.say(contract.To("red"), text)
			want = append(want, text)
		}
	}
	say(3)
	f.awaitRoom("red", 3)
	f.settled()
	putBack := f.srv.Save()
	f.connected()
	say(5)
	before := f.awaitRoom("red", 8).Messages
	f.settled()
	putBack(streams...)
	f.connected()
	say(posts)
	repeated := streams == nil || streams[0] == "NATTER"
	ids := make(map[string]bool)
	for i, m := range f.awaitRoom("red", len(want)).Messages {
		ids[m.Stamp.ID] = true
		if string(m.Event) != want[i] || i < 8 && m.Stamp.ID != before[i].Stamp.ID {
			t.Errorf("message %d: %s, %s", i, m.Event, m.Stamp.ID)
		}
	}
	f.until("what gateways are told", func() error {
		info, err := f.main.Info(f.ctx())
		if err != nil {
			return err
		}
		if is := contract.IncarnationOf(info.Created, info.Config.Metadata); (is.Epoch != contract.Epoch(info.Created)) != repeated || repeated && is.First != 4 {
			return fmt.Errorf("%+v", is)
		}
		return nil
	})
	if len(ids) != len(want) {
		t.Errorf("%d ids for %d messages", len(ids), len(want))
	}
	if repeated {
		if n := metric(t, s, "went_back_total"); n != 1 {
			t.Errorf("counted %v times", n)
		}
		if err := f.log.has("WARN", "went back"); err != nil {
			t.Error(err)
		}
	}
	// All that the queue has comes once more.
	f.stop()
	if err := f.js.DeleteConsumer(f.ctx(), "NATTER_POSTS", "history"); err != nil {
		t.Fatal(err)
	}
	f.start()
	say(1)
	info, err := f.main.Info(f.ctx())
	if err != nil {
		t.Fatal(err)
	}
	last := contract.MessageID(contract.IncarnationOf(info.Created, info.Config.Metadata).Epoch, info.State.LastSeq)
	f.until("the last one", func() error {
		all := f.page("red", "", 100).Messages
		if m := all[len(all)-1]; m.Stamp.ID != last || len(all) != len(want) {
			return fmt.Errorf("there are %d, the last is %s; want %d, %s", len(all), m.Stamp.ID, len(want), last)
		}
		return nil
	})
}

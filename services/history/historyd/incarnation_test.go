package historyd

import (
	"fmt"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
)

// awaitCopies waits until the posts stream holds n messages, which is where the service finds them.
func (f *fixture) awaitCopies(n uint64) {
	f.t.Helper()
	f.until(fmt.Sprintf("%d copies", n), func() error {
		s, err := f.js.Stream(f.ctx(), "NATTER_POSTS")
		if err == nil && s.CachedInfo().State.Msgs != n {
			err = fmt.Errorf("there are %d", s.CachedInfo().State.Msgs)
		}
		return err
	})
}

func (f *fixture) remakeMain() {
	f.t.Helper()
	if err := f.js.DeleteStream(f.ctx(), "NATTER"); err != nil {
		f.t.Fatal(err)
	}
	f.makeMain()
}

// TestMainStreamIsMadeAgain has sequences, and the publishers' message ids, that start anew while the service
// runs.
func TestMainStreamIsMadeAgain(t *testing.T) {
	f := newFixture(t)
	s := f.start()
	var want []string
	for i := range 3 {
		want = append(want, f.id(f.say(contract.To("red"), fmt.Sprintf(`["m",%d]`, i), "Nats-Msg-Id", fmt.Sprint(i)).Sequence))
	}
	f.awaitRoom("red", 3)
	f.remakeMain()
	for i := range 3 {
		want = append(want, f.id(f.say(contract.To("red"), fmt.Sprintf(`["m",%d]`, i+3), "Nats-Msg-Id", fmt.Sprint(i)).Sequence))
	}
	for i, m := range f.awaitRoom("red", 6).Messages {
		if string(m.Event) != fmt.Sprintf(`["m",%d]`, i) || m.Stamp.ID != want[i] {
			t.Errorf("message %d: %s, %s; want %s", i, m.Event, m.Stamp.ID, want[i])
		}
	}
	if n := metric(t, s, "duplicates_total"); n != 0 {
		t.Errorf("%v duplicates; want none", n)
	}
	if err := f.log.has("deleted and made again"); err != nil {
		t.Error(err)
	}
}

// TestMainStreamIsMadeAgainWhileDown leaves posts of three incarnations in the queue, of which the service
// has looked at the first and the last only.
func TestMainStreamIsMadeAgainWhileDown(t *testing.T) {
	f := newFixture(t)
	f.start()
	f.say(contract.To("red"), `["m",0]`)
	f.awaitRoom("red", 1)
	f.stop()
	f.say(contract.To("red"), `["m",1]`)
	want := map[int]string{0: f.id(1), 1: f.id(2)}
	f.awaitCopies(2)
	f.remakeMain()
	f.say(contract.To("red"), `["m",2]`)
	f.say(contract.To("red"), `["m",3]`)
	f.awaitCopies(4)
	f.remakeMain()
	f.say(contract.To("red"), `["m",4]`)
	want[4] = f.id(1)
	f.awaitCopies(5)
	f.start()
	for i, m := range f.awaitRoom("red", 5).Messages {
		if string(m.Event) != fmt.Sprintf(`["m",%d]`, i) {
			t.Errorf("message %d: %s", i, m.Event)
		}
		if w, ok := want[i]; ok && m.Stamp.ID != w {
			t.Errorf("message %d has id %s; want %s", i, m.Stamp.ID, w)
		}
	}
	if err := f.log.has("before its creation time was noted"); err != nil {
		t.Error(err)
	}
}

// TestExpiredInTheMainStream is read when only copies are left: they bear the time of the copy.
func TestExpiredInTheMainStream(t *testing.T) {
	f := newFixture(t)
	f.start()
	f.say(contract.To("red"), `["m",1]`)
	f.awaitRoom("red", 1)
	f.stop()
	f.say(contract.To("red"), `["m",2]`)
	f.awaitCopies(2)
	cfg := f.main.CachedInfo().Config
	cfg.MaxMsgs, cfg.Discard = 1, jetstream.DiscardOld
	if _, err := f.js.UpdateStream(f.ctx(), cfg); err != nil {
		t.Fatal(err)
	}
	f.say(contract.To("blue"), `["m",3]`)
	f.awaitCopies(3)
	posts, err := f.js.Stream(f.ctx(), "NATTER_POSTS")
	if err != nil {
		t.Fatal(err)
	}
	c, err := posts.OrderedConsumer(f.ctx(), jetstream.OrderedConsumerConfig{OptStartSeq: 2, DeliverPolicy: jetstream.DeliverByStartSequencePolicy})
	if err != nil {
		t.Fatal(err)
	}
	copied, err := c.Next()
	if err != nil {
		t.Fatal(err)
	}
	meta, err := copied.Metadata()
	if err != nil {
		t.Fatal(err)
	}
	f.start()
	if m := f.awaitRoom("red", 2).Messages[1]; !m.Stamp.Time.Equal(meta.Timestamp) || m.Stamp.ID != f.id(2) {
		t.Errorf("stamp %+v; want time %s", m.Stamp, meta.Timestamp)
	}
}

package historyd

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
)

// TestReadingOnPassesNothingThatIsStoredLater has an instance that holds ten posts in its hands and does not go on, while
// another one stores newer ones.
func TestReadingOnPassesNothingThatIsStoredLater(t *testing.T) {
	f := newFixture(t)
	f.start()
	first := f.id(f.say(contract.To("red"), `["m",0]`).Sequence)
	f.awaitRoom("red", 1)
	f.settled()
	f.stop()
	for i := range 10 {
		f.say(contract.To("red"), fmt.Sprintf(`["m",%d]`, i+1))
	}
	f.awaitCopies(11)
	consumer, err := f.js.Consumer(f.ctx(), "NATTER_POSTS", "history")
	if err != nil {
		t.Fatal(err)
	}
	batch, err := consumer.Fetch(10, jetstream.FetchMaxWait(deadline))
	if err != nil {
		t.Fatal(err)
	}
	var held []jetstream.Msg
	for msg := range batch.Messages() {
		held = append(held, msg)
	}
	if len(held) != 10 {
		t.Fatalf("%d posts held, %v", len(held), batch.Error())
	}
	for i := range 10 {
		f.say(contract.To("red"), fmt.Sprintf(`["m",%d]`, i+11))
	}
	f.start()
	f.awaitRoom("red", 11) // a page without a cursor has what there is

	read := []string{}
	cursor := "0-0"
	readOn := func() (more bool) {
		page := f.pageOf(fmt.Sprintf(`{"namespace":"/","room":"red","after":%q,"limit":3}`, cursor))
		for _, m := range page.Messages {
			read, cursor = append(read, string(m.Event)), m.Stamp.ID
		}
		return *page.Newer
	}
	for range 5 {
		if !readOn() {
			t.Errorf("newer is false while newer ones are there")
		}
	}
	if len(read) != 1 {
		t.Errorf("read %s past what is not stored yet", read)
	}
	if page := f.pageOf(fmt.Sprintf(`{"namespace":"/","room":"red","around":%q,"limit":50}`, first)); len(page.Messages) != 1 || !*page.Newer {
		t.Errorf("around the first: %d messages, newer %t; want it alone, and that there are newer ones", len(page.Messages), *page.Newer)
	}
	for _, msg := range held {
		if err := msg.Nak(); err != nil {
			t.Fatal(err)
		}
	}
	f.until("all posts read", func() error {
		for range 10 {
			readOn()
		}
		if len(read) < 21 {
			return fmt.Errorf("%d of 21", len(read))
		}
		return nil
	})
	for i, event := range read {
		if want := fmt.Sprintf(`["m",%d]`, i); event != want {
			t.Fatalf("read %s; want %s at %d", strings.Join(read, " "), want, i)
		}
	}
}

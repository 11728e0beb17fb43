package historyd

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
)

// TestEditsOfWhatIsNotStoredYetAreNotRefusedForGood has messages in another instance's hands while they are edited: everybody
// has heard them.
func TestEditsOfWhatIsNotStoredYetAreNotRefusedForGood(t *testing.T) {
	f := newFixture(t)
	f.start()
	f.say(contract.To("red"), `["m",0]`, by("u1")...)
	f.awaitRoom("red", 1)
	f.settled()
	f.stop()
	var ids []string
	for i := range 5 {
		ids = append(ids, f.id(f.say(contract.To("red"), fmt.Sprintf(`["m",%d]`, i+1), by("u1")...).Sequence))
	}
	emitted := f.id(f.publish("natter.emit._.room.red", `["m","not kept"]`, by("u1")...).Sequence)
	f.awaitCopies(6)
	c, err := f.js.Consumer(f.ctx(), "NATTER_POSTS", "history")
	if err != nil {
		t.Fatal(err)
	}
	held := f.fetch(c, 5)
	f.start()
	f.say(contract.To("red"), `["m",6]`, by("u1")...) // stored before those that are held
	f.awaitRoom("red", 2)

	edit := func(id string) string {
		return fmt.Sprintf(`{"namespace":"/","room":"red","id":%q,"user":"u1","value":"edited"}`, id)
	}
	answers, err := f.nc.SubscribeSync(f.nc.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if err := f.nc.PublishRequest("natter.history.edit", answers.Subject, []byte(edit(id))); err != nil {
			t.Fatal(err)
		}
	}
	for range ids {
		if got := f.code(answers); got != contract.CodeUnavailable {
			t.Errorf("an edit of what is not stored yet is answered %q", got)
		}
	}
	for what, request := range map[string]string{
		"what was not posted":     edit(emitted),
		"what was never said":     edit(f.id(1000)),
		"of another stream":       edit("zzzz-1"),
		"what was said elsewhere": fmt.Sprintf(`{"namespace":"/","room":"blue","id":%q,"user":"u1","value":"edited"}`, ids[0]),
		"in another namespace":    fmt.Sprintf(`{"namespace":"/admin","room":"red","id":%q,"user":"u1","value":"edited"}`, ids[0]),
		"to everybody":            fmt.Sprintf(`{"namespace":"/","room":null,"id":%q,"user":"u1","value":"edited"}`, ids[0]),
	} {
		if err := f.nc.PublishRequest("natter.history.edit", answers.Subject, []byte(request)); err != nil {
			t.Fatal(err)
		}
		if got := f.code(answers); got != contract.CodeNotFound {
			t.Errorf("an edit of %s is answered %q", what, got)
		}
	}
	for _, msg := range held {
		if err := msg.Nak(); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range ids {
		f.until("the edit", func() error {
			msg, err := f.nc.RequestWithContext(f.ctx(), "natter.history.edit", []byte(edit(id)))
			if err == nil && string(msg.Data) != `{"ok":true}` {
				err = fmt.Errorf("%s", msg.Data)
			}
			return err
		})
	}
}

// TestEditsWhileOldPostsWait has posts wait that the main stream has forgotten.
func TestEditsWhileOldPostsWait(t *testing.T) {
	f := newFixture(t)
	f.start()
	swept := f.id(1)
	f.say(contract.To("blue"), `["m","kept"]`, by("u1")...)
	f.awaitRoom("blue", 1)
	f.settled()
	f.stop()
	id := f.id(f.say(contract.To("red"), `["m","old"]`, by("u1")...).Sequence)
	f.awaitCopies(2)
	c, err := f.js.Consumer(f.ctx(), "NATTER_POSTS", "history")
	if err != nil {
		t.Fatal(err)
	}
	held := f.fetch(c, 1)
	f.configureMain(func(c *jetstream.StreamConfig) { c.MaxMsgs, c.Discard = 1, jetstream.DiscardOld }) // in the place of its age
	f.publish("natter.emit._.room.red", `["m","the only one"]`)
	f.start()
	answers, err := f.nc.SubscribeSync(f.nc.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	ask := func(id string) string {
		t.Helper()
		if err := f.nc.PublishRequest("natter.history.edit", answers.Subject, fmt.Appendf(nil, `{"namespace":"/","room":"red","id":%q,"user":"u1","value":"new"}`, id)); err != nil {
			t.Fatal(err)
		}
		return f.code(answers)
	}
	f.page("blue", "", 1) // it answers
	if got := ask(id); got != contract.CodeUnavailable {
		t.Errorf("an edit of what waits is answered %q", got)
	}
	if got := ask(swept); got != contract.CodeNotFound { // in blue
		t.Errorf("an edit of what does not wait is answered %q", got)
	}
	if err := held[0].Nak(); err != nil {
		t.Fatal(err)
	}
	f.awaitRoom("red", 1)
	if got := ask(id); got != "" {
		t.Errorf("an edit of what is there is answered %q", got)
	}
}

// fetch takes posts out of the queue, as another instance does.
func (f *fixture) fetch(c jetstream.Consumer, n int) (held []jetstream.Msg) {
	f.t.Helper()
	batch, err := c.Fetch(n, jetstream.FetchMaxWait(20*time.Second))
	if err != nil {
		f.t.Fatal(err)
	}
	for msg := range batch.Messages() {
		held = append(held, msg)
	}
	if len(held) != n {
		f.t.Fatalf("took %d posts, %v; want %d", len(held), batch.Error(), n)
	}
	return held
}

// code is that of the next refusal among the answers; "" if it is none.
func (f *fixture) code(answers *nats.Subscription) string {
	f.t.Helper()
	var no contract.Refusal
	msg, err := answers.NextMsgWithContext(f.ctx())
	if err == nil {
		err = json.Unmarshal(msg.Data, &no)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return no.Code
}

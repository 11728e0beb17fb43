package historyd

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
)

// limit sets the size of the largest message that the main stream takes, which may be made again for it.
func (f *fixture) limit(size int32) {
	f.t.Helper()
	f.configureMain(func(c *jetstream.StreamConfig) { c.MaxMsgSize = size })
}

func (f *fixture) configureMain(change func(*jetstream.StreamConfig)) {
	f.t.Helper()
	c := f.main.CachedInfo().Config
	change(&c)
	var err error
	if f.main, err = f.js.CreateOrUpdateStream(f.ctx(), c); err != nil {
		f.t.Fatal(err)
	}
}

// hears waits until what is said of changes holds each of the texts.
func (f *fixture) hears(said *nats.Subscription, texts ...string) {
	f.t.Helper()
	for missing := texts; len(missing) > 0; {
		msg, err := said.NextMsgWithContext(f.ctx())
		if err != nil {
			f.t.Fatalf("nothing more is said; missing %q: %v\n%s", missing, err, f.log)
		}
		var rest []string
		for _, text := range missing {
			if !strings.Contains(string(msg.Data), text) {
				rest = append(rest, text)
			}
		}
		missing = rest
	}
}

// TestEditsThatNobodyCouldHearOfAreRefused has a stream that takes smaller messages than NATS.
func TestEditsThatNobodyCouldHearOfAreRefused(t *testing.T) {
	f := newFixture(t)
	f.limit(64 << 10)
	f.start()
	said := f.heardOf("natter.emit._.room.red")
	id := f.id(f.say(contract.To("red"), `["m","x"]`, by("u1")...).Sequence)
	f.awaitRoom("red", 1)
	edit := func(size int, want ...string) {
		t.Helper()
		f.request("edit", fmt.Sprintf(`{"namespace":"/","room":"red","id":%q,"user":"u1","value":%q}`, id, strings.Repeat("x", size)), want...)
	}
	edit(100_000, `"invalid"`, "larger than a message may be")
	edit(64<<10-600, `"invalid"`, "larger than a message may be")
	edit(64<<10-1000, `{"ok":true}`)
	f.hears(said, `"message edited"`)
	if m := f.page("red", "", 1).Messages[0]; len(m.Event) < 60_000 {
		t.Errorf("the message has %d bytes", len(m.Event))
	}
}

// heardOf subscribes to what clients are told.
func (f *fixture) heardOf(subject string) *nats.Subscription {
	f.t.Helper()
	sub, err := f.nc.SubscribeSync(subject)
	if err != nil {
		f.t.Fatal(err)
	}
	return sub
}

// TestOneChangeThatCannotBeToldDoesNotHoldUpOthers has one that the stream never takes, since its limit was lowered, and one
// that it does not take now, since the room is full.
func TestOneChangeThatCannotBeToldDoesNotHoldUpOthers(t *testing.T) {
	f := newFixture(t)
	f.start()
	large := f.id(f.say(contract.To("large"), `["m","x"]`, by("u1")...).Sequence)
	full := f.id(f.say(contract.To("full"), `["m","x"]`, by("u1")...).Sequence)
	other := f.id(f.say(contract.To("other"), `["m","x"]`, by("u1")...).Sequence)
	f.say(contract.To("other"), `["m","x"]`, by("u2")...)
	f.awaitRoom("other", 2)
	f.settled()
	said := f.heard()
	rooms := f.heardOf("natter.live._.room.*")

	f.configureMain(func(c *jetstream.StreamConfig) {
		c.MaxMsgsPerSubject, c.Discard, c.DiscardNewPerSubject = 1, jetstream.DiscardNew, true
	})
	f.publish("natter.emit._.room.large", `["full"]`)
	f.publish("natter.emit._.room.full", `["full"]`)
	f.request("edit", fmt.Sprintf(`{"namespace":"/","room":"large","id":%q,"user":"u1","value":%q}`, large, strings.Repeat("x", 10_000)), `{"ok":true}`)
	f.request("edit", fmt.Sprintf(`{"namespace":"/","room":"full","id":%q,"user":"u1","value":"in a full room"}`, full), `{"ok":true}`)
	f.request("delete", fmt.Sprintf(`{"namespace":"/","room":"other","id":%q,"user":"u1"}`, other), `{"ok":true}`)
	f.remove("u2")
	f.factsDone() // what remains to be said is noted
	f.hears(rooms, `"message deleted"`)
	f.hears(said, `["redacted",{"user":"u2"}]`)
	f.until("a warning", func() error { return f.log.has("cannot tell clients", "natter.emit._.room") })
	f.limit(4096)
	f.until("the one that never fits given up", func() error { return f.log.has("clients are not told of a change", large) })
	f.configureMain(func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject, c.DiscardNewPerSubject = -1, false })
	f.hears(rooms, "in a full room")
}

package historyd

import (
	"fmt"
	"testing"

	"github.com/natter-io/natter/pkg/contract"
)

// TestNobodyHasReadWhatIsNotSaidYet marks messages of the future as read.
func TestNobodyHasReadWhatIsNotSaidYet(t *testing.T) {
	f := newFixture(t)
	f.start()
	f.page("red", "", 1) // it answers
	read := func(id string) {
		t.Helper()
		f.request("read", `{"namespace":"/","room":"red","user":"u1","id":"`+id+`"}`, `{"ok":true}`)
	}
	unread := func(n int, mark string) {
		t.Helper()
		f.request("unread", `{"namespace":"/","user":"u1","rooms":["red"]}`, fmt.Sprintf(`{"ok":true,"rooms":[{"room":"red","unread":%d%s}]}`, n, mark))
	}
	read("zzzzzzzz-1") // nothing is stored
	unread(0, "")
	first := f.id(f.say(contract.To("red"), `["m",1]`, by("u2")...).Sequence)
	f.settled()
	unread(1, "")
	read("zzzzzzzz-9223372036854775807")
	unread(0, `,"read":"`+first+`"`)
	f.say(contract.To("red"), `["m",2]`, by("u2")...)
	f.awaitRoom("red", 2)
	unread(1, `,"read":"`+first+`"`)

	// What was heard live and is not stored yet was said.
	if err := f.js.DeleteConsumer(f.ctx(), "NATTER_POSTS", "history"); err != nil {
		t.Fatal(err)
	}
	live := f.id(f.say(contract.To("red"), `["m",3]`, by("u2")...).Sequence)
	read(live)
	unread(0, `,"read":"`+live+`"`)
	f.awaitRoom("red", 3)
	unread(0, `,"read":"`+live+`"`)

	f.say(contract.To("red"), `["m",4]`, by("u2")...)
	f.awaitRoom("red", 4)
	unread(1, `,"read":"`+live+`"`)
	f.request("erase", `{"user":"u2"}`, `"erased":4`)
	unread(0, `,"read":"`+live+`"`) // what is redacted is nothing to read
}

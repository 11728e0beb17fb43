package historyd

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/natter-io/natter/pkg/contract"
)

// lock takes the lock that changes need, as another process would, until it is released.
func (f *fixture) lock() (release func()) {
	f.t.Helper()
	driver, begin := "sqlite", []string{"BEGIN IMMEDIATE"}
	if kind == "postgres" {
		driver, begin = "pgx", []string{"BEGIN", "LOCK TABLE messages IN SHARE MODE"}
	}
	other, err := sql.Open(driver, f.cfg.Database)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = other.Close() })
	conn, err := other.Conn(f.ctx())
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = conn.Close() })
	for _, statement := range begin {
		if _, err := conn.ExecContext(f.ctx(), statement); err != nil {
			f.t.Fatal(err)
		}
	}
	return func() {
		f.t.Helper()
		if _, err := conn.ExecContext(f.ctx(), "ROLLBACK"); err != nil {
			f.t.Fatal(err)
		}
	}
}

// TestWhatWaitedForTooLongIsNotDone has an edit wait behind others until its asker has given it up: it may ask for
// something else then, which this one must not overtake.
func TestWhatWaitedForTooLongIsNotDone(t *testing.T) {
	f := newFixture(t)
	f.start()
	id := f.id(f.say(contract.To("red"), `["m","first"]`, by("u1")...).Sequence)
	f.awaitRoom("red", 1)
	release := f.lock()
	answers, err := f.nc.SubscribeSync(f.nc.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	const busy = 8 // edits at a time
	for i := range busy + 1 {
		if err := f.nc.PublishRequest("natter.history.edit", answers.Subject, fmt.Appendf(nil, `{"namespace":"/","room":"red","id":%q,"value":%d,"user":"u1"}`, id, i)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range busy + 1 {
		if i == busy {
			release()
		}
		msg, err := answers.NextMsgWithContext(f.ctx())
		if err != nil || !strings.Contains(string(msg.Data), `"unavailable"`) {
			t.Fatalf("answer %d: %s, %v", i, msg.Data, err)
		}
	}
	f.request("edit", `{"namespace":"/","room":"red","id":"`+id+`","value":"later","user":"u1"}`, `{"ok":true}`)
	if got := texts(f.page("red", "", 1)); got != "later" {
		t.Errorf("the message is %q", got)
	}
	f.request("trail", `{"namespace":"/","room":"red","id":"`+id+`"}`, `"changes":[{"action":"edit","user":"u1","time":`, `"event":["m","first"]}]`)
}

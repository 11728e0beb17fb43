package historyd

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/natter-io/natter/pkg/contract"
)

// TestWhatWasTakenOutStaysOutOfADatabaseFilledAnew loses the database, and does what the README says of that.
func TestWhatWasTakenOutStaysOutOfADatabaseFilledAnew(t *testing.T) {
	f := newFixture(t)
	f.start()
	var deleted []string
	for i := range 300 { // more facts than are heard at a time
		deleted = append(deleted, f.id(f.say(contract.To("red"), fmt.Sprintf(`["m","red","%s %d"]`, gone, i), by("u2")...).Sequence))
	}
	f.say(contract.To("red"), `["m","red","`+gone+` of the erased"]`, by("u1")...)
	f.say(contract.To("red"), `["m","red","`+gone+` of the deleted"]`, by("u3")...)
	kept := f.id(f.say(contract.To("red"), `["m","red","kept"]`, by("u2")...).Sequence)
	f.settled()
	f.request("erase", `{"user":"u1"}`, `{"ok":true,"erased":1,"known":true}`)
	f.remove("u3")
	for _, id := range deleted {
		f.request("delete", `{"namespace":"/","room":"red","id":"`+id+`","user":"u2"}`, `{"ok":true}`)
	}
	f.awaitFacts(302)
	f.say(contract.To("red"), `["m","red","kept, since it was said later"]`, by("u1")...)
	f.factsDone()
	f.settled()
	f.stop()

	f.cfg.Database = newDatabase(t)
	f.removeQueues("NATTER_POSTS", "NATTER_EVENTS")
	f.start()
	f.page("red", "", 1) // it answers
	f.until("all messages", func() error {
		answer := f.request("page", `{"namespace":"/","room":"red","limit":200}`)
		if strings.Contains(answer, gone) {
			t.Fatalf("what had been taken out is back: %s", answer)
		}
		page := f.page("red", "", 1)
		if len(page.Messages) != 1 || !strings.Contains(string(page.Messages[0].Event), "later") {
			return fmt.Errorf("%+v", page)
		}
		return nil
	})
	f.settled()
	f.factsDone()
	for _, id := range deleted {
		f.request("trail", `{"namespace":"/","room":"red","id":"`+id+`"}`, `"action":"delete","user":"u2"`, gone)
	}
	for _, user := range []string{"u1", "u3"} {
		if export := f.request("export", `{"user":"`+user+`"}`, `"redacted":true`); strings.Contains(export, gone) {
			t.Errorf("of %s: %s", user, export)
		}
	}
	f.request("page", `{"namespace":"/","room":"red","after":"`+deleted[len(deleted)-1]+`"}`, `"kept"`, kept, "kept, since it was said later")
	f.awaitFacts(302)
}

// awaitFacts waits until so many facts were stated.
func (f *fixture) awaitFacts(n uint64) {
	f.t.Helper()
	f.until("the facts", func() error {
		events, err := f.js.Stream(f.ctx(), "NATTER_EVENTS")
		if err == nil && events.CachedInfo().State.Msgs != n {
			err = fmt.Errorf("there are %d; want %d", events.CachedInfo().State.Msgs, n)
		}
		return err
	})
}

// TestWhatIsNoFactIsSkipped has some of it between facts.
func TestWhatIsNoFactIsSkipped(t *testing.T) {
	f := newFixture(t)
	f.start()
	id := f.id(f.say(contract.To("red"), `["m","red","`+gone+`"]`, by("u1")...).Sequence)
	f.say(contract.To("blue"), `["m","blue","`+gone+`"]`, by("u2")...)
	f.awaitRoom("blue", 1)
	f.remove("u2")
	f.publish("natter.event.message.deleted", `{"id":"`+id+`","time":"`+time.Now().Format(time.RFC3339Nano)+`"}`)
	for _, nothing := range []string{`{}`, `{"id":"1-1"}`, `{"id":"x","time":"2026-01-01T00:00:00Z"}`, `{"id":"1-1","user":"a\u0000b","time":"2026-01-01T00:00:00Z"}`, `{"id":"1-1","time":"9026-01-01T00:00:00Z"}`} {
		f.publish("natter.event.message.deleted", nothing)
	}
	f.publish("natter.event.user.erased", `{"user":"u1"}`)
	f.until("the deletion", func() error {
		if page := f.page("red", "", 1); len(page.Messages) != 1 || page.Messages[0].Deleted.IsZero() || page.Messages[0].Redacted {
			return fmt.Errorf("%+v", page)
		}
		return nil
	})
	f.factsDone()
	f.until("the redaction", func() error {
		if page := f.page("blue", "", 1); len(page.Messages) != 1 || !page.Messages[0].Redacted {
			return fmt.Errorf("%+v", page)
		}
		return nil
	})
	if n := strings.Count(f.log.String(), "skipped a fact"); n != 6 {
		t.Errorf("%d facts skipped; want 6", n)
	}
}

// TestDeletionsOfWhatNeverComesAreForgotten has facts of messages that are in no stream: one of before all that is there, and one that may be of
// what is on its way.
func TestDeletionsOfWhatNeverComesAreForgotten(t *testing.T) {
	f := newFixture(t)
	f.say(contract.To("red"), `["m","kept"]`)
	f.remove("u9") // makes the stream
	for i, ago := range []time.Duration{31 * 24 * time.Hour, time.Hour} {
		f.publish("natter.event.message.deleted", fmt.Sprintf(`{"id":"mib8k3yz-%d","time":%q}`, i+1, time.Now().Add(-ago).Format(time.RFC3339Nano)))
	}
	f.start()
	f.awaitRoom("red", 1)
	f.factsDone()
	db, err := sql.Open(driver, f.cfg.Database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	f.until("the deletion that is remembered", func() error {
		var n, first int
		err := db.QueryRowContext(f.ctx(), "SELECT count(*), min(sequence) FROM gone").Scan(&n, &first)
		if err == nil && (n != 1 || first != 2) {
			err = fmt.Errorf("%d are, from %d on; want the second one alone", n, first)
		}
		return err
	})
}

// TestAnErasureThatFailsGoesOn has the database fail at a message of the second transaction, and mends it while the service runs.
func TestAnErasureThatFailsGoesOn(t *testing.T) {
	f := newFixture(t)
	f.start()
	for range 510 { // in more than one transaction
		f.say(contract.To("red"), `["m","red","`+gone+`"]`, by("u1")...)
	}
	f.settled()
	f.execute("UPDATE messages SET lengths = 'what?' WHERE sequence = 510")
	f.request("erase", `{"user":"u1"}`, `"unavailable"`)
	f.execute("UPDATE messages SET lengths = '' WHERE sequence = 510")
	f.until("the rest", func() error {
		if page := f.page("red", "", 1); !page.Messages[0].Redacted {
			return fmt.Errorf("%+v", page)
		}
		return nil
	})
	f.awaitFacts(1)
}

// execute changes the database behind the service's back.
func (f *fixture) execute(statement string) {
	f.t.Helper()
	driver := "sqlite"
	if kind == "postgres" {
		driver = "pgx"
	}
	db, err := sql.Open(driver, f.cfg.Database)
	if err != nil {
		f.t.Fatal(err)
	}
	defer db.Close()
	f.until(statement, func() error { _, err := db.ExecContext(f.ctx(), statement); return err }) // the file may be locked
}

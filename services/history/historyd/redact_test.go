package historyd

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/provision"
)

// remove publishes the fact that a user was deleted.
func (f *fixture) remove(user string) {
	f.t.Helper()
	if _, err := provision.Events(f.ctx(), f.js, subjects, 0, one); err != nil {
		f.t.Fatal(err)
	}
	fact, err := json.Marshal(contract.UserDeleted{User: user, Name: "x", Time: time.Now()})
	if err != nil {
		f.t.Fatal(err)
	}
	f.publish("natter.event.user.deleted", string(fact))
}

// heard subscribes to what clients of every namespace are told by emits.
func (f *fixture) heard() *nats.Subscription {
	f.t.Helper()
	sub, err := f.nc.SubscribeSync("natter.emit.*.all")
	if err != nil {
		f.t.Fatal(err)
	}
	return sub
}

func (f *fixture) factsDone() {
	f.t.Helper()
	f.until("all facts acknowledged", func() error {
		events, err := f.js.Stream(f.ctx(), "NATTER_EVENTS")
		if err != nil {
			return err
		}
		last := uint64(0)
		for _, fact := range []string{"user.deleted", "user.erased", "message.deleted"} {
			msg, err := events.GetLastMsgForSubject(f.ctx(), "natter.event."+fact)
			if err == nil {
				last = max(last, msg.Sequence)
			} else if !errors.Is(err, jetstream.ErrMsgNotFound) {
				return err
			}
		}
		c, err := events.Consumer(f.ctx(), queues["NATTER_EVENTS"])
		if err != nil {
			return err
		}
		if floor := c.CachedInfo().AckFloor.Stream; floor < last {
			return fmt.Errorf("%d of %d acknowledged", floor, last)
		}
		return nil
	})
}

func by(user string) []string {
	return []string{contract.HeaderUser, user, contract.HeaderName, "Name of " + user, contract.HeaderSocket, socketA}
}

const gone = "a very particular sentence"

// isRedacted checks what is left of the messages of u1 and that the others' are whole.
func (f *fixture) isRedacted(page contract.HistoryPage) error {
	for _, m := range page.Messages {
		switch {
		case m.Stamp.User != "u1" && (m.Redacted || !strings.Contains(string(m.Event), "kept")):
			return fmt.Errorf("%s of %q is redacted", m.Stamp.ID, m.Stamp.User)
		case m.Stamp.User == "u1" && (!m.Redacted || string(m.Event) != `["room message"]` || m.Attachments != nil ||
			m.Stamp.Name != "" || m.Stamp.Socket != "" || m.Stamp.ID == "" || m.Stamp.Time.IsZero()):
			return fmt.Errorf("not redacted: %s %+v", m.Event, m)
		}
	}
	return nil
}

func TestADeletedUsersMessagesAreRedacted(t *testing.T) {
	f := newFixture(t)
	s := f.start()
	f.say(contract.To("red"), `["room message","red","`+gone+`"]`, by("u1")...)
	f.say(contract.To("red"), `["room message","red","kept"]`, by("u2")...)
	f.say(contract.To("red"), `["room message","red","kept"]`)
	part := [][]byte{[]byte(gone)}
	f.say(contract.To("red"), string(contract.JoinPayload([]byte(`["room message",{"_placeholder":true,"num":0}]`), part)),
		append(by("u1"), contract.HeaderAttachments, contract.FormatAttachments(part))...)
	f.publish("natter.post.admin.all", `["room message","`+gone+`"]`, by("u1")...)
	f.awaitRoom("red", 4)
	f.settled()
	said := f.heard()
	f.remove("nobody")
	f.remove("u1")
	f.remove("u1")
	f.factsDone()
	if err := f.isRedacted(f.page("red", "", 10)); err != nil {
		t.Error(err)
	}
	got := map[string]int{}
	for range 2 {
		msg, err := said.NextMsgWithContext(f.ctx())
		if err != nil {
			t.Fatal(err)
		}
		got[msg.Subject+" "+string(msg.Data)]++
	}
	if got[`natter.emit._.all ["redacted",{"user":"u1"}]`] != 1 || got[`natter.emit.admin.all ["redacted",{"user":"u1"}]`] != 1 {
		t.Errorf("said %v", got)
	}
	if n := metric(t, s, "redacted_total"); n != 3 {
		t.Errorf("redacted %v; want 3", n)
	}
	// Posts of that user which come later are redacted on arrival, and said again.
	f.say(contract.To("red"), `["room message","red","`+gone+`"]`, by("u1")...)
	if err := f.isRedacted(f.awaitRoom("red", 5)); err != nil {
		t.Error(err)
	}
	if _, err := said.NextMsgWithContext(f.ctx()); err != nil {
		t.Errorf("nothing said of the late one: %v", err)
	}
	f.settled()
	if n, _, err := said.Pending(); err != nil || n != 0 {
		t.Errorf("%d more were said", n)
	}
	f.stop()
	for name, content := range f.contents() {
		if strings.Contains(content, gone) || strings.Contains(content, "Name of u1") || strings.Contains(content, "particular") {
			t.Errorf("what was redacted still stands in %s", name)
		}
	}
}

// contents are the files of the database; of PostgreSQL all rows of all tables.
func (f *fixture) contents() map[string]string {
	f.t.Helper()
	all := make(map[string]string)
	if kind == "sqlite" {
		for _, suffix := range []string{"", "-wal"} {
			content, err := os.ReadFile(f.cfg.Database + suffix)
			if err != nil && !os.IsNotExist(err) {
				f.t.Fatal(err)
			}
			all["history.db"+suffix] = string(content)
		}
		return all
	}
	db, err := sql.Open("pgx", f.cfg.Database)
	if err != nil {
		f.t.Fatal(err)
	}
	defer db.Close()
	for _, table := range []string{"messages", "places", "changes", "words", "outbox", "marks", "erased", "gone"} {
		var text sql.NullString
		column := "CAST(t AS text)"
		switch table {
		case "messages", "changes":
			column = "CAST(t AS text) || encode(payload, 'escape')"
		case "outbox":
			column = "CAST(t AS text) || encode(event, 'escape')"
		}
		if err := db.QueryRow("SELECT string_agg(" + column + ", ' ') FROM " + table + " t").Scan(&text); err != nil {
			f.t.Fatal(err)
		}
		all[table] = text.String
	}
	return all
}

// TestDeletedWhileTheServiceIsDown leaves posts and the fact in two queues, which are read in any order.
func TestDeletedWhileTheServiceIsDown(t *testing.T) {
	f := newFixture(t)
	f.start()
	f.say(contract.To("red"), `["room message","red","`+gone+`"]`, by("u1")...)
	f.awaitRoom("red", 1)
	f.stop()
	for range 30 {
		f.say(contract.To("red"), `["room message","red","`+gone+`"]`, by("u1")...)
		f.say(contract.To("red"), `["room message","red","kept"]`, by("u2")...)
	}
	f.remove("u1")
	f.awaitCopies(61)
	said := f.heard()
	f.start()
	f.factsDone()
	f.settled()
	if err := f.isRedacted(f.awaitRoom("red", 61)); err != nil {
		t.Error(err)
	}
	if msg, err := said.NextMsgWithContext(f.ctx()); err != nil || string(msg.Data) != `["redacted",{"user":"u1"}]` {
		t.Errorf("said %v, %v", msg, err)
	}
}

// TestRedactionIsSaidOnceThereIsAMainStream redacts while nobody can be told.
func TestRedactionIsSaidOnceThereIsAMainStream(t *testing.T) {
	f := newFixture(t)
	f.start()
	f.say(contract.To("red"), `["room message","red","`+gone+`"]`, by("u1")...)
	f.awaitRoom("red", 1)
	f.settled()
	if err := f.js.DeleteStream(f.ctx(), "NATTER"); err != nil {
		t.Fatal(err)
	}
	f.remove("u1")
	f.until("redaction", func() error { return f.isRedacted(f.page("red", "", 10)) })
	f.until("a log line", func() error { return f.log.has("cannot tell clients of a change yet") })
	f.stop()
	f.start()
	f.makeMain()
	f.until("the announcement", func() error {
		msg, err := f.main.GetMsg(f.ctx(), 1)
		if err == nil && string(msg.Data) != `["redacted",{"user":"u1"}]` {
			err = fmt.Errorf("%s", msg.Data)
		}
		return err
	})
	f.factsDone()
	if i, err := f.main.Info(f.ctx()); err != nil || i.State.Msgs != 1 {
		t.Errorf("%d messages in the main stream, %v; want 1", i.State.Msgs, err)
	}
}

func TestUnreadableFactsAreSkipped(t *testing.T) {
	f := newFixture(t)
	f.start()
	f.say(contract.To("red"), `["room message","red","`+gone+`"]`, by("u1")...)
	f.awaitRoom("red", 1)
	f.publish("natter.event.user.deleted", `what?`)
	f.publish("natter.event.user.deleted", `{}`)
	f.publish("natter.event.other", `{"user":"u1"}`)
	f.factsDone()
	if f.page("red", "", 1).Messages[0].Redacted {
		t.Error("redacted without a reason")
	}
	f.remove("u1")
	f.until("redaction", func() error { return f.isRedacted(f.page("red", "", 1)) })
}

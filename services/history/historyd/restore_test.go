package historyd

import (
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/natter-io/natter/pkg/contract"
)

// driver opens the database that the tests use.
var driver = map[string]string{"sqlite": "sqlite", "postgres": "pgx"}[kind]

// backup copies the database, of which nobody has connections, and returns where the copy is.
func (f *fixture) backup() string {
	f.t.Helper()
	if kind == "sqlite" {
		copied := newDatabase(f.t)
		for _, suffix := range []string{"", "-wal", "-shm"} {
			b, err := os.ReadFile(f.cfg.Database + suffix)
			if err == nil {
				err = os.WriteFile(copied+suffix, b, 0o600)
			}
			if err != nil && (suffix == "" || !os.IsNotExist(err)) {
				f.t.Fatal(err)
			}
		}
		return copied
	}
	db, err := sql.Open(driver, f.cfg.Database)
	if err != nil {
		f.t.Fatal(err)
	}
	defer db.Close()
	u, err := url.Parse(f.cfg.Database)
	if err != nil {
		f.t.Fatal(err)
	}
	name := strings.TrimPrefix(u.Path, "/")
	u.Path = "/" + name + "_backup"
	f.until("a backup", func() error { // while somebody is connected there is none
		_, err := db.ExecContext(f.ctx(), fmt.Sprintf(`CREATE DATABASE "%s_backup" TEMPLATE "%s"`, name, name))
		return err
	})
	return u.String()
}

// noted waits until the database has noted how far the queue of posts is.
func (f *fixture) noted(sequence int) {
	f.t.Helper()
	f.until("a note of how far the queue is", func() error {
		db, err := sql.Open(driver, f.cfg.Database)
		if err != nil {
			return err
		}
		defer db.Close()
		var value string
		if err := db.QueryRowContext(f.ctx(), `SELECT value FROM facts WHERE name = 'floor NATTER_POSTS history'`).Scan(&value); err != nil {
			return err
		}
		if !strings.HasSuffix(value, fmt.Sprint(" ", sequence)) {
			return fmt.Errorf("it is %s", value)
		}
		return nil
	})
}

// TestDatabaseIsPutBack has a backup take the place of the database: what came since waits in the streams still, though it was
// acknowledged.
func TestDatabaseIsPutBack(t *testing.T) {
	f := newFixture(t)
	f.start()
	f.say(contract.To("red"), `["m",0]`)
	f.say(contract.To("red"), `["m",1]`, contract.HeaderUser, "ann")
	f.awaitRoom("red", 2)
	f.settled()
	f.noted(2)
	f.publish("natter.event.user.deleted", fmt.Sprintf(`{"user":%q}`, "zoe"))
	f.until("the deletion", func() error { return f.log.has("deleted user", "zoe") })
	f.stop()
	backup := f.backup()
	f.start()
	for i := 2; i < 5; i++ {
		f.say(contract.To("red"), fmt.Sprintf(`["m",%d]`, i))
	}
	f.publish("natter.event.user.deleted", fmt.Sprintf(`{"user":%q}`, "ann"))
	f.awaitRoom("red", 5)
	f.until("the deletion", func() error { return f.log.has("deleted user", "ann") })
	f.settled()
	f.stop()

	f.cfg.Database = backup
	f.start()
	f.say(contract.To("red"), `["m",5]`)
	for i, m := range f.awaitRoom("red", 6).Messages {
		if want := fmt.Sprintf(`["m",%d]`, i); string(m.Event) != want && i != 1 {
			t.Errorf("message %d is %s; want %s", i, m.Event, want)
		}
	}
	f.until("the deleted user's message", func() error {
		if m := f.page("red", "", 6).Messages[1]; string(m.Event) != `["m"]` {
			return fmt.Errorf("it is %s", m.Event)
		}
		return nil
	})
	if err := f.log.has("delivered again", "NATTER_POSTS"); err != nil {
		t.Error(err)
	}
}

// TestNothingIsDeliveredAgainAfterAStop has the service stop right after it stored something: none of it is delivered again.
func TestNothingIsDeliveredAgainAfterAStop(t *testing.T) {
	f := newFixture(t)
	f.start()
	f.say(contract.To("red"), `["m",0]`)
	f.noted(1)
	for i := 1; i < 20; i++ {
		f.say(contract.To("red"), fmt.Sprintf(`["m",%d]`, i))
	}
	f.awaitRoom("red", 20)
	f.stop()
	f.start()
	f.say(contract.To("red"), `["m",20]`)
	f.awaitRoom("red", 21)
	if err := f.log.has("delivered again", "NATTER_POSTS"); err == nil {
		t.Error("the queue went back")
	}
}

// emptied has everything go from the database behind the service's back, but for its name, as if a backup of its first day were put back.
func (f *fixture) emptied() {
	f.t.Helper()
	for _, statement := range []string{
		"DELETE FROM words", "DELETE FROM places", "DELETE FROM changes", "DELETE FROM messages", "DELETE FROM erased", "UPDATE facts SET value = '0 0' WHERE name LIKE 'floor%'",
	} {
		f.execute(statement)
	}
}

// erasedAndKept says something that is erased, and something that is not.
func (f *fixture) erasedAndKept() {
	f.t.Helper()
	f.say(contract.To("red"), `["m","red","`+gone+`"]`, by("u1")...)
	f.say(contract.To("red"), `["m","red","kept"]`, by("u2")...)
	f.awaitRoom("red", 2)
	f.settled()
	f.noted(2)
	f.request("erase", `{"user":"u1"}`, `"erased":1`)
	f.awaitFacts(1)
	f.factsDone()
}

// isBack waits until what was said is there again, without what was erased.
func (f *fixture) isBack(n int) {
	f.t.Helper()
	f.until("the messages", func() error {
		page := f.page("red", "", 10)
		for _, m := range page.Messages {
			if strings.Contains(string(m.Event), gone) || m.Redacted != (m.Stamp.ID == f.id(1)) {
				f.t.Fatalf("what was erased is there again: %+v\n%s", m, f.log)
			}
		}
		if len(page.Messages) != n {
			return fmt.Errorf("%d of %d", len(page.Messages), n)
		}
		return nil
	})
}

// TestFactsComeFirstAlsoLater has a database emptied while the service runs, and posts delivered again.
func TestFactsComeFirstAlsoLater(t *testing.T) {
	f := newFixture(t)
	f.start()
	f.erasedAndKept()
	f.emptied()
	f.removeQueues("NATTER_POSTS")
	f.isBack(2)
}

// TestTheDatabaseGoesBackWhileTheServiceRuns has nobody say so.
func TestTheDatabaseGoesBackWhileTheServiceRuns(t *testing.T) {
	f := newFixture(t)
	f.start()
	f.erasedAndKept()
	f.emptied()
	f.say(contract.To("red"), `["m","red","kept, since it was said later"]`, by("u1")...)
	f.isBack(3)
	f.noted(3)
}

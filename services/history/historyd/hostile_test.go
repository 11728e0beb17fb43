package historyd

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/socketio"
	"github.com/natter-io/natter/services/history/internal/record"
)

// hostile is a post that somebody makes who means no good, or knows no better.
type hostile struct {
	what, subject, payload string
	headers                []string
	want                   string // stored or skipped
}

const room = "natter.post._.room.red"

// nested is so many arrays in each other.
func nested(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

// wide is in a namespace with a long name: with thousands of rooms, the names of its places alone are over the 1 MB
// that PostgreSQL takes in its index of words.
var (
	longNamespace = strings.Repeat("n", 120)
	wide          = "natter.post." + longNamespace + ".many"
)

func hostilePosts() []hostile {
	tooLong := strings.Repeat("x", contract.MaxUser+1)
	var rooms []string
	for i := range 6_000 {
		rooms = append(rooms, fmt.Sprintf("%04x", i))
	}
	return []hostile{
		{"a user id of 6 KB", room, `["m"]`, []string{contract.HeaderUser, random(6000)}, "skipped"},
		{"a user id that is a byte too long", room, `["m"]`, []string{contract.HeaderUser, tooLong}, "skipped"},
		{"the longest user id", room, `["longest user"]`, []string{contract.HeaderUser, tooLong[1:]}, "stored"},
		{"NUL in a user id", room, `["m"]`, []string{contract.HeaderUser, "a\x00b"}, "skipped"},
		{"a user id that is not UTF-8", room, `["m"]`, []string{contract.HeaderUser, "a\xffb"}, "skipped"},
		{"NUL in a name", room, `["name"]`, []string{contract.HeaderName, "a\x00b\xff"}, "stored"},
		{"a name of 30 KB", room, `["long name"]`, []string{contract.HeaderName, random(30_000)}, "stored"},
		{"NUL in a socket id", room, `["socket"]`, []string{contract.HeaderSocket, "a\x00b\xff" + random(10_000)}, "stored"},
		{"an escaped NUL", room, `["nul","a\u0000b",{"\u0000":"\u0000"}]`, nil, "stored"},
		{"an escaped NUL in the event's name", room, `["a\u0000b",1]`, nil, "stored"},
		{"a bare NUL", room, "[\"m\",\"a\x00b\"]", nil, "skipped"},
		{"nothing but NUL", room, "\x00", nil, "skipped"},
		{"invalid UTF-8", room, "[\"m\",\"\xc3\x28\"]", nil, "skipped"},
		{"an overlong NUL", room, "[\"m\",\"\xc0\x80\"]", nil, "skipped"},
		{"a lone surrogate", room, `["lone","\ud800 word \udc00","\ud83d\ude00"]`, nil, "stored"},
		{"a lone surrogate in the event's name", room, `["\ud800"]`, nil, "stored"},
		{"as many arrays in each other as clients take in a page", room, `["deep",` + nested(socketio.MaxDepth-record.AroundPage-1) + `]`, nil, "stored"},
		{"an array more", room, `["m",` + nested(socketio.MaxDepth) + `]`, nil, "skipped"},
		{"200,000 arrays in each other", room, `["m",` + strings.Repeat("[", 200_000) + strings.Repeat("]", 200_000) + `]`, nil, "skipped"},
		{"arrays that do not end", room, `["m",` + strings.Repeat("[", 200_000), nil, "skipped"},
		{"huge numbers", room, `["numbers",1e999999999,-1e-999999999,` + strings.Repeat("9", 5000) + `]`, nil, "stored"},
		{"an event's name of 100 KB", room, `["` + strings.Repeat("n", 100_000) + `"]`, nil, "stored"},
		{"a word of 100 KB", room, `["word","` + strings.Repeat("w", 100_000) + `"]`, nil, "stored"},
		{"20,000 words", room, `["words","` + words(20_000) + `"]`, nil, "stored"},
		{"what a query language would take for its own", room, `["quotes","' OR 1=1; -- \" \\ NEAR( * @p5f & | ! :*"]`, nil, "stored"},
		{"an empty array", room, `[]`, nil, "skipped"},
		{"nothing", room, ``, nil, "skipped"},
		{"null", room, `[null]`, nil, "skipped"},
		{"a name that is an object", room, `[{"toString":1}]`, nil, "skipped"},
		{"empty attachments", room, `["empty"]`, []string{contract.HeaderAttachments, "0,0,0"}, "stored"},
		{"attachments that are no text", room, `["binary",{"_placeholder":true,"num":0}]` + "\x00\xff\xc3\x28", []string{contract.HeaderAttachments, "4"}, "stored"},
		{"an attachment of negative length", room, `["m"]`, []string{contract.HeaderAttachments, "-1"}, "skipped"},
		{"an attachment that is longer than all", room, `["m"]`, []string{contract.HeaderAttachments, "99999999999999999999"}, "skipped"},
		{"a room over and over", "natter.post._.many", `["over"]`, []string{contract.HeaderRooms, "red" + strings.Repeat(",red", 12_000)}, "stored"},
		{"6,000 rooms", wide, `["wide","needle"]`, []string{contract.HeaderRooms, strings.Join(rooms, ",")}, "stored"},
	}
}

// random is a string that does not get smaller when it is compressed.
func random(n int) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	b, x := make([]byte, n), uint32(1)
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = letters[x%uint32(len(letters))]
	}
	return string(b)
}

func words(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "w%x ", i)
	}
	return b.String()
}

// TestHostilePosts says one post after the other that could stop a database, each with a good one behind it, and all of
// them at once: what can be stored is, byte for byte, what cannot is out of the way, and the good ones are there.
func TestHostilePosts(t *testing.T) {
	f := newFixture(t)
	f.tune = func(s *Service) { s.storeWait = deadline } // 6,000 rooms take a busy machine long
	s := f.start()
	want := map[string]int{}
	var red []string
	for i, p := range hostilePosts() {
		f.publish(p.subject, p.payload, p.headers...)
		f.say(contract.To("good"), fmt.Sprintf(`["after",%q]`, p.what))
		want[p.want]++
		if p.want == "stored" && p.subject != wide {
			event, _, err := contract.SplitPayload(contract.Header{contract.HeaderAttachments: lengths(p)}, []byte(p.payload))
			if err != nil {
				t.Fatal(err)
			}
			red = append(red, string(event))
		}
		if i%3 == 0 { // some by themselves, some in one batch
			f.settled()
		}
	}
	good := f.awaitRoom("good", len(hostilePosts()))
	f.settled()
	for i, p := range hostilePosts() {
		if event := fmt.Sprintf(`["after",%q]`, p.what); string(good.Messages[i].Event) != event {
			t.Errorf("good message %d is %s; want %s", i, good.Messages[i].Event, event)
		}
	}
	want["stored"] += len(hostilePosts())
	for metricName, n := range map[string]int{"stored_total": want["stored"], "skipped_total": want["skipped"], "put_aside_total": 0} {
		if got := metric(t, s, metricName); got != float64(n) {
			t.Errorf("%s is %v; want %d\n%s", metricName, got, n, f.log)
		}
	}
	f.wantRoom("red", red)
	for _, name := range []string{"0000", "0bb8", "176f"} { // first, middle and last of the rooms
		msg, err := f.nc.RequestWithContext(f.ctx(), "natter.history.search", fmt.Appendf(nil, `{"namespace":"/%s","rooms":[%q],"text":"needle"}`, longNamespace, name))
		if err != nil || !strings.Contains(string(msg.Data), `["wide","needle"]`) {
			t.Errorf("a search in one of many rooms: %.200s, %v", msg.Data, err)
		}
	}
}

// lengths is the header of a post's attachments.
func lengths(p hostile) []string {
	for i := 0; i+1 < len(p.headers); i += 2 {
		if p.headers[i] == contract.HeaderAttachments {
			return []string{p.headers[i+1]}
		}
	}
	return nil
}

// wantRoom reads a room, page after page, as long as there is something.
func (f *fixture) wantRoom(name string, want []string) {
	f.t.Helper()
	var got []string
	after := "0-0"
	for more := true; more; {
		page := f.pageOf(fmt.Sprintf(`{"namespace":"/","room":%q,"after":%q}`, name, after))
		for _, m := range page.Messages {
			var whole []json.RawMessage
			if err := json.Unmarshal(m.Event, &whole); err != nil {
				f.t.Fatalf("%s: %v", m.Event, err)
			}
			got, after = append(got, string(m.Event)), m.Stamp.ID
		}
		more = page.Newer != nil && *page.Newer
	}
	if len(got) != len(want) {
		f.t.Fatalf("%d messages in %s; want %d", len(got), name, len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			f.t.Errorf("message %d in %s is %.200s; want %.200s", i, name, got[i], want[i])
		}
	}
}

// A trigger stands for whatever a database can have against a message.
const (
	refusePoison = `name = 'poison'`
	refuseAll    = `name IS NOT NULL`
)

// refuse has the database refuse messages, for good as far as it says, until the returned function is called.
func (f *fixture) refuse(condition string) (accept func()) {
	f.t.Helper()
	driver := "sqlite"
	make := []string{`CREATE TRIGGER refuse BEFORE INSERT ON messages WHEN NEW.` + condition + ` BEGIN SELECT RAISE(ABORT, 'not this one'); END`}
	drop := `DROP TRIGGER refuse`
	if kind == "postgres" {
		driver, drop = "pgx", `DROP TRIGGER refuse ON messages`
		make = []string{
			`CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''not this one'' USING ERRCODE = ''54000''; END'`,
			`CREATE TRIGGER refuse BEFORE INSERT ON messages FOR EACH ROW WHEN (NEW.` + condition + `) EXECUTE FUNCTION refuse()`,
		}
	}
	run := func(statements ...string) {
		f.t.Helper()
		db, err := sql.Open(driver, f.cfg.Database)
		if err != nil {
			f.t.Fatal(err)
		}
		defer db.Close()
		for _, statement := range statements {
			f.until(statement, func() error { _, err := db.ExecContext(f.ctx(), statement); return err }) // the file may be locked
		}
	}
	run(make...)
	return func() { run(drop) }
}

// TestAPostThatTheDatabaseRefusesIsPutAside has three of forty posts refused, all in one batch.
func TestAPostThatTheDatabaseRefusesIsPutAside(t *testing.T) {
	f := newFixture(t)
	f.start()
	f.settled() // the tables are there
	f.stop()
	accept := f.refuse(refusePoison)
	var good []string
	for i := range 40 {
		event := fmt.Sprintf(`["m",%d]`, i)
		if i == 0 || i == 17 || i == 39 {
			f.say(contract.To("red"), event, contract.HeaderName, "poison")
			continue
		}
		f.say(contract.To("red"), event)
		good = append(good, event)
	}
	s := f.start()
	f.awaitRoom("red", 37)
	f.settled()
	f.wantRoom("red", good)
	if n := metric(t, s, "put_aside_total"); n != 3 {
		t.Errorf("%v put aside; want 3", n)
	}
	for _, sequence := range []uint64{1, 18, 40} {
		if err := f.log.has("put a post aside", "stream=NATTER_POSTS", fmt.Sprintf("sequence=%d ", sequence), "not this one"); err != nil {
			t.Errorf("%v\n%s", err, f.log)
		}
		posts, err := f.js.Stream(f.ctx(), "NATTER_POSTS")
		if err != nil {
			t.Fatal(err)
		}
		if msg, err := posts.GetMsg(f.ctx(), sequence); err != nil || string(msg.Data) != fmt.Sprintf(`["m",%d]`, sequence-1) {
			t.Errorf("sequence %d of the stream is %v, %v", sequence, msg, err)
		}
	}
	if err := s.Health().Report(f.ctx()).Checks["posts"]; err != "ok" {
		t.Errorf("the service is not ready: %s", err)
	}

	accept() // what operators do once the cause is mended
	if err := f.js.DeleteConsumer(f.ctx(), "NATTER_POSTS", "history"); err != nil {
		t.Fatal(err)
	}
	f.awaitRoom("red", 40)
}

// TestADatabaseThatRefusesEverythingIsWaitedFor says that nothing is put aside for a fault of the database's own.
func TestADatabaseThatRefusesEverythingIsWaitedFor(t *testing.T) {
	f := newFixture(t)
	s := f.start()
	f.say(contract.To("red"), `["m",1]`)
	f.awaitRoom("red", 1)
	accept := f.refuse(refuseAll)
	f.say(contract.To("red"), `["m",2]`)
	f.say(contract.To("red"), `["m",3]`)
	f.until("a log line on the database", func() error { return f.log.has("history stands still", "not this one", "retry=") })
	accept()
	f.awaitRoom("red", 3)
	f.settled()
	if n := metric(t, s, "put_aside_total"); n != 0 {
		t.Errorf("%v put aside; want none", n)
	}
}

// TestADeletionOfWhoCannotBeAUserIsSkipped says a fact whose user is no key that a database takes.
func TestADeletionOfWhoCannotBeAUserIsSkipped(t *testing.T) {
	f := newFixture(t)
	f.start()
	f.say(contract.To("red"), `["m","secret"]`, contract.HeaderUser, "ida")
	f.awaitRoom("red", 1)
	for _, user := range []string{random(6000), "a\x00b", "ida"} {
		fact, err := json.Marshal(contract.UserDeleted{User: user})
		if err != nil {
			t.Fatal(err)
		}
		f.until("the stream of facts", func() error {
			_, err := f.js.Publish(f.ctx(), "natter.event.user.deleted", fact, jetstream.WithMsgID(user[:3]))
			return err
		})
	}
	f.until("the redaction", func() error {
		if m := f.page("red", "", 1).Messages[0]; !m.Redacted {
			return fmt.Errorf("%s", m.Event)
		}
		return nil
	})
}

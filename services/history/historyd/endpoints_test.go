package historyd

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/natter-io/natter/pkg/contract"
)

// request asks an endpoint and wants the answer to hold, or to be refused with, what is wanted.
func (f *fixture) request(endpoint, request string, want ...string) string {
	f.t.Helper()
	msg, err := f.nc.RequestWithContext(f.ctx(), "natter.history."+endpoint, []byte(request))
	if err != nil {
		f.t.Fatal(err)
	}
	for _, part := range want {
		if !strings.Contains(string(msg.Data), part) {
			f.t.Errorf("%s %s: %s; want %s", endpoint, request, msg.Data, part)
		}
	}
	return string(msg.Data)
}

// texts are the last arguments of a page's events.
func texts(page contract.HistoryPage) string {
	var all []string
	for _, m := range page.Messages {
		var event []any
		if err := json.Unmarshal(m.Event, &event); err != nil {
			all = append(all, err.Error())
			continue
		}
		all = append(all, fmt.Sprint(event[len(event)-1]))
	}
	return strings.Join(all, " ")
}

func TestPagingInBothDirections(t *testing.T) {
	f := newFixture(t)
	f.start()
	for i := range 10 {
		f.say(contract.To("red"), fmt.Sprintf(`["m",%d]`, i+1))
		f.say(contract.To("blue"), `["other"]`)
	}
	f.awaitRoom("red", 10)
	red := func(i int) string { return f.id(uint64(2*i - 1)) }
	yes, no := true, false
	for _, c := range []struct {
		request string
		want    string
		more    bool
		newer   *bool
	}{
		{`"after":"` + red(3) + `","limit":3`, "4 5 6", true, &yes},
		{`"after":"` + f.id(6) + `","limit":3`, "4 5 6", true, &yes}, // no message of the room has this id
		{`"after":"` + red(8) + `","limit":3`, "9 10", true, &no},
		{`"after":"0-0","limit":2`, "1 2", false, &yes},
		{`"after":"` + red(10) + `"`, "", true, &no},
		{`"after":"zzzzzzzz-1"`, "", true, &no},
		{`"around":"` + red(5) + `","limit":5`, "3 4 5 6 7", true, &yes},
		{`"around":"` + red(5) + `","limit":4`, "3 4 5 6", true, &yes},
		{`"around":"` + red(5) + `","limit":1`, "5", true, &yes},
		{`"around":"` + red(1) + `","limit":4`, "1 2", false, &yes},
		{`"around":"` + red(10) + `","limit":4`, "7 8 9 10", true, &no},
		{`"around":"` + f.id(10) + `","limit":4`, "4 5 6 7", true, &yes}, // between two
		{`"before":"` + red(3) + `"`, "1 2", false, nil},
		{`"limit":2`, "9 10", true, nil},
	} {
		page := f.pageOf(`{"namespace":"/","room":"red",` + c.request + `}`)
		if texts(page) != c.want || page.More != c.more || (page.Newer == nil) != (c.newer == nil) || c.newer != nil && *page.Newer != *c.newer {
			t.Errorf("%s: %s, more %t, newer %v; want %s", c.request, texts(page), page.More, page.Newer, c.want)
		}
	}
	f.request("page", `{"namespace":"/","room":"red","after":"`+red(1)+`","before":"`+red(3)+`"}`, `"invalid"`, "give one of them")
	f.request("page", `{"namespace":"/","room":"red","around":"x"}`, `"invalid"`, "around")
}

func TestSearchEndpoint(t *testing.T) {
	f := newFixture(t)
	f.start()
	for i := range 5 {
		f.say(contract.To("red"), fmt.Sprintf(`["room message","red","Lunch at noon, table <%d>"]`, i))
	}
	f.say(contract.To("red", "blue"), `["room message","red","lunch in both"]`, contract.HeaderRooms, "red,blue")
	f.say(contract.All(), `["chat message","lunch for all"]`)
	f.publish("natter.post.admin.room.red", `["room message","red","secret lunch"]`)
	f.settled()
	find := func(request string) contract.HistoryPage {
		t.Helper()
		var page contract.HistoryPage
		if err := json.Unmarshal([]byte(f.request("search", request, `"ok":true`)), &page); err != nil {
			t.Fatal(err)
		}
		return page
	}
	page := find(`{"namespace":"/","text":"LUNCH","rooms":["red"],"limit":4}`)
	if texts(page) != "Lunch at noon, table <2> Lunch at noon, table <3> Lunch at noon, table <4> lunch in both" || !page.More || len(page.Messages[3].Rooms) != 1 || *page.Messages[3].Rooms[0] != "red" {
		t.Errorf("%s, %+v", texts(page), page)
	}
	page = find(`{"namespace":"/","text":"lunch noon","rooms":["red"],"before":"` + page.Messages[0].Stamp.ID + `"}`)
	if texts(page) != "Lunch at noon, table <0> Lunch at noon, table <1>" || page.More {
		t.Errorf("%s, %+v", texts(page), page)
	}
	if page = find(`{"namespace":"/","text":"lunch","rooms":[null,"blue"]}`); texts(page) != "lunch in both lunch for all" || page.Messages[1].Rooms[0] != nil || *page.Messages[0].Rooms[0] != "blue" {
		t.Errorf("%s, %+v", texts(page), page)
	}
	if page = find(`{"namespace":"/","text":"lun*"}`); len(page.Messages) != 7 || len(page.Messages[5].Rooms) != 2 {
		t.Errorf("%s", texts(page))
	}
	for request, want := range map[string]string{
		`{"namespace":"/","text":"?!"}`:                                                                      "no word",
		`{"namespace":"/","text":"` + strings.Repeat("a b c ", 10) + `"}`:                                    "words",
		`{"namespace":"/","text":"a","rooms":[]}`:                                                            "empty",
		`{"namespace":"/","text":"a","limit":201}`:                                                           "limit",
		`{"namespace":"x","text":"a"}`:                                                                       "slash",
		`{"namespace":"/","text":"a","rooms":[` + strings.Repeat(`"a",`, contract.MaxHistoryRooms) + `"b"]}`: "4097",
	} {
		f.request("search", request, `"code":"invalid"`, want)
	}
}

func TestEditAndDelete(t *testing.T) {
	f := newFixture(t)
	f.start()
	said, err := f.nc.SubscribeSync("natter.emit.>")
	if err != nil {
		t.Fatal(err)
	}
	one := f.id(f.say(contract.To("red"), `["room message","red","frist"]`, by("u1")...).Sequence)
	// At once, before it can be known to be stored.
	f.until("the service", func() error {
		_, err := f.nc.RequestWithContext(f.ctx(), "natter.history.stats", nil)
		return err
	})
	f.request("edit", `{"namespace":"/","room":"red","id":"`+one+`","user":"u1","name":"Ann","value":"first & <best>"}`, `{"ok":true}`)
	f.request("edit", `{"namespace":"/","room":"red","id":"`+one+`","user":"u2","value":"mine"}`, `"forbidden"`)
	f.request("delete", `{"namespace":"/","room":"red","id":"zzzz-1","user":"u2"}`, `"not_found"`)
	f.request("edit", `{"namespace":"/","room":"red","id":"`+one+`","user":"u1"}`, `"invalid"`, "value")
	msg, err := said.NextMsgWithContext(f.ctx())
	if err != nil || msg.Subject != "natter.emit._.room.red" || !strings.HasPrefix(string(msg.Data), `["message edited",{"id":"`+one+`","room":"red","user":"u1","name":"Ann","time":"`) ||
		!strings.HasSuffix(string(msg.Data), `"event":["room message","red","first & <best>"]}]`) {
		t.Errorf("said %s %s, %v", msg.Subject, msg.Data, err)
	}
	f.request("edit", `{"namespace":"/","room":"red","id":"`+one+`","user":"u1","value":"`+strings.Repeat("x", 1<<20-3000)+`"}`, `"invalid"`, "larger than a message may be")
	m := f.awaitRoom("red", 1).Messages[0]
	if string(m.Event) != `["room message","red","first & <best>"]` || time.Since(m.Edited) > time.Hour || m.Stamp.User != "u1" || m.Stamp.ID != one {
		t.Errorf("%s %+v", m.Event, m)
	}
	f.request("delete", `{"namespace":"/","room":"red","id":"`+one+`","user":"root","admin":true}`, `{"ok":true}`)
	f.request("delete", `{"namespace":"/","room":"red","id":"`+one+`","user":"root","admin":true}`, `"conflict"`)
	if msg, err = said.NextMsgWithContext(f.ctx()); err != nil || !strings.HasPrefix(string(msg.Data), `["message deleted",{"id":"`+one+`","room":"red","user":"root","time":"`) {
		t.Errorf("said %s, %v", msg.Data, err)
	}
	if m = f.page("red", "", 1).Messages[0]; string(m.Event) != `["room message"]` || m.Deleted.IsZero() || m.Redacted {
		t.Errorf("%s %+v", m.Event, m)
	}
	f.request("trail", `{"namespace":"/","room":"red","id":"`+one+`"}`, `"changes":[{"action":"edit","user":"u1","name":"Ann","time":"`, `"event":["room message","red","frist"]},{"action":"delete","user":"root"`)
	f.request("trail", `{"namespace":"/","room":"blue","id":"`+one+`"}`, `"not_found"`)
	// The trail does not outlive its author.
	f.remove("u1")
	f.until("the trail without its author", func() error {
		trail := f.request("trail", `{"namespace":"/","room":"red","id":"`+one+`"}`)
		if !strings.Contains(trail, `"event":["room message"]},`) || strings.Contains(trail, "frist") || strings.Contains(trail, "Ann") {
			return fmt.Errorf("trail %s", trail)
		}
		return nil
	})
}

func TestUnreadAndRead(t *testing.T) {
	f := newFixture(t)
	f.start()
	var ids []string
	for i := range 5 {
		ids = append(ids, f.id(f.say(contract.To("red"), fmt.Sprintf(`["m",%d]`, i), by("u2")...).Sequence))
	}
	f.say(contract.To("red"), `["m","mine"]`, by("u1")...)
	f.awaitRoom("red", 6)
	device, err := f.nc.SubscribeSync("natter.emit.>")
	if err != nil {
		t.Fatal(err)
	}
	f.request("unread", `{"namespace":"/","user":"u1","rooms":["red",null]}`, `{"ok":true,"rooms":[{"room":"red","unread":5},{"room":null,"unread":0}]}`)
	f.request("read", `{"namespace":"/","room":"red","user":"u1","id":"`+ids[2]+`"}`, `{"ok":true}`)
	f.request("read", `{"namespace":"/","room":"red","user":"u1","id":"`+ids[1]+`"}`, `{"ok":true}`) // not backwards
	f.request("unread", `{"namespace":"/","user":"u1","rooms":["red"]}`, `{"ok":true,"rooms":[{"room":"red","unread":2,"read":"`+ids[2]+`"}]}`)
	msg, err := device.NextMsgWithContext(f.ctx())
	if err != nil || msg.Subject != "natter.emit._.room.user=3Au1" || string(msg.Data) != `["read",{"id":"`+ids[2]+`","room":"red"}]` {
		t.Errorf("said %s %s, %v", msg.Subject, msg.Data, err)
	}
	f.request("read", `{"namespace":"/","room":"red","user":"","id":"`+ids[1]+`"}`, `"invalid"`, "user")
	f.request("unread", `{"namespace":"/","user":"","rooms":["red"]}`, `"invalid"`, "user")
	if n, _, err := device.Pending(); err != nil || n != 0 {
		t.Errorf("%d more were said", n)
	}
	f.remove("u1")
	f.factsDone()
	f.request("read", `{"namespace":"/","room":"red","user":"u1","id":"`+ids[4]+`"}`, `"conflict"`, "the user is deleted")
	f.request("unread", `{"namespace":"/","user":"u1","rooms":["red"]}`, `{"ok":true,"rooms":[{"room":"red","unread":5}]}`)
}

func TestExportAndErasure(t *testing.T) {
	f := newFixture(t)
	f.start()
	one := f.id(f.say(contract.To("red"), `["m","one"]`, by("u1")...).Sequence)
	f.say(contract.To("red"), `["m","kept"]`, by("u2")...)
	f.say(contract.All(), `["m","two"]`, by("u1")...)
	three := f.publish("natter.post.admin.socket."+socketA, `["m","three"]`, by("u1")...)
	f.settled()
	f.request("edit", `{"namespace":"/","room":"red","id":"`+one+`","user":"u1","value":"won"}`, `{"ok":true}`)
	f.request("read", `{"namespace":"/","room":"red","user":"u1","id":"`+one+`"}`, `{"ok":true}`)
	page := f.request("export", `{"user":"u1","limit":2}`, `"event":["m","won"]`, `"namespace":"/","rooms":["red"]`, `"trail":[{"action":"edit","user":"u1"`, `"event":["m","one"]}]`, `"rooms":[null]`, `"more":true,"next":"`+f.id(3)+`"}`)
	if strings.Contains(page, "reads") {
		t.Errorf("the first page has the marks: %s", page)
	}
	f.request("export", `{"user":"u1","after":"`+f.id(3)+`"}`, `"event":["m","three"]`, `"namespace":"/admin"`, f.id(three.Sequence), `"more":false,"reads":[{"namespace":"/","room":"red","read":"`+one+`"}]}`)
	f.request("export", `{"user":""}`, `"invalid"`)

	f.request("erase", `{"user":"u1"}`, `{"ok":true,"erased":3,"known":true}`)
	f.request("erase", `{"user":"u1"}`, `{"ok":true,"erased":0,"known":true}`)
	f.request("erase", `{"user":"U1"}`, `{"ok":true,"erased":0,"known":false}`)
	f.request("erase", `{"user":"U1"}`, `{"ok":true,"erased":0,"known":false}`)
	if left := f.request("export", `{"user":"u1"}`, `"redacted":true`, `"more":false}`); strings.Contains(left, "won") || strings.Contains(left, "one") || strings.Contains(left, "Name of u1") {
		t.Errorf("after erasure: %s", left)
	}
	f.say(contract.To("red"), `["m","kept, since it was said later"]`, by("u1")...)
	last := f.awaitRoom("red", 3).Messages[2]
	if last.Redacted || !strings.Contains(string(last.Event), "later") {
		t.Errorf("%s %+v", last.Event, last)
	}
}

func TestOldMessagesAreSwept(t *testing.T) {
	f := newFixture(t)
	f.cfg.Keep = time.Hour
	f.cfg.KeepRooms = map[string]map[string]time.Duration{"/": {"red": 300 * time.Millisecond, "for ever": 0, "*": 2 * time.Hour}}
	f.tune = func(s *Service) { s.sweepEvery = 50 * time.Millisecond }
	f.start()
	f.say(contract.To("red"), `["m",1]`)
	f.say(contract.To("for ever"), `["m",2]`)
	f.say(contract.To("blue"), `["m",3]`)
	f.settled()
	f.until("the room to be empty", func() error {
		if n := len(f.page("red", "", 10).Messages); n != 0 {
			return errors.New("it is not")
		}
		return nil
	})
	f.awaitRoom("for ever", 1)
	f.awaitRoom("blue", 1)
	f.until("a log line", func() error { return f.log.has("took old messages out") })
}

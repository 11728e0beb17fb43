package historyd

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/natter-io/natter/pkg/contract"
)

// exportAll asks for page after page, and puts together what belongs together.
func (f *fixture) exportAll(user string, limit int) (messages []contract.HistoryMessage, reads []contract.ExportMark, omitted []string, pages int) {
	f.t.Helper()
	for after := ""; ; pages++ {
		var page contract.ExportReply
		answer := f.request("export", fmt.Sprintf(`{"user":%q,"after":%q,"limit":%d}`, user, after, limit), `"ok":true`)
		if err := json.Unmarshal([]byte(answer), &page); err != nil {
			f.t.Fatal(err)
		}
		for _, m := range page.Messages {
			if n := len(messages); n > 0 && messages[n-1].Stamp.ID == m.Stamp.ID && m.Event == nil {
				messages[n-1].Trail = append(messages[n-1].Trail, m.Trail...)
				continue
			}
			messages = append(messages, m)
		}
		reads, omitted = append(reads, page.Reads...), append(omitted, page.Omitted...)
		if page.More != (page.Next != "") || page.Next == after && after != "" {
			f.t.Fatalf("more %t, next %q after %q", page.More, page.Next, after)
		}
		if !page.More {
			return messages, reads, omitted, pages + 1
		}
		after = page.Next
	}
}

func TestAnExportHasAllThatThereIs(t *testing.T) {
	f := newFixture(t)
	f.start()
	say := func(text string) string {
		return f.id(f.say(contract.To("red"), `["m","`+text+`"]`, contract.HeaderUser, "u1").Sequence)
	}
	small, often, next, last := say("small"), say("often"), say("next"), say("last")
	f.settled()
	edit := func(id, value string) {
		f.until("an edit", func() error { // large ones may take their time
			answer := f.request("edit", `{"namespace":"/","room":"red","id":"`+id+`","user":"u1","value":"`+value+`"}`)
			if answer != `{"ok":true}` {
				return errors.New(answer)
			}
			return nil
		})
	}
	long := strings.Repeat("draft ", 16<<10)
	for i := range 25 { // 2.4 MB; a message has 1 MB at most
		edit(often, fmt.Sprint(i, " ", long))
	}
	edit(often, "short again")
	edit(next, strings.Repeat("x", 1<<20-8<<10)) // as large as it may be, with a trail
	edit(next, strings.Repeat("y", 1<<20-8<<10))
	edit(last, "the last one")
	const places = 9000 // 1.7 MB
	f.execute(fmt.Sprintf(`INSERT INTO marks (author, namespace, target, epoch, sequence) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		SELECT 'u1', '_', 'room.' || CAST(100000 + i AS TEXT) || '%s', 1, i FROM n`, places, strings.Repeat("r", 100)))
	for _, limit := range []int{1, 200} {
		messages, reads, omitted, pages := f.exportAll("u1", limit)
		var got []string
		for _, m := range messages {
			got = append(got, fmt.Sprint(m.Stamp.ID, " ", len(m.Trail)))
			if m.Event == nil || m.Namespace != "/" || len(m.Rooms) != 1 {
				t.Errorf("%+v", m)
			}
		}
		if want := []string{small + " 0", often + " 26", next + " 2", last + " 1"}; strings.Join(got, ", ") != strings.Join(want, ", ") {
			t.Errorf("limit %d: %q; want %q", limit, got, want)
		}
		seen := map[string]bool{}
		for _, r := range reads {
			seen[*r.Room] = true
		}
		if len(seen) != places || len(reads) != places || len(omitted) != 0 || pages < 5 {
			t.Errorf("limit %d: %d marks of %d places, omitted %v, %d pages", limit, len(reads), len(seen), omitted, pages)
		}
	}
	// The trail by itself.
	var trail []contract.HistoryChange
	for after := ""; ; {
		var r contract.TrailReply
		answer := f.request("trail", fmt.Sprintf(`{"namespace":"/","room":"red","id":%q,"after":%q}`, often, after), `"ok":true`)
		if err := json.Unmarshal([]byte(answer), &r); err != nil {
			t.Fatal(err)
		}
		if trail = append(trail, r.Changes...); r.Next == "" {
			break
		}
		after = r.Next
	}
	for i, c := range trail {
		if want := fmt.Sprintf(`["m","%d draft`, i-1); i > 0 && !strings.HasPrefix(string(c.Event), want) {
			t.Errorf("change %d: %.40s; want %s", i, c.Event, want)
		}
	}
	if len(trail) != 26 {
		t.Errorf("%d changes; want 26", len(trail))
	}
	for _, after := range []string{"x", "1-1.x", "1-1.-1", "reads", "reads.x", `reads.\u0000.x`, "1-1.1.1"} {
		f.request("export", `{"user":"u1","after":"`+after+`"}`, `"invalid"`, "after")
	}
	f.request("trail", `{"namespace":"/","room":"red","id":"`+often+`","after":"x"}`, `"invalid"`, "after")
}

// TestAnExportNamesWhatItLeavesOut has messages that only a greater max_payload could carry: binary data grow in JSON.
func TestAnExportNamesWhatItLeavesOut(t *testing.T) {
	f := newFixture(t)
	f.start()
	part := [][]byte{make([]byte, 900<<10)}
	var large []string
	for range 3 {
		large = append(large, f.id(f.say(contract.To("red"), string(contract.JoinPayload([]byte(`["m",{"_placeholder":true,"num":0}]`), part)),
			contract.HeaderUser, "u1", contract.HeaderAttachments, contract.FormatAttachments(part)).Sequence))
	}
	small := f.id(f.say(contract.To("red"), `["m","small"]`, contract.HeaderUser, "u1").Sequence)
	f.settled()
	// As an edit is that was made when max_payload was greater.
	f.request("edit", `{"namespace":"/","room":"red","id":"`+small+`","user":"u1","value":"small, edited"}`, `{"ok":true}`)
	payload := `decode(repeat('79', 1200000), 'hex')`
	if kind == "sqlite" {
		payload = `CAST('["m","' || hex(zeroblob(600000)) || '"]' AS BLOB)`
	} else {
		payload = `convert_to('["m","', 'UTF8') || ` + payload + ` || convert_to('"]', 'UTF8')`
	}
	f.execute("UPDATE changes SET payload = " + payload)
	for _, limit := range []int{1, 2, 200} {
		messages, _, omitted, _ := f.exportAll("u1", limit)
		if len(messages) != 1 || messages[0].Stamp.ID != small || len(messages[0].Trail) != 1 || messages[0].Trail[0].Event != nil || messages[0].Trail[0].User != "u1" {
			t.Errorf("limit %d: %+v", limit, messages)
		}
		if want := append(large[:3:3], small); strings.Join(omitted, " ") != strings.Join(want, " ") {
			t.Errorf("limit %d: omitted %v; want %v", limit, omitted, want)
		}
	}
	f.request("trail", `{"namespace":"/","room":"red","id":"`+small+`"}`, `{"ok":true,"changes":[{"action":"edit","user":"u1","time":"`)
}

// TestAnExportHasWhatAUserDidToOthers has an admin edit and delete what others said, which is theirs: the export has who did it, and when.
func TestAnExportHasWhatAUserDidToOthers(t *testing.T) {
	f := newFixture(t)
	f.start()
	first := f.id(f.say(contract.To("red"), `["m","of bob"]`, by("bob")...).Sequence)
	second := f.id(f.say(contract.To("red"), `["m","of cid"]`, by("cid")...).Sequence)
	f.settled()
	admin := `"user":"u1","name":"Ann","socket":"` + socketA + `","admin":true}`
	f.request("edit", `{"namespace":"/","room":"red","id":"`+first+`","value":"mended",`+admin, `{"ok":true}`)
	f.request("delete", `{"namespace":"/","room":"red","id":"`+second+`",`+admin, `{"ok":true}`)
	edited := `{"namespace":"/","id":"` + first + `","action":"edit","name":"Ann","socket":"` + socketA + `","time":"`
	deleted := `{"namespace":"/","id":"` + second + `","action":"delete","name":"Ann","socket":"` + socketA + `","time":"`
	if export := f.request("export", `{"user":"u1"}`, `"messages":[],"more":false,"changes":[`+edited, `"},`+deleted); strings.Contains(export, "of bob") {
		t.Errorf("what somebody else said: %s", export)
	}
	f.request("export", `{"user":"u1","after":"changes.1"}`, `"changes":[`+deleted)
	f.request("export", `{"user":"u1","after":"changes.x"}`, `"invalid"`, "after")
	f.request("erase", `{"user":"u1"}`, `{"ok":true,"erased":0,"known":true}`)
	if export := f.request("export", `{"user":"u1"}`, `"changes":[{"namespace":"/","id":"`+first+`","action":"edit","time":"`); strings.Contains(export, "Ann") || strings.Contains(export, socketA) {
		t.Errorf("after an erasure: %s", export)
	}
}

package historyd

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/micro"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/embed"
	"github.com/natter-io/natter/pkg/natstest"
)

const (
	socketA = "gw1.abcdefghijABCDEFGH_-"
	socketB = "gw1.bbcdefghijABCDEFGH_-"
)

// TestPageIsWhatWasHeardLive posts through the main stream and compares the page with JetStream's republish,
// from which gateways make the live stamp.
func TestPageIsWhatWasHeardLive(t *testing.T) {
	f := newFixture(t)
	live, err := f.nc.SubscribeSync("natter.live.>")
	if err != nil {
		t.Fatal(err)
	}
	f.start()
	events := []string{
		`["room message","red","hello"]`,
		`[ "room message" , "red" , "<b>&</b> \ud800 {\"z\":1,\"a\":2}" ]`,
		`["room message","red",{"z":1,"a":{"x":[1.0,1e3]}}]`,
	}
	for _, event := range events {
		f.say(contract.To("red"), event, contract.HeaderSocket, "forged", contract.HeaderSocket, socketA,
			contract.HeaderUser, "u1", contract.HeaderName, "Zoë", "Nats-Time-Stamp", "2001-01-01T00:00:00Z")
	}
	page := f.awaitRoom("red", len(events))
	if page.More {
		t.Error("more is true, but there is nothing older")
	}
	for i, m := range page.Messages {
		msg, err := live.NextMsgWithContext(f.ctx())
		if err != nil {
			t.Fatal(err)
		}
		stored, err := contract.ParseStored(contract.Header(msg.Header))
		if err != nil {
			t.Fatal(err)
		}
		want := contract.Stamp{ID: f.id(stored.Sequence), Socket: socketA, User: "u1", Name: "Zoë", Time: stored.Time}
		if m.Stamp != want {
			t.Errorf("stamp %d = %+v\nwant      %+v", i, m.Stamp, want)
		}
		if string(m.Event) != events[i] || m.Redacted {
			t.Errorf("event %d = %s, redacted %t; want %s", i, m.Event, m.Redacted, events[i])
		}
	}
}

// TestEventsAreAnsweredByteForByte looks at the reply's bytes, not at what a JSON decoder makes of them.
func TestEventsAreAnsweredByteForByte(t *testing.T) {
	f := newFixture(t)
	f.start()
	event := `[ "x",  "<>&\u2028\ud800", {"b":1, "a":2.0} ]`
	f.say(contract.To("red"), event)
	f.awaitRoom("red", 1)
	msg, err := f.ask(`{"namespace":"/","room":"red"}`)
	if err != nil || !strings.Contains(string(msg.Data), `{"event":`+event+`,"stamp":`) {
		t.Errorf("reply %s, %v; want it to hold %s", msg.Data, err, event)
	}
}

func TestPagingBackwardsMeetsEachOnceInOrder(t *testing.T) {
	f := newFixture(t)
	f.cfg.Batch = 64
	f.start()
	const n = 1000
	for i := range n {
		if _, err := f.js.PublishAsync("natter.post._.room.red", fmt.Appendf(nil, `["room message","red",%d]`, i)); err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 { // sequences of a room are not contiguous
			f.say(contract.To("blue"), `["x"]`)
		}
	}
	<-f.js.PublishAsyncComplete()
	f.settled()
	next, before := n, ""
	for pages := 0; ; pages++ {
		page := f.page("red", before, 37)
		for i := len(page.Messages) - 1; i >= 0; i-- {
			next--
			if want := fmt.Sprintf(`["room message","red",%d]`, next); string(page.Messages[i].Event) != want {
				t.Fatalf("page %d: %s; want %s", pages, page.Messages[i].Event, want)
			}
		}
		if page.More != (next > 0) {
			t.Fatalf("page %d: more is %t with %d left", pages, page.More, next)
		}
		if !page.More {
			break
		}
		before = page.Messages[0].Stamp.ID
	}
	if next != 0 {
		t.Errorf("%d messages were never met", next)
	}
	if d := f.page("red", f.id(math.MaxInt64), 0); len(d.Messages) != contract.DefaultHistoryPage || !d.More {
		t.Errorf("without a limit: %d messages, more %t", len(d.Messages), d.More)
	}
	if d := f.page("red", f.id(1), 0); len(d.Messages) != 0 || d.More {
		t.Errorf("before the first: %d messages, more %t", len(d.Messages), d.More)
	}
}

func TestTargets(t *testing.T) {
	f := newFixture(t)
	f.start()
	f.say(contract.All(), `["to all"]`)
	f.say(contract.To("red", "blue", "red", socketA), `["to both"]`, contract.HeaderRooms, "red,blue,red,"+socketA)
	f.say(contract.To(socketA), `["to one"]`)
	f.say(contract.To(socketA, socketB), `["to two"]`, contract.HeaderRooms, socketA+","+socketB)
	f.say(contract.To(""), `["to the room without a name"]`)
	f.say(contract.To(">"), `["to >"]`)
	f.say(contract.To("all"), `["to the room called all"]`)
	f.publish("natter.post.admin.all", `["to admins"]`)
	f.publish("natter.emit._.room.red", `["not kept"]`)
	f.settled()
	for request, want := range map[string]string{
		`{"namespace":"/"}`:                 `["to all"]`,
		`{"namespace":"/","room":null}`:     `["to all"]`,
		`{"namespace":"/","room":"red"}`:    `["to both"]`,
		`{"namespace":"/","room":"blue"}`:   `["to both"]`,
		`{"namespace":"/","room":""}`:       `["to the room without a name"]`,
		`{"namespace":"/","room":">"}`:      `["to >"]`,
		`{"namespace":"/","room":"all"}`:    `["to the room called all"]`,
		`{"namespace":"/admin"}`:            `["to admins"]`,
		`{"namespace":"/x"}`:                ``,
		`{"namespace":"/","room":"nobody"}`: ``,
	} {
		var got []string
		for _, m := range f.pageOf(request).Messages {
			got = append(got, string(m.Event))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %s; want %s", request, got, want)
		}
	}
}

func TestAttachments(t *testing.T) {
	f := newFixture(t)
	f.start()
	event, parts := `["file",{"_placeholder":true,"num":0}]`, [][]byte{{0, 1, 255}, {}, []byte("text")}
	f.say(contract.To("red"), string(contract.JoinPayload([]byte(event), parts)), contract.HeaderAttachments, contract.FormatAttachments(parts))
	m := f.awaitRoom("red", 1).Messages[0]
	if string(m.Event) != event || fmt.Sprint(m.Attachments) != fmt.Sprint(parts) {
		t.Errorf("%s with %q; want %s with %q", m.Event, m.Attachments, event, parts)
	}
}

func TestRefusals(t *testing.T) {
	f := newFixture(t)
	f.start()
	f.page("red", "", 1)
	for request, want := range map[string]string{
		``:                                   "empty",
		`[]`:                                 "JSON",
		`{"namespace":"/","room":"r","x":1}`: `unknown field "x"`,
		`{"namespace":"/"} {}`:               "more than one",
		`{"namespace":"x"}`:                  "slash",
		`{"room":"red"}`:                     "slash",
		`{"namespace":"/","limit":201}`:      "limit: 201 is not from 1 to 200",
		`{"namespace":"/","limit":-1}`:       "limit",
		`{"namespace":"/","before":"never"}`: "before",
		`{"namespace":"/","before":"__-1"}`:  "before",
		`{"namespace":"/","room":"` + strings.Repeat("x", 129) + `"}`:    "room",
		`{"namespace":"/","room":"` + socketA + `"}`:                     "socket id",
		`{"namespace":"/","before":"` + strings.Repeat("9", 9000) + `"}`: "at most",
	} {
		msg, err := f.ask(request)
		if err != nil {
			t.Fatal(err)
		}
		var r contract.Refusal
		if err := json.Unmarshal(msg.Data, &r); err != nil || r.OK || r.Code != contract.CodeInvalid || !strings.Contains(r.Message, want) {
			t.Errorf("%.80s: %s, %v; want a refusal with %q", request, msg.Data, err, want)
		}
		if msg.Header.Get(micro.ErrorCodeHeader) != "400" || msg.Header.Get(contract.HeaderError) != contract.CodeInvalid || !strings.Contains(msg.Header.Get(micro.ErrorHeader), want) {
			t.Errorf("%.80s: headers %v", request, msg.Header)
		}
	}
	if info, err := f.nc.RequestWithContext(f.ctx(), "$SRV.INFO.natter-history", nil); err != nil ||
		!strings.Contains(string(info.Data), `"natter.contract":"`+contract.Version+`"`) || !strings.Contains(string(info.Data), `"natter.history.page"`) {
		t.Errorf("micro info: %s, %v", info.Data, err)
	}
}

// TestReplyFitsIntoMaxPayload has messages that together exceed what NATS carries.
func TestReplyFitsIntoMaxPayload(t *testing.T) {
	const limit = 64 << 10
	f := newFixture(t, natstest.WithOptions(func(o *embed.Options) { o.MaxPayload = limit }))
	f.start()
	const n = 50
	big := base64.StdEncoding.EncodeToString(make([]byte, 6000))
	for i := range n {
		f.say(contract.To("red"), fmt.Sprintf(`["m",%d,%q]`, i, big))
	}
	f.settled()
	next, before := n, ""
	for {
		page := f.page("red", before, contract.MaxHistoryPage)
		if len(page.Messages) == 0 || len(page.Messages) > limit/len(big) {
			t.Fatalf("a page of %d messages", len(page.Messages))
		}
		for i := len(page.Messages) - 1; i >= 0; i-- {
			next--
			if !strings.HasPrefix(string(page.Messages[i].Event), fmt.Sprintf(`["m",%d,`, next)) {
				t.Fatalf("%.20s; want number %d", page.Messages[i].Event, next)
			}
		}
		if !page.More {
			break
		}
		before = page.Messages[0].Stamp.ID
	}
	if next != 0 {
		t.Errorf("%d messages were never met", next)
	}
}

func TestManyAskersAtOnce(t *testing.T) {
	f := newFixture(t)
	f.start()
	for range 50 {
		f.say(contract.To("red"), `["m"]`)
	}
	f.settled()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	var askers sync.WaitGroup
	for range 100 {
		askers.Go(func() {
			msg, err := f.nc.RequestWithContext(ctx, "natter.history.page", []byte(`{"namespace":"/","room":"red"}`))
			var page contract.HistoryPage
			if err != nil || json.Unmarshal(msg.Data, &page) != nil || len(page.Messages) != 50 {
				t.Errorf("%d messages, %v", len(page.Messages), err)
			}
		})
	}
	askers.Wait()
}

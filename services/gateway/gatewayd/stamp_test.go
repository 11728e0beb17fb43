package gatewayd_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	ws "github.com/gorilla/websocket"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// TestOrderOverRooms has one publisher and a socket in many rooms, which hears them in the stream's order.
func TestOrderOverRooms(t *testing.T) {
	t.Parallel()
	const rooms, events = 40, 2000
	d := deploy(t)
	gws := d.gateways(2, func(c *gatewayd.Config) { c.Workers = 3 })
	all := []*socket{gws[0].connect(), gws[1].connect(), gws[1].poll().enter("/", "")}
	for i := range rooms {
		d.do("/", nil, fmt.Sprintf(`["join","room %d"]`, i))
	}
	for i := range events {
		kind, names := contract.Emit, []string{fmt.Sprintf("room %d", i*7%rooms)}
		switch i % 5 {
		case 1:
			names = append(names, fmt.Sprintf("room %d", i%rooms))
		case 2:
			kind = contract.Post
		case 3:
			names = nil
		}
		if _, err := d.js.PublishMsgAsync(d.message(kind, "/", names, fmt.Sprintf(`["e",%d]`, i))); err != nil {
			t.Fatal(err)
		}
	}
	recv(t, "all to be stored", signal(d.js.PublishAsyncComplete()))
	for _, s := range all {
		got := s.heard()
		if len(got) != events {
			t.Fatalf("heard %d events of %d", len(got), events)
		}
		for i, e := range got {
			if !strings.HasPrefix(e, fmt.Sprintf(`["e",%d`, i)) {
				t.Fatalf("no. %d is %s", i, e)
			}
		}
	}
}

// signal makes a channel that says its end by being closed say it by an element.
func signal(closed <-chan struct{}) <-chan struct{} {
	ch := make(chan struct{}, 1)
	go func() { <-closed; ch <- struct{}{} }()
	return ch
}

// TestDuplicatesAreNotDelivered publishes on the live subject what has been republished there already.
func TestDuplicatesAreNotDelivered(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	s := g.connect()
	s.join("red")
	live := d.listen("natter.live.>")
	for _, rooms := range [][]string{nil, {"red"}, {"red", "blue"}} {
		d.emit("/", rooms, `["once"]`)
		msg := recv(t, "the republished message", live)
		s.wantHeard(`["once"]`)
		recv(t, "the end of test", live)
		before := g.metric("natter_gateway_duplicates_total")
		again := &nats.Msg{Subject: msg.Subject, Header: msg.Header, Data: msg.Data}
		if err := d.nc.PublishMsg(again); err != nil {
			t.Fatal(err)
		}
		recv(t, "the copy", live)
		s.wantHeard()
		recv(t, "the end of test", live)
		if n := g.metric("natter_gateway_duplicates_total") - before; n != 1 {
			t.Fatalf("%v duplicates were counted", n)
		}
	}
	// A retry that JetStream recognises is not stored twice.
	for range 2 {
		d.emit("/", nil, `["retried"]`, "Nats-Msg-Id", "one")
	}
	s.wantHeard(`["retried"]`)
}

// TestStampTellsWhatIsVerified compares stamps with what gateways, middlewares and clients say.
func TestStampTellsWhatIsVerified(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(2)
	d.admit("/", func(e contract.Entry) string {
		if strings.Contains(string(e.Handshake.Auth), "nameless") {
			return `{"ok":true,"user":"u2"}`
		}
		return `{"ok":true,"user":"u1","name":"Ann <&> Ü","roles":["admin"]}`
	})
	stream, err := d.js.Stream(t.Context(), contract.Subjects{}.Names().Stream)
	if err != nil {
		t.Fatal(err)
	}
	epoch := contract.Epoch(stream.CachedInfo().Created)
	hearer := gws[1].connect()
	for _, c := range []struct{ auth, user, name string }{
		{``, "", ""},
		{`{"name":"Guest"}`, "", "Guest"},
		{`{"name":"Guest","user":"u1","token":""}`, "", "Guest"},
		{`{"name":"  \u0000\r\nNatter-User: u1\u202e  ","token":null}`, "", "Natter-User: u1"},
		{`{"name":{"a":1}}`, "", ""},
		{`{"name":"` + strings.Repeat("ü", 100) + `"}`, "", strings.Repeat("ü", 64)},
		{`{"name":"Ann?","token":"t"}`, "u1", "Ann <&> Ü"},
		{`{"name":"As I like","token":"nameless"}`, "u2", "As I like"},
	} {
		s := gws[0].connect(c.auth)
		before := time.Now().Add(-time.Second)
		ack := s.request(`"chat message"`, `"x"`)
		stamp := hearer.wantStamped("chat message", "x")
		if got := s.wantStamped("chat message", "x"); got != stamp {
			t.Fatalf("two stamps: %+v and %+v", got, stamp)
		}
		if stamp.User != c.user || stamp.Name != c.name || stamp.Socket != s.id {
			t.Fatalf("auth %s: stamp %+v, want user %q and name %q", c.auth, stamp, c.user, c.name)
		}
		gotEpoch, sequence, err := contract.SplitMessageID(stamp.ID)
		if err != nil || gotEpoch != epoch || ack != `[{"ok":true,"id":`+quote(stamp.ID)+`}]` {
			t.Fatalf("id %s, ack %s, want the stream's creation %s: %v", stamp.ID, ack, epoch, err)
		}
		stored, err := stream.GetMsg(t.Context(), sequence)
		if err != nil || string(stored.Data) != `["chat message","x"]` || !stored.Time.Equal(stamp.Time) || stamp.Time.Before(before) {
			t.Fatalf("message %d is %s of %v: %v", sequence, stored.Data, stored.Time, err)
		}
		s.close()
	}
}

// TestClientsCannotSetHeaders sends the contract's headers where a client can send headers at all.
func TestClientsCannotSetHeaders(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	live := d.listen("natter.live.>")
	conn, res, err := ws.DefaultDialer.Dial(g.url("ws", engineQuery+"websocket&Natter-User=root"), http.Header{
		contract.HeaderUser: {"root"}, "Nats-Sequence": {"7"}, contract.HeaderExcept: {"red"}, "Nats-Msg-Id": {"7"},
	})
	if err != nil {
		t.Fatalf("dial: %v %v", err, res)
	}
	c := g.client(&wsLink{conn: conn})
	if _, err := c.link.read(); err != nil {
		t.Fatal(err)
	}
	c.run()
	s := c.enter("/", `{"Natter-User":"root","name":"n","user":"root"}`)
	s.request(`"chat message"`, `{"Natter-User":"root"}`)
	msg := recv(t, "the message", live)
	for name := range msg.Header {
		switch name {
		case contract.HeaderSocket, contract.HeaderName, contract.HeaderStamp, "Nats-Msg-Id",
			"Nats-Stream", "Nats-Subject", "Nats-Sequence", "Nats-Time-Stamp", "Nats-Last-Sequence":
		default:
			t.Errorf("header %s: %q", name, msg.Header[name])
		}
	}
	if msg.Header.Get(contract.HeaderSocket) != s.id || msg.Header.Get("Nats-Sequence") != "1" ||
		len(msg.Header["Nats-Msg-Id"]) != 1 || msg.Header.Get("Nats-Msg-Id") == "7" {
		t.Fatalf("headers %v", msg.Header)
	}
}

// TestForgedServerHeadersLoseAgainstJetStreams has a publisher that sets what JetStream sets.
func TestForgedServerHeadersLoseAgainstJetStreams(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	s := g.connect()
	forged := []string{"Nats-Sequence", "999999", "Nats-Subject", "natter.do._.all", "Nats-Time-Stamp", "2001-01-01T00:00:00Z", "Nats-Last-Sequence", "5"}
	sequence := d.store(d.message(contract.Post, "/", nil, `["disconnect me"]`, forged...))
	stamp := s.wantStamped("disconnect me")
	if _, got, err := contract.SplitMessageID(stamp.ID); err != nil || got != sequence || stamp.Time.Year() == 2001 {
		t.Fatalf("stamp %+v of message %d", stamp, sequence)
	}
	d.emit("/", nil, `["not a duplicate"]`)
	s.wantHeard(`["not a duplicate"]`)
	// Nothing on a live subject counts that JetStream has not marked.
	skipped := g.metric("natter_gateway_messages_skipped_total", "live")
	if err := d.nc.Publish("natter.live._.all", []byte(`["forged"]`)); err != nil {
		t.Fatal(err)
	}
	if err := d.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	s.wantHeard()
	if n := g.metric("natter_gateway_messages_skipped_total", "live") - skipped; n != 1 {
		t.Fatalf("%v messages were skipped", n)
	}
}

// TestPostsOfServicesAreStamped publishes as nats pub does: no header, no reply subject.
func TestPostsOfServicesAreStamped(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	s := g.connect()
	for _, subject := range []string{"natter.post._.all", "natter.post._.socket." + s.id} {
		if err := d.nc.Publish(subject, []byte(` [ "news" , "x" ] `)); err != nil {
			t.Fatal(err)
		}
		if stamp := s.wantStamped("news", "x"); stamp.ID == "" || stamp.Socket != "" || stamp.User != "" || stamp.Name != "" || stamp.Time.IsZero() {
			t.Fatalf("stamp %+v", stamp)
		}
	}
	d.emit("/", nil, `["unstamped"]`)
	s.want(`["unstamped"]`)
	d.emit("/", nil, `["stamped"]`, contract.HeaderStamp, "1")
	if stamp := s.wantStamped("stamped"); stamp.ID == "" {
		t.Fatalf("stamp %+v", stamp)
	}
}

// TestPayloadsAreKeptByteForByte sends JSON that decoding and encoding would change.
func TestPayloadsAreKeptByteForByte(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(2)
	a, b := gws[0].connect(), gws[1].poll().enter("/", "")
	bare := gws[0].dial().enter("/bare", "")
	services := d.listen("natter.on.bare.e.>")
	for _, arg := range []string{
		`"\ud800"`, `"\udc00\ud800"`, `"<&>"`, `"\u003c\/\u002f"`, `{"z":1,"a":2,"z":3}`, `123456789012345678901234567890.0e-0`, `1E400`, `-0`, `1.0`,
		`"é\u00e9😀\ud83d\ude00"`, `[ 1 ,	2 ]`, `"  "`, `{"__proto__":{"toString":1}}`, `""`, `"\u0000\u001e"`, strings.Repeat("[", 500) + strings.Repeat("]", 500),
	} {
		ack := a.request(`"chat message"`, arg)
		if !strings.HasPrefix(ack, `[{"ok":true`) {
			t.Fatalf("%.60s: %s", arg, ack)
		}
		for _, s := range []*socket{a, b} {
			if got := s.event(); !strings.HasPrefix(got, `["chat message",`+arg+`,{"id":"`) {
				t.Fatalf("%.60s became %.120s", arg, got)
			}
		}
		bare.emit(`"e"`, arg)
		if got := string(recv(t, "the event", services).Data); got != `["e",`+arg+`]` {
			t.Fatalf("%.60s became %.120s for services", arg, got)
		}
		d.emit("/bare", nil, `["e",`+arg+`]`)
		bare.want(`["e",` + arg + `]`)
		done := d.asked(d.message(contract.Ask, "/bare", nil, `["e",`+arg+`]`))
		p := recv(t, "the question", bare.events)
		bare.answer(p, arg)
		if got, _ := acks(t, recv(t, "the answers", done)); got[bare.id] != "["+arg+"]" {
			t.Fatalf("%.60s became the ack %.120s", arg, got[bare.id])
		}
	}
	// What services answer is passed on as it is, too.
	d.serve("natter.on.bare.ack.>", func(*nats.Msg) string { return `["<\ud800>",{"b":1,"a":1.0}]` })
	if got := bare.request(`"ack"`); got != `["<\ud800>",{"b":1,"a":1.0}]` {
		t.Fatalf("ack %s", got)
	}
	var probe []json.RawMessage
	if err := json.Unmarshal([]byte(bare.request(`"ack"`)), &probe); err != nil || len(probe) != 2 {
		t.Fatalf("ack: %v", err)
	}
}

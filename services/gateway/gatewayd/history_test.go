package gatewayd_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/socketio"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// TestQuestionsToHistory plays the history service: it hears who asks, and of which rooms.
func TestQuestionsToHistory(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	admissions := map[string]string{"ann": `{"ok":true,"user":"u1","name":"Ann"}`, "root": `{"ok":true,"user":"u2","name":"Root","roles":["admin"]}`}
	d.admit("/guarded", func(e contract.Entry) string {
		for who, admission := range admissions {
			if strings.Contains(string(e.Handshake.Auth), who) {
				return admission
			}
		}
		return `{"ok":true}`
	})
	g := d.gateway(func(c *gatewayd.Config) {
		guarded := c.Namespaces["/guarded"]
		guarded.Events = c.Namespaces["/"].Events
		c.Namespaces["/guarded"] = guarded
	})
	guest := g.connect()
	guest.join("red", "blue")
	ann := g.dial().enter("/guarded", `{"who":"ann"}`)
	ann.join("red")
	root := g.dial().enter("/guarded", `{"who":"root"}`)
	root.join("red")
	asked := d.listen("natter.history.>")
	d.serve("natter.history.>", func(*nats.Msg) string { return `{"ok":true}` })
	for _, c := range []struct {
		who  *socket
		args []string
		want []string // the subject, and what the request is or holds
	}{
		{guest, []string{`"history"`, `{"room":"red","around":"x-5"}`}, []string{"page", `{"namespace":"/","room":"red","around":"x-5"}`}},
		{guest, []string{`"history"`, `{"room":"red","after":"x-5","limit":2}`}, []string{"page", `{"namespace":"/","room":"red","after":"x-5","limit":2}`}},
		{guest, []string{`"search"`, `{"text":"a <b>","rooms":["blue"]}`}, []string{"search", `{"namespace":"/","rooms":["blue"],"text":"a \u003cb\u003e"}`}},
		{guest, []string{`"search"`, `{"text":"a"}`}, []string{"search", `"rooms":[null,`, `"red"`, `"blue"`}},
		{guest, []string{`"edit message"`, `{"room":"red","id":"x-1","value":{"a":1},"user":"u1","admin":true}`},
			[]string{"edit", `{"namespace":"/","room":"red","id":"x-1","value":{"a":1},"socket":"` + guest.id + `"}`}},
		{ann, []string{`"edit message"`, `{"room":"red","id":"x-1","value":"v"}`},
			[]string{"edit", `{"namespace":"/guarded","room":"red","id":"x-1","value":"v","user":"u1","socket":"` + ann.id + `","name":"Ann"}`}},
		{root, []string{`"delete message"`, `{"room":null,"id":"x-1","value":"v"}`},
			[]string{"delete", `{"namespace":"/guarded","room":null,"id":"x-1","user":"u2","socket":"` + root.id + `","name":"Root","admin":true}`}},
		{ann, []string{`"read"`, `{"room":"red","id":"x-1","user":"u2"}`}, []string{"read", `{"namespace":"/guarded","room":"red","user":"u1","id":"x-1"}`}},
		{ann, []string{`"unread"`, `{"rooms":["red",null]}`}, []string{"unread", `{"namespace":"/guarded","rooms":["red",null],"user":"u1"}`}},
		{ann, []string{`"unread"`, `{}`}, []string{"unread", `{"namespace":"/guarded","rooms":[null,"red"],"user":"u1"}`}},
	} {
		if ack := c.who.request(c.args...); ack != `[{"ok":true}]` {
			t.Errorf("%s: %s", c.args, ack)
			continue
		}
		question := recv(t, "the request", asked)
		if question.Subject != "natter.history."+c.want[0] {
			t.Errorf("%s: asked on %s", c.args, question.Subject)
		}
		for _, part := range c.want[1:] {
			if !strings.Contains(string(question.Data), part) {
				t.Errorf("%s: the service was asked %s, want %s", c.args, question.Data, part)
			}
		}
	}
	// Without an ack questions are dropped, and changes are made.
	guest.emit(`"search"`, `{"text":"a"}`)
	guest.emit(`"delete message"`, `{"room":"red","id":"x-9"}`)
	if question := recv(t, "the request", asked); question.Subject != "natter.history.delete" {
		t.Errorf("without acks: asked on %s", question.Subject)
	}
}

// A member of as many rooms as the gateway allows need not name them.
func TestAMemberOfManyRoomsSearchesThemAll(t *testing.T) {
	t.Parallel()
	const n = 300
	d := deploy(t)
	g := d.gateway(func(c *gatewayd.Config) { c.MaxRooms = n })
	s := g.connect()
	rooms := make([]string, n)
	for i := range rooms {
		rooms[i] = fmt.Sprintf(`"room %d"`, i)
	}
	d.do("/", []string{s.id}, `["join",`+strings.Join(rooms, ",")+`]`)
	d.say([]string{fmt.Sprintf("room %d", n-1)}, 0, 1)
	s.event()
	asked := d.listen("natter.history.search")
	d.serve("natter.history.search", func(*nats.Msg) string { return `{"ok":true}` })
	if ack := s.request(`"search"`, `{"text":"word"}`); ack != `[{"ok":true}]` {
		t.Fatal(ack)
	}
	var question contract.SearchRequest
	if err := json.Unmarshal(recv(t, "the request", asked).Data, &question); err != nil || len(question.Rooms) != n+1 {
		t.Errorf("asked for %d rooms, %v", len(question.Rooms), err)
	}
}

// One client does not take all the places for what takes the history service long.
func TestWhatAClientAsksOfHistoryIsBounded(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	d.admit("/guarded", func(contract.Entry) string { return `{"ok":true,"user":"u1"}` })
	g := d.gateway(func(c *gatewayd.Config) {
		guarded := c.Namespaces["/guarded"]
		guarded.Events = c.Namespaces["/"].Events
		c.Namespaces["/guarded"] = guarded
	})
	s := g.dial().enter("/guarded", "")
	asked := d.listen("natter.history.*")
	questions := [][]string{{`"search"`, `{"text":"word"}`}, {`"unread"`, `{"rooms":[null]}`}}
	var first *nats.Msg
	var answer <-chan *socketio.Packet
	for i := range 4 {
		got := s.emitAck(questions[i%2]...)
		if question := recv(t, "a question", asked); i == 0 {
			first, answer = question, got
		}
	}
	for _, q := range questions {
		if ack := s.request(q...); !strings.HasPrefix(ack, `[{"ok":false,"code":"rate_limited"`) {
			t.Fatalf("a fifth one, %s: %s", q, ack)
		}
	}
	if err := first.Respond([]byte(`{"ok":true}`)); err != nil {
		t.Fatal(err)
	}
	recv(t, "the answer", answer)
	s.emitAck(questions[1]...)
	recv(t, "one more question", asked)
}

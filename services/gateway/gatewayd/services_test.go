package gatewayd_test

import (
	"testing"

	"github.com/nats-io/nats.go"
)

// historyAway is what clients hear then, whatever the cause; pages show it to people.
const historyAway = `[{"ok":false,"code":"unavailable","message":"history cannot be reached at the moment, try again"}]`

// TestHistoryIsPassedOn plays the history service.
func TestHistoryIsPassedOn(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	s := g.connect()
	s.join("red")
	if ack := s.request(`"history"`, `{"room":"red"}`); ack != historyAway {
		t.Fatalf("without a service: %s", ack)
	}
	requests := d.listen("natter.history.page")
	page := `{"ok":true,"messages":[{"event":["room message","red","<\ud800"],"redacted":false}],"more":true}`
	sub := d.serve("natter.history.page", func(*nats.Msg) string { return page })
	if ack := s.request(`"history"`, `{"room":"red","before":"x-5","limit":3,"namespace":"/admin"}`); ack != "["+page+"]" {
		t.Fatalf("a page: %s", ack)
	}
	if got := string(recv(t, "the request", requests).Data); got != `{"namespace":"/","room":"red","before":"x-5","limit":3}` {
		t.Fatalf("the service was asked %s", got)
	}
	if err := sub.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	d.serve("natter.history.page", func(*nats.Msg) string { return `not JSON` })
	if ack := s.request(`"history"`, `{}`); ack != historyAway {
		t.Fatalf("a service that answers something else: %s", ack)
	}
}

// TestServicesAnswerEvents plays services that answer, badly and not at all.
func TestServicesAnswerEvents(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	s := g.dial().enter("/bare", "")
	for _, reply := range []string{`hello`, `{}`, `null`, `["a"`, "[\"\xff\"]"} {
		sub := d.serve("natter.on.bare.bad.>", func(*nats.Msg) string { return reply })
		before := g.metric("natter_gateway_dropped_total", "malformed ack")
		ack := s.emitAck(`"bad"`)
		wait(t, "the count of malformed acks", func() bool { return g.metric("natter_gateway_dropped_total", "malformed ack") == before+1 })
		if len(ack) > 0 {
			t.Fatalf("%s became the ack %s", reply, (<-ack).Data)
		}
		if err := sub.Unsubscribe(); err != nil {
			t.Fatal(err)
		}
	}
	d.serve("natter.on.bare.empty.>", func(m *nats.Msg) string { _ = m.Respond(nil); return "" })
	if got := s.request(`"empty"`); got != `[]` {
		t.Fatalf("an empty ack: %s", got)
	}
	// The first of several answers counts; late ones do not.
	late := d.listen("natter.on.bare.slow.>")
	slow := s.emitAck(`"slow"`)
	question := recv(t, "the event", late)
	if n := g.metric("natter_gateway_late_replies_total"); n != 0 {
		t.Fatalf("%v late replies", n)
	}
	nobody := s.emitAck(`"nobody listens"`)
	wait(t, "the count of late replies", func() bool {
		_ = question.Respond([]byte(`["late"]`))
		return g.metric("natter_gateway_late_replies_total") > 0
	})
	if len(nobody) > 0 {
		t.Fatal("an event that nobody hears was answered")
	}
	if p := recv(t, "the ack", slow); string(p.Data) != `["late"]` {
		t.Fatalf("ack %s", p.Data)
	}
}

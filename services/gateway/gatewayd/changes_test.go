package gatewayd_test

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/socketio"
)

// TestChangesOfOneClientAreMadeOneAfterTheOther plays a history service that takes its time.
func TestChangesOfOneClientAreMadeOneAfterTheOther(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	ann, bob := g.connect(), g.connect()
	ann.join("red")
	bob.join("red")
	asked := d.listen("natter.history.>")
	d.serve("natter.history.page", func(*nats.Msg) string { return `{"ok":true}` })
	edit := func(who *socket, value string) <-chan *socketio.Packet {
		return who.emitAck(`"edit message"`, `{"room":"red","id":"x-1","value":"`+value+`"}`)
	}
	next := func(want string) *nats.Msg {
		t.Helper()
		msg := recv(t, "the request with "+want, asked)
		if !strings.Contains(msg.Subject+" "+string(msg.Data), want) {
			t.Fatalf("the service was asked %s %s; want %s", msg.Subject, msg.Data, want)
		}
		return msg
	}
	// alone says that the client's other changes wait: what it asks after them is passed on before them.
	alone := func(who *socket) {
		t.Helper()
		who.request(`"history"`, `{"room":"red"}`)
		next("natter.history.page")
	}
	answer := func(msg *nats.Msg) {
		t.Helper()
		if err := msg.Respond([]byte(`{"ok":true}`)); err != nil {
			t.Fatal(err)
		}
	}
	acked := func(ack <-chan *socketio.Packet, want string) {
		t.Helper()
		if got := string(recv(t, "the ack", ack).Data); !strings.Contains(got, want) {
			t.Errorf("ack %s; want %s", got, want)
		}
	}

	first, second := edit(ann, "v1"), edit(ann, "v2")
	ann.emit(`"delete message"`, `{"room":"red","id":"x-2"}`) // wants no ack
	third := edit(ann, "v3")
	one := next("v1")
	alone(ann)
	other := edit(bob, "of bob")
	answer(next("of bob")) // clients do not wait for each other
	acked(other, `{"ok":true}`)
	answer(one)
	acked(first, `{"ok":true}`)
	two := next("v2")
	alone(ann)
	acked(second, contract.CodeUnavailable) // in the end, and no earlier than the service has given it up
	deleted := next("x-2")
	answer(two) // too late
	alone(ann)
	answer(deleted)
	answer(next("v3"))
	acked(third, `{"ok":true}`)
	last := edit(ann, "v4")
	answer(next("v4"))
	acked(last, `{"ok":true}`)
}

package gatewayd_test

import (
	"testing"

	"github.com/natter-io/natter/pkg/contract"
)

func TestLocalMeansTheSocketsOfOneGateway(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(2)
	here, there := gws[0].dial().enter("/bare", ""), gws[1].dial().enter("/bare", "")
	local := []string{contract.HeaderGateway, gws[0].ID()}
	d.do("/bare", nil, `["join","red"]`)
	d.do("/bare", nil, `["join","blue"]`, local...)
	for _, rooms := range [][]string{nil, {"red"}, {"red", "blue"}, {here.id, there.id}} {
		d.emit("/bare", rooms, `["local"]`, local...)
		here.want(`["local"]`)
	}
	if err := d.nc.PublishMsg(d.message(contract.Volatile, "/bare", nil, `["now"]`, local...)); err != nil {
		t.Fatal(err)
	}
	here.want(`["now"]`)
	d.emit("/bare", []string{"blue"}, `["blue"]`)
	here.want(`["blue"]`)
	if got := append(there.heardVolatile(), there.heard()...); len(got) > 0 {
		t.Errorf("at the other gateway: %q", got)
	}

	// Every gateway answers; those that are not meant have no such sockets.
	answers := d.ask(d.message(contract.List, "/bare", nil, "", local...))
	if len(answers) != 2 {
		t.Errorf("%d gateways answered", len(answers))
	}
	replies := d.asked(d.message(contract.Ask, "/bare", []string{"red"}, `["?"]`, local...))
	here.answer(recv(t, "the question", here.events), "1")
	if byID, expected := acks(t, recv(t, "the answers", replies)); expected != 1 || byID[here.id] != "[1]" {
		t.Errorf("%d were asked, they said %v", expected, byID)
	}
	there.wantHeard()

	// What is malformed is skipped, and refused where somebody hears of it.
	d.emit("/bare", nil, `["lost"]`, contract.HeaderGateway, "a.b")
	here.wantHeard()
	reply, err := d.nc.RequestMsg(d.message(contract.List, "/bare", nil, "", contract.HeaderGateway, "*"), patience)
	if err != nil || reply.Header.Get(contract.HeaderError) != contract.CodeInvalid {
		t.Errorf("%v %v", reply, err)
	}
}

// The id of a socket that went on at another gateway is of the one that it had first.
func TestEventsSayWhereASocketIsThatCameBack(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(2)
	heard := d.listen("natter.on._.*.>")
	want := func(event, gateway string) {
		t.Helper()
		for {
			msg := recv(t, event, heard)
			if p, err := (contract.Subjects{}).Parse(msg.Subject); err != nil || p.Event != event {
				continue
			}
			if got := msg.Header.Get(contract.HeaderGateway); got != gateway {
				t.Errorf("%s says that it is at %q, want %q", event, got, gateway)
			}
			return
		}
	}
	s, pid := gws[0].connectKept("/", "")
	want("connect", "")
	s.emit(`"hello"`)
	want("hello", "")
	d.say([]string{s.id}, 0, 1)
	again := gws[1].back("/", pid, s.wantSaid("0"))
	if again.kept() != pid {
		t.Fatal("did not go on")
	}
	want("connect", gws[1].ID())
	again.emit(`"hello"`)
	want("hello", gws[1].ID())
	gws[1].drop(again)
	want("disconnect", gws[1].ID())
}

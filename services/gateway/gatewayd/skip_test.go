package gatewayd_test

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
)

func TestCommandsOutsideTheContractAreSkipped(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	s := g.connect()
	id := "gw." + strings.Repeat("x", contract.SocketIDLength)
	bad := []*nats.Msg{}
	for _, payload := range []string{
		``, `hello`, `[]`, `{}`, `null`, `["jump"]`, `[1]`, `["join"]`, `["leave"]`, `["join",1]`, `["join",null]`, `["join","red",7]`,
		`["join","` + strings.Repeat("r", 129) + `"]`, `["join",` + quote(id) + `]`, `["leave",` + quote(id) + `]`,
		`["data"]`, `["data",1,2]`, `["data","` + strings.Repeat("x", contract.MaxData) + `"]`,
		`["disconnect",1]`, `["disconnect","yes"]`, `["disconnect",true,false]`, `["disconnect",null]`,
	} {
		bad = append(bad, d.message(contract.Do, "/", nil, payload))
	}
	many := nats.NewMsg("natter.do._.many")
	many.Data = []byte(`["disconnect"]`)
	bad = append(bad, many, d.message(contract.Do, "/", nil, `["disconnect"]`, contract.HeaderExcept, "not a token"))
	for i, msg := range bad {
		d.store(msg)
		s.wantHeard()
		if n := g.metric("natter_gateway_messages_skipped_total", "do"); n != float64(i+1) {
			t.Fatalf("%s %v was not skipped: %v", msg.Data, msg.Header, n)
		}
	}
	if infos := d.list("/", nil); len(infos[s.id].Rooms) != 0 {
		t.Fatalf("the socket is in %q", infos[s.id].Rooms)
	}
}

func TestEventsOutsideTheContractAreSkipped(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	s := g.connect()
	skipped := 0.0
	for _, c := range []struct {
		payload string
		header  []string
	}{
		{payload: ``}, {payload: `hello`}, {payload: `[]`}, {payload: `{}`}, {payload: `["a"`}, {payload: `["a"]]`}, {payload: `[{}]`}, {payload: `[null]`},
		{payload: `["connect"]`}, {payload: `["disconnect"]`}, {payload: `["newListener"]`}, {payload: "[\"\xff\"]"},
		{payload: `["a",{"_placeholder":true,"num":1}]x`, header: []string{contract.HeaderAttachments, "1"}},
		{payload: `["a"]`, header: []string{contract.HeaderAttachments, "99"}},
		{payload: `["a"]`, header: []string{contract.HeaderAttachments, "1,1,1,1,1,1,1,1,1,1,1"}},
		{payload: `["a"]`, header: []string{contract.HeaderAttachments, "x"}},
		{payload: `["a"]`, header: []string{contract.HeaderExcept, "a b"}},
		{payload: `["a"]`, header: []string{contract.HeaderStamp, "1", contract.HeaderUser, strings.Repeat("u", contract.MaxUser+1)}},
	} {
		for _, kind := range []contract.Kind{contract.Emit, contract.Post, contract.Volatile} {
			msg := d.message(kind, "/", nil, c.payload, c.header...)
			if kind == contract.Volatile {
				if err := d.nc.PublishMsg(msg); err != nil {
					t.Fatal(err)
				}
				s.heardVolatile()
			} else {
				d.store(msg)
				s.wantHeard()
			}
			if skipped++; g.metric("natter_gateway_messages_skipped_total") != skipped {
				t.Fatalf("%s %s %v was not skipped", kind, c.payload, c.header)
			}
		}
	}
	s.wantHeard()
}

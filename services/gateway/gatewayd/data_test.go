package gatewayd_test

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/embed"
	"github.com/natter-io/natter/pkg/kit/gather"
	"github.com/natter-io/natter/pkg/natstest"
)

// data are the sockets' data by id, as gateways answer once what was stored up to after has taken effect.
func (d *deployment) data(namespace string, after uint64) map[string]string {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), patience)
	defer cancel()
	msg := d.message(contract.List, namespace, nil, "", contract.HeaderAfter, strconv.FormatUint(after, 10))
	all := map[string]string{}
	err := gather.All(ctx, d.nc, msg, func(reply *nats.Msg) error {
		var infos []contract.SocketInfo
		err := json.Unmarshal(reply.Data, &infos)
		for _, i := range infos {
			all[i.ID] = string(i.Data)
		}
		return err
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return all
}

func TestServicesSetTheDataOfSockets(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(2)
	d.admit("/guarded", func(contract.Entry) string { return `{"ok":true,"data":{"from":"middleware"}}` })
	a, b := gws[0].dial().enter("/guarded", ""), gws[1].dial().enter("/guarded", "")
	check := func(after uint64, wantA, wantB string) {
		t.Helper()
		if got := d.data("/guarded", after); len(got) != 2 || got[a.id] != wantA || got[b.id] != wantB {
			t.Fatalf("data %v, want %s and %s", got, wantA, wantB)
		}
	}
	last := d.do("/guarded", []string{a.id}, `["data",{"z":1,"a":"<\u00fc>"}]`)
	check(last, `{"z":1,"a":"\u003c\u00fc\u003e"}`, `{"from":"middleware"}`)
	last = d.do("/guarded", nil, `["data",[1]]`, contract.HeaderExcept, d.names(a.id))
	check(last, `{"z":1,"a":"\u003c\u00fc\u003e"}`, `[1]`)
	d.do("/guarded", []string{b.id}, `["join","red"]`)
	last = d.do("/guarded", []string{"red"}, `["data",null]`)
	check(last, `{"z":1,"a":"\u003c\u00fc\u003e"}`, "")
	// In the order of the stream: the last one holds.
	for i := range 100 {
		last = d.do("/guarded", nil, `["data",`+strconv.Itoa(i)+`]`)
	}
	check(last, "99", "99")
	b.wantHeard() // clients hear nothing of it
}

// TestEventsBringTheDataOfTheirSocket also ends the sockets, with and without their own word.
func TestEventsBringTheDataOfTheirSocket(t *testing.T) {
	t.Parallel()
	d := deploy(t, natstest.WithOptions(func(o *embed.Options) { o.MaxPayload = 32 << 10 }))
	g := d.gateway()
	d.admit("/guarded", func(contract.Entry) string { return `{"ok":true,"data":{"name": "Zoë"}}` })
	on := d.listen("natter.on.guarded.>")
	a := g.dial().enter("/guarded", "")
	heard := func(event, data, size string) {
		t.Helper()
		m := recv(t, event, on)
		if p, err := (contract.Subjects{}).Parse(m.Subject); err != nil || p.Event != event {
			t.Fatalf("heard %s, %v; want %s", m.Subject, err, event)
		}
		if got := m.Header.Get(contract.HeaderData) + " " + m.Header.Get(contract.HeaderDataSize); got != data+" "+size {
			t.Fatalf("%s brings %.100q, want %.100q %s", event, got, data, size)
		}
	}
	set := func(data string) { d.data("/guarded", d.do("/guarded", nil, `["data",`+data+`]`)) }
	heard("connect", "", "") // has them in its payload
	a.emit(`"hello"`)
	heard("hello", `{"name":"Zo\u00eb"}`, "")
	set(`{"a": [1,2], "b": "< >"}`)
	a.emit(`"hello"`)
	heard("hello", `{"a":[1,2],"b":"< >"}`, "")
	set(`null`)
	a.emit(`"hello"`)
	heard("hello", "", "")
	long := `"` + strings.Repeat("x", contract.MaxDataHeader-2) + `"`
	set(long)
	a.emit(`"hello"`)
	heard("hello", long, "")
	// What the event itself leaves no room for, and what is too large for any.
	a.emit(`"hello"`, `"`+strings.Repeat("y", 30<<10)+`"`)
	heard("hello", "", strconv.Itoa(contract.MaxDataHeader))
	set(`"x` + long[1:])
	a.emit(`"hello"`)
	heard("hello", "", strconv.Itoa(contract.MaxDataHeader+1))
	set(`{"seat":3}`)
	a.close()
	heard("disconnecting", `{"seat":3}`, "")
	heard("disconnect", `{"seat":3}`, "")
}

// TestAnOrderThatIsFoundLateUndoesNoLaterOne loses the first of two orders to the same socket that have different targets.
func TestAnOrderThatIsFoundLateUndoesNoLaterOne(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	s := g.connect()
	s.join("red")
	d.emit("/", nil, `["now"]`) // so that nothing seems to be lost for the next moment
	s.wantNext(`["now"]`)
	d.silently(func() {
		d.do("/", []string{"red"}, `["data","earlier"]`)
		d.emit("/", []string{"red"}, `["found"]`)
	})
	last := d.do("/", []string{s.id}, `["data","later"]`)
	s.wantNext(`["found"]`)
	if got := d.data("/", last)[s.id]; got != `"later"` {
		t.Errorf("the data is %s", got)
	}
}

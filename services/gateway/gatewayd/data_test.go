package gatewayd_test

import (
	"context"
	"encoding/json"
	"strconv"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/gather"
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

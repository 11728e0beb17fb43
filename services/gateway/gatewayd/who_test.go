package gatewayd_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/socketio"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// Who asks while it is being found out who is in a room gets the next answer, together with all who do. One in which a gateway's is
// missing says so.
func TestWhoIsHereIsFoundOutForAllWhoAsk(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	// The other gateway is there, and hears of lists of a room only what the test passes on.
	deaf := newChanger(t, d.nats.URL(), "natter.list.*.room.*", "natter.none.*.room.*")
	here, there := d.gateway(), d.gateway(func(c *gatewayd.Config) { c.NATS.URL = deaf.url() })
	for _, g := range []*gateway{here, there} {
		g.awaitPeers(2)
	}
	lists := d.listen("natter.list._.room.red")
	far := there.connect(`{"name":"Zoe"}`)
	far.join("red")
	near := make([]*socket, 20)
	want := make([]string, len(near))
	for i := range near {
		near[i] = here.connect(fmt.Sprintf(`{"name":"N%02d"}`, i))
		near[i].join("red")
		want[i] = fmt.Sprintf(`{"id":%q,"name":"N%02d"}`, near[i].id, i)
	}
	ack := func(complete bool, members []string) string {
		return fmt.Sprintf(`[{"ok":true,"members":[%s],"complete":%t}]`, strings.Join(members, ","), complete)
	}

	first := near[0].emitAck(`"who"`, `"red"`)
	request := recv(t, "the first list", lists)
	next := make([]<-chan *socketio.Packet, 0, 2*len(near))
	for range 2 {
		for _, s := range near {
			next = append(next, s.emitAck(`"who"`, `"red"`))
		}
	}
	for _, s := range near { // it has asked when this is answered
		s.request(`"who"`, quote(s.id))
	}
	msg := d.message(contract.List, "/", []string{"red", "nobody's"}, "", contract.HeaderGateway, there.ID())
	msg.Reply = request.Reply
	if err := d.nc.PublishMsg(msg); err != nil {
		t.Fatal(err)
	}
	if got, want := string(recv(t, "the first answer", first).Data), ack(true, append(slices.Clone(want), fmt.Sprintf(`{"id":%q,"name":"Zoe"}`, far.id))); got != want {
		t.Errorf("the first answer: %s, want %s", got, want)
	}
	recv(t, "the second list", lists)
	for _, ch := range next {
		if got, want := string(recv(t, "the second answer", ch).Data), ack(false, want); got != want {
			t.Fatalf("the second answer: %s, want %s", got, want)
		}
	}
	if len(lists) > 0 {
		t.Errorf("%d more lists", len(lists))
	}
}

package gatewayd_test

import (
	"slices"
	"testing"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// TestOrderWhileANewSessionIsStoredIsStored has services put a client into a room that is about to be let in, while its
// session is being stored for the first time. Nothing else is stored of it until something changes again, and the stream
// forgets the order.
func TestOrderWhileANewSessionIsStoredIsStored(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	between := newGateBefore(t, d.nats.URL(), `"name":"late"`)
	g := d.gateway(func(c *gatewayd.Config) { c.NATS.URL = between.url() })
	other := g.connect()
	other.join("red") // so that nothing needs to be asked for the order to take effect
	late := g.dial().ask("/", `{"name":"late"}`)
	recv(t, "the first write of the session", between.reached)
	d.do("/", nil, `["join","red"]`)
	d.say([]string{"red"}, 0, 1)
	other.wantSaid("0") // the order has taken effect
	between.release()
	pid := late.kept()
	wait(t, "the order to be stored", func() bool {
		saved, _ := d.session(pid)
		return slices.Equal(roomsOf(saved), []string{"red"})
	})
}

// TestGatewayThatWasTakenForGoneForLongHasItsClientsComeBack has other gateways note that a client is away, and its session
// expire, though only its gateway's lease had ended.
func TestGatewayThatWasTakenForGoneForLongHasItsClientsComeBack(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	s, pid := g.connectKept("/", "")
	other, _ := g.connectKept("/", "")
	names := contract.Subjects{}.Names()
	for _, at := range [][2]string{{names.Sessions, "session." + pid}, {names.Gateways, g.ID()}} {
		kv, err := d.js.KeyValue(t.Context(), at[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := kv.Delete(t.Context(), at[1]); err != nil {
			t.Fatal(err)
		}
	}
	s.wantOver()
	other.wantAlive()
}

// TestGatewayWhoseLeaseEndedKeepsItsClients has the gateway see no sessions where it lists them: a copy of the bucket that is
// behind may have answered.
func TestGatewayWhoseLeaseEndedKeepsItsClients(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	names := contract.Subjects{}.Names()
	behind := newChanger(t, d.nats.URL(), names.Sessions+".session.*", names.Sessions+".nothing.*")
	g := d.gateway(func(c *gatewayd.Config) { c.NATS.URL = behind.url() })
	s, pid := g.connectKept("/", "")
	_, before := d.session(pid)
	leases, err := d.js.KeyValue(t.Context(), names.Gateways)
	if err != nil {
		t.Fatal(err)
	}
	if err := leases.Delete(t.Context(), g.ID()); err != nil {
		t.Fatal(err)
	}
	wait(t, "the session to be stored once more", func() bool {
		_, now := d.session(pid)
		return now > before || s.isOver()
	})
	s.wantAlive()
}

package gatewayd_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// joinLater orders a socket to join a room and says something there, which its gateway cannot read back yet.
func (d *deployment) joinLater(s *socket) (room string) {
	d.t.Helper()
	d.allowDirect(false)
	for i := 0; ; i++ {
		room = fmt.Sprint("room ", i)
		before := s.g.metric("natter_gateway_rooms_subscribed")
		for _, msg := range []*nats.Msg{
			d.message(contract.Do, "/", []string{s.id}, `["join",`+quote(room)+`]`),
			d.message(contract.Emit, "/", []string{room}, `["n",1]`),
		} {
			if _, err := d.js.PublishMsgAsync(msg); err != nil {
				d.t.Fatal(err)
			}
		}
		wait(d.t, "the gateway to come to the order", func() bool { return s.g.metric("natter_gateway_rooms_subscribed") > before })
		if !slices.Contains(d.list("/", []string{s.id})[s.id].Rooms, room) {
			return room
		}
		s.wantSaid("1") // it was in the room before anything was said there
	}
}

// wantJoined wants a socket to be in a room, and to hear all that was said there.
func (d *deployment) wantJoined(s *socket, room string) {
	d.t.Helper()
	s.wantSaid("1")
	d.say([]string{room}, 2, 3)
	s.wantSaid("2")
	if s.isOver() {
		d.t.Error("the connection was closed")
	}
}

// An order to join waits while its gateway has no connection to NATS.
func TestAnOrderToJoinOutlivesItsGatewaysConnection(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	link := natstest.Proxy(t, d.nats.URL())
	g := d.gateway(func(c *gatewayd.Config) { c.NATS.URL = link.URL() })
	s := g.connect()
	d.say([]string{s.id}, 0, 1)
	s.wantSaid("0")
	room := d.joinLater(s)
	link.Cut()
	g.awaitReadiness(http.StatusServiceUnavailable)
	d.allowDirect(true)
	link.Heal()
	d.wantJoined(s, room)
}

// An order to join waits while the stream has no leader.
func TestAnOrderToJoinOutlivesALeader(t *testing.T) {
	nodes := natstest.Cluster(t, 3)
	d := deployOn(t, nodes[0])
	replicated := func(c *gatewayd.Config) { c.Replicas, c.Lease = 3, 10*time.Second }
	d.gateway(replicated).stop() // there are streams now
	leader := func() string {
		stream, err := d.js.Stream(t.Context(), contract.Subjects{}.Names().Stream)
		if err != nil {
			return ""
		}
		return stream.CachedInfo().Cluster.Leader
	}
	var old int
	wait(t, "a leader", func() bool {
		name := leader()
		old = slices.IndexFunc(nodes, func(n *natstest.Server) bool { return n.Name() == name })
		return old >= 0
	})
	home := (old + 1) % 3
	d = deployOn(t, nodes[home])
	g := d.gateway(replicated)
	s := g.connect()
	d.say([]string{s.id}, 0, 1)
	s.wantSaid("0")
	room := d.joinLater(s)
	var before string
	wait(t, "a leader at which nobody is connected", func() bool {
		before = leader()
		old = slices.IndexFunc(nodes, func(n *natstest.Server) bool { return n.Name() == before })
		if old == home {
			_, _ = d.nc.Request("$JS.API.STREAM.LEADER.STEPDOWN.NATTER", nil, patience/3)
		}
		return old >= 0 && old != home
	})
	nodes[old].Shutdown()
	wait(t, "another leader", func() bool { name := leader(); return name != "" && name != before })
	d.allowDirect(true)
	d.wantJoined(s, room)
}

// A client that comes into the room before the gateway comes to the order makes no difference.
func TestAnOrderToJoinWhoseRoomAClientEntersMeanwhile(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	s, quick := g.connect(), g.connect()
	d.say([]string{s.id}, 0, 1)
	s.wantSaid("0")
	d.joinLater(s) // and the gateway waits there
	d.do("/", []string{s.id}, `["join","red"]`)
	d.emit("/", []string{"red"}, `["n",2]`)
	quick.join("red")
	d.do("/", []string{s.id}, `["join","blue"]`)
	d.emit("/", []string{"blue"}, `["n",3]`)
	d.allowDirect(true)
	s.wantSaid("1", "2", "3")
}

package gatewayd_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// TestRoomsThatComeAndGoLoseNothing has clients join, speak and leave while subscriptions are dropped at
// once: who is told that it is in a room hears what is said there.
func TestRoomsThatComeAndGoLoseNothing(t *testing.T) {
	t.Parallel()
	const clients, rounds = 6, 60
	d := deploy(t)
	gws := d.gateways(2, func(c *gatewayd.Config) { c.RoomLinger = 0 })
	sockets := make([]*socket, clients)
	for i := range sockets {
		sockets[i] = gws[i%2].connect()
	}
	var wg sync.WaitGroup
	for i, s := range sockets {
		wg.Go(func() {
			for j := range rounds {
				room := quote(fmt.Sprintf("room %d", (i+j)%3))
				text := quote(fmt.Sprintf("%d of %d", j, i))
				if !s.moved(`"join"`, room) || !s.acked(`"room message"`, room, text) || !s.hears(text) || !s.moved(`"leave"`, room) {
					return
				}
			}
		})
	}
	wg.Wait()
	for _, g := range gws {
		g.wantSubscriptions(map[string][]string{"/": nil})
	}
}

// acked reports whether an event is acked as done; it is for goroutines of a test.
func (s *socket) acked(args ...string) bool {
	select {
	case p := <-s.emitAck(args...):
		if !strings.HasPrefix(string(p.Data), `[{"ok":true`) {
			s.t.Errorf("%q: %s", args, p.Data)
			return false
		}
		return true
	case <-time.After(patience):
		s.t.Errorf("%q is not answered", args)
		return false
	}
}

// moved is acked for what a gateway leaves unanswered when it takes too long, so that the client asks again.
func (s *socket) moved(args ...string) bool {
	for range 4 {
		select {
		case p := <-s.emitAck(args...):
			if !strings.HasPrefix(string(p.Data), `[{"ok":true`) {
				s.t.Errorf("%q: %s", args, p.Data)
				return false
			}
			return true
		case <-time.After(patience / 2):
		}
	}
	s.t.Errorf("%q is not answered", args)
	return false
}

// hears reports whether an event with the text comes.
func (s *socket) hears(text string) bool {
	late := time.After(patience)
	for {
		select {
		case p := <-s.events:
			if strings.Contains(string(p.Data), text) {
				return true
			}
		case <-late:
			s.t.Errorf("nobody says %s", text)
			return false
		}
	}
}

// TestClientsThatGoWhileTheyEnterLeaveNothing hang up at every moment of their entry.
func TestClientsThatGoWhileTheyEnterLeaveNothing(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	var n atomic.Int64
	asked := make(chan *client, 1)
	d.admit("/guarded", func(contract.Entry) string {
		i := n.Add(1)
		c := <-asked
		if i%2 == 0 {
			c.link.close()
		} else {
			go c.link.close()
		}
		var rooms []string
		for j := range 10 {
			rooms = append(rooms, fmt.Sprintf(`"room %d %d"`, i, j))
		}
		return `{"ok":true,"user":"u","rooms":[` + strings.Join(rooms, ",") + `]}`
	})
	life := d.life("/guarded")
	for range 60 {
		c := g.dial()
		asked <- c
		c.ask("/guarded", "")
		c.wantOver()
	}
	wait(t, "the end of all connections", func() bool { return g.metric("natter_gateway_connections") == 0 })
	g.wantSubscriptions(nil)
	if got := g.metric("natter_gateway_sockets"); got != 0 {
		t.Fatalf("%v sockets are left", got)
	}
	// Services hear of the ends of those, and only those, of whose beginning they had heard.
	begun := map[string]int{}
	hear := func() {
		if err := d.nc.Flush(); err != nil {
			t.Fatal(err)
		}
		for len(life) > 0 {
			p, err := contract.Subjects{}.Parse((<-life).Subject)
			if err != nil {
				t.Fatal(err)
			}
			begun[p.Socket]++
		}
	}
	wait(t, "the end of every socket that began", func() bool {
		hear()
		for _, events := range begun {
			if events < 3 {
				return false
			}
		}
		return true
	})
	hear()
	for id, events := range begun {
		if events != 3 {
			t.Errorf("services heard %d events of the life of %s", events, id)
		}
	}
}

// TestLivesAreToldInOrder disconnects sockets as soon as they are in, while they talk: services hear connect,
// then what they say, then disconnecting and disconnect, and nothing after that; clients hear CONNECT first.
func TestLivesAreToldInOrder(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	events := d.listen("natter.on.bare.>")
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			ack, err := d.js.Publish(ctx, "natter.do.bare.all", []byte(`["disconnect"]`))
			if err == nil { // the next one when this one has taken effect, or the gateway falls ever further behind
				done := nats.NewMsg("natter.list.bare.all")
				done.Header.Set(contract.HeaderAfter, strconv.FormatUint(ack.Sequence, 10))
				_, err = d.nc.RequestMsgWithContext(ctx, done)
			}
			if err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		}
	})
	defer wg.Wait()
	defer cancel()
	for range 150 {
		c := g.dial()
		s := c.ask("/bare", "")
		s.entered()
		for range 20 {
			s.emit(`"talk"`)
		}
		s.wantOut()
		c.close()
	}
	cancel()
	wg.Wait()
	wait(t, "the end of all connections", func() bool { return g.metric("natter_gateway_connections") == 0 })
	stages := map[string]string{}
	after := map[string][]string{"": {"connect"}, "connect": {"talk", "disconnecting"}, "talk": {"talk", "disconnecting"}, "disconnecting": {"disconnect"}}
	ended := 0
	for ended < 150 {
		msg := recv(t, "an event", events)
		p, err := contract.Subjects{}.Parse(msg.Subject)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(strings.Join(after[stages[p.Socket]], " ")+" ", p.Event+" ") {
			t.Fatalf("services heard %s after %s", p.Event, stages[p.Socket])
		}
		if stages[p.Socket] = p.Event; p.Event == "disconnect" {
			ended++
		}
	}
	g.wantSubscriptions(nil)
}

package gatewayd_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// slowLease keeps gateways that stall for a while from being taken for gone.
func slowLease(c *gatewayd.Config) { c.Lease = 20 * time.Second }

// wantLife is lifeOf, which must be this.
func wantLife(t testing.TB, heard <-chan *nats.Msg, id string, by *gateway, want ...string) {
	t.Helper()
	if got := lifeOf(t, heard, id, by); !slices.Equal(got, want) {
		t.Fatalf("services heard %q, want %q", got, want)
	}
}

// lifeOf takes what services hear of a socket, until a gateway has said something after all that it has to say.
func lifeOf(t testing.TB, heard <-chan *nats.Msg, id string, by *gateway) (got []string) {
	t.Helper()
	marker := by.dial().enter("/", "")
	marker.emit(`"marker"`)
	for {
		switch p, err := (contract.Subjects{}).Parse(recv(t, "what services hear", heard).Subject); {
		case err != nil:
			t.Fatal(err)
		case p.Socket == marker.id && p.Event == "marker":
			marker.close()
			return got
		case p.Socket == id:
			got = append(got, p.Event)
		}
	}
}

// What a gateway has to say of a client's end is stuck on its way, while the client goes on at another one.
func TestServicesDoNotHearThatAClientLeftThatIsElsewhere(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	stuck := newGateBefore(t, d.nats.URL(), `["stuck"]`)
	home := d.gateway(slowLease, func(c *gatewayd.Config) { c.NATS.URL = stuck.url() })
	other := d.gateway(slowLease)
	heard := d.listen("natter.on._.*.>")
	s, pid := home.connectKept("/", "")
	d.say([]string{s.id}, 0, 1)
	last := s.wantSaid("0")
	home.dial().enter("/", "").emit(`"stuck"`)
	recv(t, "the link to be stuck", stuck.reached)
	home.drop(s)
	again := other.back("/", pid, last)
	if again.kept() != pid {
		t.Fatal("did not go on")
	}
	wantLife(t, heard, s.id, other, "connect", "disconnecting", "disconnect", "connect")
	stuck.release()
	wantLife(t, heard, s.id, home)
	again.wantAlive()
}

// A gateway that has claimed a session is stuck before it lets the client in, who comes to a third one.
func TestServicesHearOnceThatAClientLeft(t *testing.T) {
	t.Parallel()
	for name, leaves := range map[string]bool{"its gateway has noticed": true, "its gateway has not": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := deploy(t)
			home := d.gateway(slowLease)
			heard := d.listen("natter.on._.*.>")
			s, pid := home.connectKept("/", "")
			s.join("red")
			d.say([]string{s.id}, 0, 1)
			last := s.wantSaid("0")
			stuck := newGate(t, d.nats.URL(), "natter.*._.socket."+s.id)
			second := d.gateway(slowLease, func(c *gatewayd.Config) { c.NATS.URL = stuck.url() })
			third := d.gateway(slowLease)
			if leaves {
				home.drop(s)
				wait(t, "the session to wait for its client", func() bool { saved, _ := d.session(pid); return !saved.Left.IsZero() })
			}
			d.say([]string{"red"}, 1, 2)
			first := second.back("/", pid, last)
			recv(t, "what it missed to be asked for", stuck.reached)
			again := third.back("/", pid, last)
			if again.kept() != pid {
				t.Fatal("did not go on")
			}
			wantLife(t, heard, s.id, third, "connect", "disconnecting", "disconnect", "connect")
			stuck.release()
			first.wantOver()
			wantLife(t, heard, s.id, second)
			third.drop(again)
			wantLife(t, heard, s.id, third, "disconnecting", "disconnect")
		})
	}
}

// A client goes to another gateway, and away before that lets it in: its first one has said nothing of its end, and will not.
func TestServicesHearTheEndOfAClientThatDidNotGetIn(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	home := d.gateway(slowLease)
	heard := d.listen("natter.on._.*.>")
	s, pid := home.connectKept("/", "")
	d.say([]string{s.id}, 0, 1)
	last := s.wantSaid("0")
	stuck := newGate(t, d.nats.URL(), "natter.*._.socket."+s.id)
	second := d.gateway(slowLease, func(c *gatewayd.Config) { c.NATS.URL = stuck.url() })
	first := second.back("/", pid, last)
	recv(t, "what it missed to be asked for", stuck.reached)
	s.wantOver()
	first.close()
	wait(t, "the connection's end", func() bool { return second.metric("natter_gateway_connections") == 0 })
	wantLife(t, heard, s.id, home, "connect")
	stuck.release()
	wait(t, "the session to wait for its client", func() bool { saved, _ := d.session(pid); return !saved.Left.IsZero() })
	got := strings.Join(lifeOf(t, heard, s.id, second), " ")
	const end = "disconnecting disconnect"
	if got != end && got != end+" connect "+end { // it may have got in before its gateway noticed
		t.Fatalf("services heard %q", got)
	}
}

// A client leaves while its gateway has no NATS.
func TestServicesHearOfAnEndWhenNATSIsBack(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	link := natstest.Proxy(t, d.nats.URL())
	g := d.gateway(func(c *gatewayd.Config) { c.NATS.URL, c.Lease = link.URL(), 6*time.Second })
	life := d.life("/")
	s, _ := g.connectKept("/", "")
	begin(t, life, s)
	link.Cut()
	g.awaitReadiness(http.StatusServiceUnavailable)
	g.drop(s)
	link.Heal()
	wantEnd(t, life, s, "transport close")
}

// A client leaves while the bucket of sessions takes nothing.
func TestEndIsToldOnceItIsStored(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	s, pid := g.connectKept("/", "")
	heard := d.listen("natter.on._.*.>")
	stays := g.dial().enter("/", "")
	accept := d.refuseSessions()
	g.drop(s)
	stays.emit(`"waits"`)
	var events []string
	for len(events) < 3 {
		p, err := contract.Subjects{}.Parse(recv(t, "what services hear", heard).Subject)
		if err != nil {
			t.Fatal(err)
		}
		if p.Event != "connect" {
			events = append(events, p.Event)
		}
		if p.Event == "waits" {
			accept()
		}
	}
	if got := strings.Join(events, " "); got != "waits disconnecting disconnect" {
		t.Fatalf("services heard %s", got)
	}
	if saved, _ := d.session(pid); saved.Left.IsZero() {
		t.Fatalf("services heard of an end that is not stored: %+v", saved)
	}
}

// refuseSessions has the bucket refuse every session until the returned function is called.
func (d *deployment) refuseSessions() (accept func()) {
	d.t.Helper()
	stream, err := d.js.Stream(d.t.Context(), "KV_"+contract.Subjects{}.Names().Sessions)
	if err != nil {
		d.t.Fatal(err)
	}
	well := stream.CachedInfo().Config
	ill := well
	ill.MaxMsgSize = 1
	set := func() {
		d.t.Helper()
		if _, err := d.js.UpdateStream(d.t.Context(), ill); err != nil {
			d.t.Fatal(err)
		}
	}
	set()
	return func() { d.t.Helper(); ill = well; set() }
}

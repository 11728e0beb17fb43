package gatewayd_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// savedSession is what is stored under a private id.
type savedSession struct {
	Gateway string
	Claim   int
	Left    time.Time
	Since   time.Time
	Ended   bool
	Rooms   map[string]uint64
}

func (d *deployment) session(pid string) (s savedSession, writes uint64) {
	d.t.Helper()
	kv, err := d.js.KeyValue(d.t.Context(), contract.Subjects{}.Names().Sessions)
	if err != nil {
		d.t.Fatal(err)
	}
	entry, err := kv.Get(d.t.Context(), "session."+pid)
	if err != nil {
		d.t.Fatal(err)
	}
	if err := json.Unmarshal(entry.Value(), &s); err != nil {
		d.t.Fatal(err)
	}
	return s, entry.Revision()
}

// rewriteSession changes what is stored under a private id.
func (d *deployment) rewriteSession(pid string, change func(saved map[string]any)) {
	d.t.Helper()
	kv, err := d.js.KeyValue(d.t.Context(), contract.Subjects{}.Names().Sessions)
	if err != nil {
		d.t.Fatal(err)
	}
	entry, err := kv.Get(d.t.Context(), "session."+pid)
	if err != nil {
		d.t.Fatal(err)
	}
	var saved map[string]any
	if err := json.Unmarshal(entry.Value(), &saved); err != nil {
		d.t.Fatal(err)
	}
	change(saved)
	data, err := json.Marshal(saved)
	if err != nil {
		d.t.Fatal(err)
	}
	if _, err := kv.Put(d.t.Context(), "session."+pid, data); err != nil {
		d.t.Fatal(err)
	}
}

func (s *socket) isOver() bool {
	select {
	case <-s.over:
		return true
	default:
		return false
	}
}

// TestClaimThatDoesNotGetInIsGivenBack has a client go away while its middlewares have let it in and what it missed is
// being read, or before: the session must end some time.
func TestClaimThatDoesNotGetInIsGivenBack(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	s, pid := g.connectKept("/", "")
	d.say(nil, 0, 1)
	last := s.wantSaid("0")
	g.drop(s)
	var left time.Time
	wait(t, "the end to be stored", func() bool {
		s, _ := d.session(pid)
		left = s.Left
		return !left.IsZero()
	})
	for range 30 {
		g.back("/", pid, last).close()
	}
	wait(t, "one of them to be claimed", func() bool {
		g.back("/", pid, last).close()
		s, _ := d.session(pid)
		return s.Claim > 1
	})
	wait(t, "the session to wait for its client", func() bool {
		s, _ := d.session(pid)
		return !s.Left.IsZero() && g.metric("natter_gateway_connections") == 0
	})
	if s, _ := d.session(pid); !s.Since.Equal(left) {
		t.Errorf("it has heard until %v, as is stored; it left at %v", s.Since, left)
	}
	wait(t, "the client to get in", func() bool {
		again := g.back("/", pid, last)
		wait(t, "an answer", func() bool { return again.isOver() || len(again.entry) > 0 })
		if again.isOver() { // the last claim was being written still
			return false
		}
		if again.kept() != pid {
			t.Fatal("did not go on")
		}
		return true
	})
}

func TestOrdersThatTookEffectAreNotRepeated(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(2)
	s, pid := gws[0].connectKept("/", "")
	d.say([]string{s.id}, 0, 1)
	last := s.wantSaid("0")
	// Nothing of this brings the client a newer offset.
	d.do("/", []string{s.id}, `["join","ordered in"]`)
	d.do("/", []string{s.id}, `["join","out and in"]`)
	d.do("/", []string{s.id}, `["leave","out and in"]`)
	d.do("/", []string{s.id}, `["join","the last"]`)
	wait(t, "the orders to take effect", func() bool {
		return slices.Equal(d.list("/", []string{s.id})[s.id].Rooms, []string{"ordered in", "the last"})
	})
	s.join("out and in")
	s.request(`"leave"`, `"ordered in"`)
	gws[0].drop(s)
	again := gws[1].back("/", pid, last)
	if again.kept() != pid {
		t.Fatal("did not go on")
	}
	wait(t, "everybody to agree on where it is", func() bool {
		return slices.Equal(d.list("/", []string{again.id})[again.id].Rooms, []string{"out and in", "the last"})
	})
}

func TestOffsetOfTheFutureStartsAfresh(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	s, pid := g.connectKept("/", "")
	d.say(nil, 0, 1)
	last := s.wantSaid("0")
	g.drop(s)
	epoch, _, _ := strings.Cut(last, "-")
	for _, offset := range []string{"18446744073709551615", "9999999", "-1", "1e3", strings.Repeat("9", 1000)} {
		liar := g.dial().ask("/", fmt.Sprintf(`{"pid":%q,"offset":"%s-%s"}`, pid, epoch, offset))
		wait(t, "the client to be turned away, or to be somebody new", func() bool { return liar.isOver() || len(liar.entry) > 0 })
		if !liar.isOver() {
			if got := liar.kept(); got == pid {
				t.Fatalf("went on from %s", offset)
			}
		}
		liar.close()
	}
}

// TestTooMuchMissedStartsAfresh has a client miss more than the gateway would keep waiting for it: it must not come back
// for the same again and again.
func TestTooMuchMissedStartsAfresh(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway(func(c *gatewayd.Config) { c.MaxQueueMessages = 20 })
	s, pid := g.connectKept("/", "")
	d.say(nil, 0, 1)
	last := s.wantSaid("0")
	g.drop(s)
	d.say(nil, 1, 30)
	s = g.back("/", pid, last)
	s.wantOver()
	s = g.back("/", pid, last)
	if got := s.kept(); got == pid {
		t.Fatal("went on")
	}
	d.say(nil, 30, 31)
	s.wantSaid("30")
}

// TestGatewayStartedAgainWithItsID leaves no session of its earlier life that counts as connected.
func TestGatewayStartedAgainWithItsID(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	named := func(c *gatewayd.Config) { c.GatewayID, c.RecoveryWindow = "named", time.Minute }
	first := d.gateway(named)
	s, pid := first.connectKept("/", "")
	d.say(nil, 0, 1)
	last := s.wantSaid("0")
	d.data("/", d.do("/", []string{s.id}, `["data",{"seat":3}]`))
	first.stop()
	// A gateway that was killed could not write that the client left.
	d.rewriteSession(pid, func(saved map[string]any) { delete(saved, "left") })
	lives := d.listen("natter.on._.*.>")
	second := d.gateway(named)
	wait(t, "the session to wait for its client", func() bool { s, _ := d.session(pid); return !s.Left.IsZero() })
	again := second.back("/", pid, last)
	if again.kept() != pid {
		t.Fatal("did not go on")
	}
	again.emit(`"hello"`)
	for _, event := range []string{"disconnecting", "disconnect", "connect", "hello"} {
		msg := recv(t, event, lives)
		if !strings.HasPrefix(string(msg.Data), `["`+event+`"`) {
			t.Fatalf("services heard %s, want %s", msg.Data, event)
		}
		if data := msg.Header.Get(contract.HeaderData); event != "connect" && data != `{"seat":3}` {
			t.Errorf("%s brings the data %q", event, data)
		}
	}
}

// The bucket of sessions is deleted while gateways run: they make it again, and store there who is with them.
func TestSessionsAreStoredAgainWhenTheirBucketWasDeleted(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(2, func(c *gatewayd.Config) { c.Lease = time.Second })
	s, pid := gws[0].connectKept("/", "")
	s.join("red")
	if err := d.js.DeleteKeyValue(t.Context(), contract.Subjects{}.Names().Sessions); err != nil {
		t.Fatal(err)
	}
	wait(t, "the session to be stored again", func() bool {
		kv, err := d.js.KeyValue(t.Context(), contract.Subjects{}.Names().Sessions)
		if err != nil {
			return false
		}
		_, err = kv.Get(t.Context(), "session."+pid)
		return err == nil
	})
	d.say([]string{"red"}, 0, 1)
	last := s.wantSaid("0")
	gws[0].drop(s)
	d.say([]string{"red"}, 1, 2)
	again := gws[1].back("/", pid, last)
	if again.kept() != pid {
		t.Fatal("did not go on")
	}
	again.wantSaid("1")
	for _, g := range gws {
		g.dial().ask("/", "").kept()
	}
}

package gatewayd_test

import (
	"testing"
	"time"

	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// passes has a client be away for some time: what is stored of its session is that much older.
func (d *deployment) passes(pid string, away time.Duration) {
	d.t.Helper()
	wait(d.t, "the end to be stored", func() bool { s, _ := d.session(pid); return !s.Left.IsZero() })
	d.rewriteSession(pid, func(saved map[string]any) {
		for _, name := range []string{"left", "since"} {
			text, ok := saved[name].(string)
			if !ok {
				continue
			}
			at, err := time.Parse(time.RFC3339Nano, text)
			if err != nil {
				d.t.Fatal(err)
			}
			saved[name] = at.Add(-away)
		}
	})
}

// longAway is less than the recovery window, and twice that is more than the stream keeps messages.
const longAway = 110 * time.Second

// TestAnswerThatNeverArrived has a client come back in vain: the connection breaks before it hears what it missed. The next time
// it gets all that, or it starts afresh.
func TestAnswerThatNeverArrived(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	lost := func() (id, pid, last string) {
		s, pid := g.connectKept("/", "")
		s.join("red")
		d.say([]string{"red"}, 0, 1)
		last = s.wantSaid("0")
		g.drop(s)
		d.passes(pid, longAway)
		d.say([]string{"red"}, 1, 2)
		inVain := g.back("/", pid, last)
		if inVain.kept() != pid {
			t.Fatal("did not go on")
		}
		g.drop(inVain)
		d.passes(pid, longAway)
		return s.id, pid, last
	}

	_, pid, last := lost()
	again := g.back("/", pid, last)
	if again.kept() != pid {
		t.Fatal("the stream has all, and the client did not go on")
	}
	again.wantSaid("1")

	id, pid, last := lost()
	d.expire()
	g.back("/", pid, last).wantOver()
	again = g.back("/", pid, last)
	if again.kept(); again.id == id {
		t.Fatal("went on without what has expired")
	}
}

// TestQuietClientGoesOn has a client come back whose offset is older than all that the stream has: it has missed nothing.
func TestQuietClientGoesOn(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway(func(c *gatewayd.Config) { c.PingInterval = 100 * time.Millisecond })
	s, pid := g.connectKept("/", "")
	s.join("red")
	d.say([]string{"red"}, 0, 1)
	last := s.wantSaid("0")
	for range 3 {
		d.say([]string{"elsewhere"}, 1, 3)
		d.expire()
		g.drop(s)
		d.passes(pid, longAway)
		if s = g.back("/", pid, last); s.kept() != pid {
			t.Fatal("did not go on")
		}
		wait(t, "it to be known that the client hears", func() bool {
			s, _ := d.session(pid)
			return s.Left.IsZero() && s.Since.IsZero()
		})
	}
	d.say([]string{"red"}, 3, 4)
	s.wantSaid("3")
}

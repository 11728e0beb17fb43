package bridge

import (
	"fmt"
	"testing"
	"time"

	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/services/gateway/internal/session"
)

// For how long a client was away does not depend on the clocks of the machines that its gateways run on.
func TestClocksOfMachinesMayDiffer(t *testing.T) {
	t.Parallel()
	const apart = 10 * time.Minute
	for _, clocks := range [][2]time.Duration{{0, apart}, {0, -apart}, {apart, 0}, {-apart, 0}, {apart, -apart}} {
		t.Run(fmt.Sprint(clocks), func(t *testing.T) {
			t.Parallel()
			server := natstest.Run(t)
			a, b := keeperAt(t, server, "g1", clocks[0]), keeperAt(t, server, "g2", clocks[1])
			a.keep(t, session.Left)
			if b.find(t) == nil {
				t.Error("a client that was there a moment ago starts afresh")
			}
			r, revision := a.storedSession(t)
			left := *r
			left.Left = r.Left.Add(-2 * b.opts.Window)
			revision, err := a.sessions.writeNow(t.Context(), testPID, left, revision)
			if err != nil {
				t.Fatal(err)
			}
			if b.find(t) != nil {
				t.Error("a client that was away for too long goes on")
			}
			// Of a gateway that is gone there is when it was seen last.
			left.Left = time.Time{}
			if _, err := a.sessions.writeNow(t.Context(), testPID, left, revision); err != nil {
				t.Fatal(err)
			}
			if _, err := (*a.sessions.bucket.Load()).Put(t.Context(), beatKey("g1"), nil); err != nil {
				t.Fatal(err)
			}
			if b.find(t) == nil {
				t.Error("a client whose gateway was there a moment ago starts afresh")
			}
		})
	}
}

func TestClockIsSetByWhatIsProved(t *testing.T) {
	t.Parallel()
	at := time.Now().Round(0)
	c := &clock{local: func() time.Time { return at }}
	for _, step := range []struct {
		said        time.Duration // by NATS, after at
		began, took time.Duration
		want        time.Duration
	}{
		{0, -time.Second, 2 * time.Second, 0},
		{5 * time.Second, 0, time.Second, 4 * time.Second},
		{9 * time.Second, 0, 8 * time.Second, 4 * time.Second}, // a slow answer proves less
		{4500 * time.Millisecond, 0, 0, 4500 * time.Millisecond},
		{-time.Hour, 0, time.Second, -time.Hour}, // somebody has set a clock
	} {
		began := at.Add(step.began)
		c.compare(at.Add(step.said), began, began.Add(step.took))
		if got := c.now().Sub(at); got != step.want {
			t.Fatalf("after %+v it is %v ahead", step, got)
		}
	}
}

package bridge

import (
	"errors"
	"testing"
	"time"

	"github.com/natter-io/natter/services/gateway/internal/session"
)

// A gateway that was taken for gone learns with its client's end that another one has told services of it.
func TestEndOfWhichServicesWereToldIsStoredAndNotTold(t *testing.T) {
	t.Parallel()
	for _, fate := range []session.Fate{session.Left, session.Ended} {
		b := keeper(t)
		c := session.Claim{PID: testPID, Number: 1}
		var err error
		if c.Revision, err = b.keepAs(t, c, nil, session.Here); err != nil {
			t.Fatal(err)
		}
		r, revision := b.storedSession(t)
		away := time.Now().UTC().Add(-time.Minute)
		r.Left, r.Told = away, true
		if _, err := b.sessions.writeNow(t.Context(), testPID, *r, revision); err != nil {
			t.Fatal(err)
		}
		if _, err := b.keepAs(t, c, nil, fate); !errors.Is(err, session.ErrClaimed) {
			t.Errorf("the end of which services heard: %v", err)
		}
		if r, _ := b.storedSession(t); !r.Told || r.Ended != (fate == session.Ended) || r.Left.Equal(away) {
			t.Errorf("stored %+v", r)
		}
	}
}

// Of a client that is coming back services need not be told again, until it is in.
func TestClaimedSessionIsOfAClientThatIsGoneUntilItIsIn(t *testing.T) {
	t.Parallel()
	b := keeper(t)
	b.keep(t, session.Left)
	left, _ := b.storedSession(t)
	claim, err := b.ClaimSession(t.Context(), b.find(t))
	if err != nil {
		t.Fatal(err)
	}
	if r, _ := b.storedSession(t); r.Claim != 2 || !r.Left.Equal(left.Left) {
		t.Fatalf("claimed: stored %+v", r)
	}
	if found := b.find(t); found == nil || !found.Left.Equal(left.Left) {
		t.Fatalf("claimed: found %+v", found)
	}
	if _, err := b.keepAs(t, claim, nil, session.Here); err != nil {
		t.Fatal(err)
	}
	if found := b.find(t); found == nil || !found.Left.IsZero() {
		t.Fatalf("in: found %+v", found)
	}
}

// Services do not wait for ever for an end to be stored, nor when the gateway stops.
func TestEndThatCannotBeStoredIsToldSomeTime(t *testing.T) {
	t.Parallel()
	b := keeper(t)
	told := make(map[string]error)
	add := func(name string, age time.Duration) {
		b.sessions.keepLater(unkept{since: time.Now().Add(-age), done: func(_ uint64, err error) { told[name] = err }})
	}
	add("lately", endPatience/2)
	add("long ago", endPatience+time.Second)
	if len(told) != 1 || !errors.Is(told["long ago"], session.ErrUnavailable) || len(b.sessions.unkept) != 2 {
		t.Fatalf("told %v, tries on with %d", told, len(b.sessions.unkept))
	}
	b.sessions.giveUpUnkept()
	add("late", 0)
	if len(told) != 3 || len(b.sessions.unkept) != 0 {
		t.Fatalf("at the end told %v, tries on with %d", told, len(b.sessions.unkept))
	}
}

package bridge

import (
	"errors"
	"testing"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/internal/session"
)

// refuseSessions has the bucket refuse every session until the returned function is called.
func (b *Bridge) refuseSessions(t *testing.T) (accept func()) {
	t.Helper()
	stream, err := b.js.Stream(t.Context(), "KV_"+contract.Subjects{}.Names().Sessions)
	if err != nil {
		t.Fatal(err)
	}
	well := stream.CachedInfo().Config
	ill := well
	ill.MaxMsgSize = 1
	set := func() {
		t.Helper()
		if _, err := b.js.UpdateStream(t.Context(), ill); err != nil {
			t.Fatal(err)
		}
	}
	set()
	return func() { t.Helper(); ill = well; set() }
}

// undone repeats the write that undoes a claim of which nobody knew whether it was stored.
func (b *Bridge) undone(t *testing.T) error {
	t.Helper()
	if len(b.sessions.unkept) != 1 {
		t.Fatalf("%d claims are to be undone, want 1", len(b.sessions.unkept))
	}
	u, done := b.sessions.unkept[0], make(chan error, 1)
	b.keepRecord(u.claim, u.record, func(_ uint64, err error) { done <- err })
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		t.Fatal("nobody said whether the claim was undone")
		panic("unreachable")
	}
}

// The client's next claim at the same gateway may have the same number as the one that failed.
func TestClaimThatFailedUndoesNotTheNext(t *testing.T) {
	t.Parallel()
	b := keeper(t)
	b.keep(t, session.Left)
	accept := b.refuseSessions(t)
	if _, err := b.ClaimSession(t.Context(), b.find(t)); err == nil {
		t.Fatal("claimed a session that could not be stored")
	}
	accept()
	claim, err := b.ClaimSession(t.Context(), b.find(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.undone(t); !errors.Is(err, session.ErrClaimed) {
		t.Fatalf("the next claim was undone: %v", err)
	}
	if _, err = b.keepAs(t, claim, map[string]uint64{"red": 1}, session.Here); err != nil {
		t.Fatal(err)
	}
	if err := b.undone(t); !errors.Is(err, session.ErrClaimed) {
		t.Fatalf("a client that is here was noted to be away: %v", err)
	}
	if r, _ := b.storedSession(t); !r.Left.IsZero() || len(r.Rooms) != 1 {
		t.Fatalf("stored %+v", r)
	}
}

// A claim that was stored, though its gateway could not learn it, is undone: else its client could come back for ever.
func TestClaimThatWasStoredUnnoticedIsUndone(t *testing.T) {
	t.Parallel()
	b := keeper(t)
	b.keep(t, session.Here)
	found, hears := b.find(t), b.sessions.stores
	b.sessions.stores = newReplies(b.nc, b.opts) // hears no answer
	if _, err := b.ClaimSession(t.Context(), found); err == nil {
		t.Fatal("claimed without an answer")
	}
	b.sessions.stores = hears
	if r, _ := b.storedSession(t); r.Claim != 2 || !r.Left.IsZero() {
		t.Fatalf("stored %+v", r)
	}
	if err := b.undone(t); err != nil {
		t.Fatal(err)
	}
	if r, _ := b.storedSession(t); r.Left.IsZero() {
		t.Fatalf("stored %+v", r)
	}
}

// The holder of a session, or who takes its holder for gone, writes between a claim's look and its write.
func TestClaimKnowsSinceWhenItsClientHasHeardNothing(t *testing.T) {
	t.Parallel()
	for name, fate := range map[string]session.Fate{"its holder believes it is there": session.Here, "it left": session.Left} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := keeper(t)
			b.keep(t, session.Here)
			found := b.find(t)
			if _, err := b.keepAs(t, found.Claim, map[string]uint64{"red": 1}, fate); err != nil {
				t.Fatal(err)
			}
			since := found.Since
			if r, _ := b.storedSession(t); fate == session.Left {
				since = r.Left
			}
			if _, err := b.ClaimSession(t.Context(), found); err != nil {
				t.Fatal(err)
			}
			if r, _ := b.storedSession(t); since.IsZero() || !r.Since.Equal(since) {
				t.Errorf("it has heard until %v by its claim, want %v", r.Since, since)
			}
		})
	}
}

package bridge

import (
	"errors"
	"testing"
	"time"

	"github.com/natter-io/natter/services/gateway/internal/session"
)

// keepAs stores a session as a holder that knows of a revision, and waits.
func (b *Bridge) keepAs(t *testing.T, c session.Claim, rooms map[string]uint64, fate session.Fate) (uint64, error) {
	t.Helper()
	type result struct {
		revision uint64
		err      error
	}
	done := make(chan result, 1)
	b.Keep(c, testSaved(rooms), fate, func(revision uint64, err error) { done <- result{revision, err} })
	select {
	case r := <-done:
		return r.revision, r.err
	case <-time.After(patience):
		t.Fatal("nobody said whether the session was stored")
		panic("unreachable")
	}
}

// storedSession is what the bucket has.
func (b *Bridge) storedSession(t *testing.T) (*record, uint64) {
	t.Helper()
	r, revision, err := b.sessions.read(t.Context(), testPID)
	if err != nil || r == nil {
		t.Fatalf("read %v, %v", r, err)
	}
	return r, revision
}

// A gateway's write fails if somebody has written since its last one: that may have been itself, if the acknowledgement was
// lost. Else what others wrote counts, since services were told of it: that another gateway has the client, or that it is away.
func TestRepeatedWriteRespectsWhatOthersWrote(t *testing.T) {
	t.Parallel()
	b := keeper(t)
	away := time.Now().UTC().Add(-time.Second)
	for name, test := range map[string]struct {
		others  func(r *record)
		fate    session.Fate
		refused bool
	}{
		"only its own acknowledgement was lost":      {func(*record) {}, session.Here, false},
		"the same, and the client left":              {func(*record) {}, session.Left, false},
		"the client was taken for away":              {func(r *record) { r.Left = away }, session.Here, true},
		"the client was taken for away, and left":    {func(r *record) { r.Left = away }, session.Left, false},
		"the client was taken for away, and put out": {func(r *record) { r.Left = away }, session.Ended, false},
		"another gateway has it":                     {func(r *record) { r.Gateway, r.Claim = "g2", 2 }, session.Here, true},
		"another gateway has it, and it left":        {func(r *record) { r.Gateway, r.Claim = "g2", 2 }, session.Left, true},
		"another gateway has it, and put it out":     {func(r *record) { r.Gateway, r.Claim = "g2", 2 }, session.Ended, true},
		"another gateway had it":                     {func(r *record) { r.Gateway, r.Claim, r.Left = "g2", 2, away }, session.Left, true},
		"its client came back to it":                 {func(r *record) { r.Claim = 2 }, session.Left, true},
	} {
		t.Run(name, func(t *testing.T) {
			c := session.Claim{PID: testPID, Number: 1}
			if r, at, err := b.sessions.read(t.Context(), testPID); err != nil {
				t.Fatal(err)
			} else if r != nil {
				c.Revision = at
			}
			was := record{Saved: testSaved(nil), Gateway: "g1", Claim: 1}
			var err error
			if c.Revision, err = b.sessions.writeNow(t.Context(), testPID, was, c.Revision); err != nil {
				t.Fatal(err)
			}
			test.others(&was)
			since, err := b.sessions.writeNow(t.Context(), testPID, was, c.Revision)
			if err != nil {
				t.Fatal(err)
			}
			revision, err := b.keepAs(t, c, map[string]uint64{"red": 1}, test.fate)
			now, at := b.storedSession(t)
			if test.refused {
				if !errors.Is(err, session.ErrClaimed) || at != since {
					t.Fatalf("stored %+v over it, %v", now, err)
				}
				return
			}
			if err != nil || revision != at || at <= since {
				t.Fatalf("stored at %d, %v; want it after %d", revision, err, since)
			}
			if test.fate == session.Ended && !now.Ended || test.fate == session.Left && now.Left.Equal(away) || test.fate == session.Here && len(now.Rooms) != 1 {
				t.Fatalf("stored %+v", now)
			}
		})
	}
}

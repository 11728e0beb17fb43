package bridge

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/kit/provision"
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

// A client that leaves while its gateway is cut off has heard nothing since that began. A moment of it does not count: the stream keeps more
// than is said in a window.
func TestClientThatLeavesInACutOffHasHeardNothingSinceItBegan(t *testing.T) {
	t.Parallel()
	for name, outage := range map[string]time.Duration{"none": 0, "short": 10 * time.Second, "long": time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := keeper(t)
			b.keep(t, session.Here)
			_, revision := b.storedSession(t)
			b.gateways.held = time.Now().Add(-outage)
			if _, err := b.keepAs(t, session.Claim{PID: testPID, Number: 1, Revision: revision}, nil, session.Left); err != nil {
				t.Fatal(err)
			}
			r, _ := b.storedSession(t)
			if earlier := r.Left.Sub(r.Since); r.Since.IsZero() == (outage == time.Hour) || !r.Since.IsZero() && (earlier < outage-30*time.Second || earlier > outage) {
				t.Errorf("it left at %v and has heard until %v", r.Left, r.Since)
			}
		})
	}
}

// behind is a bucket of which a copy answers first that has an older session, or none.
type behind struct {
	jetstream.KeyValue
	has     jetstream.KeyValueEntry
	answers int
}

func (b *behind) Get(ctx context.Context, key string) (jetstream.KeyValueEntry, error) {
	if b.answers--; b.answers < 0 {
		return b.KeyValue.Get(ctx, key)
	}
	if b.has == nil {
		return nil, jetstream.ErrKeyNotFound
	}
	return b.has, nil
}

func (b *behind) WatchFiltered(ctx context.Context, keys []string, opts ...jetstream.WatchOpt) (jetstream.KeyWatcher, error) {
	if b.answers--; b.answers >= 0 {
		keys = []string{"nothing.*"}
	}
	return b.KeyValue.WatchFiltered(ctx, keys, opts...)
}

// What a gateway that was killed has stored last may not be in the copy of the bucket that another one looks through: it looks again.
func TestSessionOfAGatewayThatIsGoneIsNotedWhoeverListsIt(t *testing.T) {
	t.Parallel()
	b := keeper(t)
	leases, err := provision.Gateways(t.Context(), b.js, b.opts.Subjects, time.Minute, provision.Storage{})
	if err != nil {
		t.Fatal(err)
	}
	b.gateways.leases = leases
	if _, err := b.sessions.writeNow(t.Context(), testPID, record{Saved: testSaved(nil), Gateway: "killed", Claim: 1}, 0); err != nil {
		t.Fatal(err)
	}
	var lagging jetstream.KeyValue = &behind{*b.sessions.bucket.Load(), nil, 1}
	if _, err := b.sessions.beat(t.Context()); err != nil { // it asks the bucket, the first time
		t.Fatal(err)
	}
	b.sessions.bucket.Store(&lagging)
	for _, all := range []bool{false, true} {
		if b.sessions.mourn(t.Context()) != all {
			t.Fatalf("got through: %t, want %t", !all, all)
		}
		if r, _ := b.storedSession(t); r.Left.IsZero() == all {
			t.Fatalf("stored %+v", r)
		}
	}
}

// The acknowledgement of a write is lost after the session was taken over, and a copy of the bucket has not heard of that.
func TestCopyThatIsBehindDoesNotTakeASessionAway(t *testing.T) {
	t.Parallel()
	b := keeper(t)
	b.keep(t, session.Left)
	kv := *b.sessions.bucket.Load()
	earlier, err := kv.Get(t.Context(), "session."+testPID)
	if err != nil {
		t.Fatal(err)
	}
	claim, err := b.ClaimSession(t.Context(), b.find(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.keepAs(t, claim, nil, session.Here); err != nil {
		t.Fatal(err)
	}
	var lagging jetstream.KeyValue = &behind{kv, earlier, claimTries}
	b.sessions.bucket.Store(&lagging)
	if _, err := b.keepAs(t, claim, map[string]uint64{"red": 1}, session.Here); err != nil {
		t.Fatal(err)
	}
	b.sessions.bucket.Store(&kv)
	if r, _ := b.storedSession(t); r.Claim != claim.Number || len(r.Rooms) != 1 {
		t.Fatalf("stored %+v", r)
	}
}

// A session that is not there any more has expired, since its gateway was taken for gone, or was lost with a server that forgot the
// last moments. Only who is certain that it is gone closes its connection.
func TestSessionThatIsNotThereIsOverOrLost(t *testing.T) {
	t.Parallel()
	const short, long = time.Second, time.Hour
	for name, test := range map[string]struct {
		outage time.Duration
		remove func(ctx context.Context, b *Bridge, key string) error
		want   error
		ended  bool
	}{
		"expired lately": {short, func(ctx context.Context, b *Bridge, key string) error {
			return (*b.sessions.bucket.Load()).Delete(ctx, key)
		}, session.ErrClaimed, true},
		"expired long ago": {long, lose, session.ErrClaimed, true},
		"lost":             {short, lose, nil, false},
		"a copy that is behind says so": {long, func(_ context.Context, b *Bridge, _ string) error {
			var kv jetstream.KeyValue = &behind{*b.sessions.bucket.Load(), nil, claimTries}
			b.sessions.bucket.Store(&kv)
			return nil
		}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := keeper(t)
			b.gateways.held = time.Now().Add(-test.outage)
			c := session.Claim{PID: testPID, Number: 1}
			var err error
			if c.Revision, err = b.keepAs(t, c, nil, session.Here); err != nil {
				t.Fatal(err)
			}
			if c.Revision, err = b.keepAs(t, c, nil, session.Here); err != nil {
				t.Fatal(err)
			}
			well := b.sessions.bucket.Load()
			if err := test.remove(t.Context(), b, "session."+testPID); err != nil {
				t.Fatal(err)
			}
			c.Revision-- // the last acknowledgement was lost, so that the write fails first
			if _, err := b.keepAs(t, c, nil, session.Here); !errors.Is(err, test.want) {
				t.Errorf("stored: %v, want %v", err, test.want)
			}
			b.sessions.bucket.Store(well)
			if r, _ := b.storedSession(t); r.Ended != test.ended {
				t.Errorf("the session has ended: %t, want %t", r.Ended, test.ended)
			}
		})
	}
}

// lose has the bucket forget a key.
func lose(ctx context.Context, b *Bridge, key string) error {
	kv := *b.sessions.bucket.Load()
	stream, err := b.js.Stream(ctx, "KV_"+kv.Bucket())
	if err != nil {
		return err
	}
	return stream.Purge(ctx, jetstream.WithPurgeSubject("$KV."+kv.Bucket()+"."+key))
}

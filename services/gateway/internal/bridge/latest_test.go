package bridge

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/services/gateway/internal/session"
)

// late adds a copy of the sessions' bucket that answers reads like the others. It takes nothing but the first message on a key.
func (b *Bridge) late(t *testing.T, key string) {
	t.Helper()
	bucket := (*b.sessions.bucket.Load()).Bucket()
	late, err := b.js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "LATE", MirrorDirect: true, Mirror: &jetstream.StreamSource{Name: "KV_" + bucket, FilterSubject: "$KV." + bucket + "." + key},
		MaxMsgs: 1, Discard: jetstream.DiscardNew,
	})
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the copy to have what it will have", func() bool {
		info, err := late.Info(t.Context())
		return err == nil && info.State.Msgs == 1
	})
}

// Any copy of the bucket answers, also one that is behind and says that there is no session: the client goes on all the same.
func TestSessionThatOneCopyDoesNotHaveIsFound(t *testing.T) {
	t.Parallel()
	b := keeper(t)
	for _, gateway := range []string{"g1", "other"} {
		if _, err := (*b.sessions.bucket.Load()).Put(t.Context(), beatKey(gateway), nil); err != nil {
			t.Fatal(err)
		}
	}
	b.late(t, beatKey("other"))
	b.keep(t, session.Here)
	for range 50 { // each answer is of one or the other
		if b.find(t) == nil {
			t.Fatal("the session was not found")
		}
		if at, err := b.sessions.lastBeat(t.Context(), "g1"); err != nil || at.IsZero() {
			t.Fatalf("its gateway was seen last at %v, %v", at, err)
		}
		clear(b.sessions.beats)
		if err := b.sessions.lookBack(t.Context()); err != nil || b.sessions.seenEarlier().IsZero() {
			t.Fatalf("it was seen earlier at %v, %v", b.sessions.seenEarlier(), err)
		}
		b.sessions.earlier = time.Time{}
	}
}

func TestSessionThatTheLeaderDoesNotHaveIsNotFound(t *testing.T) {
	t.Parallel()
	b := keeper(t)
	if b.find(t) != nil {
		t.Fatal("found what was never stored")
	}
	b.keep(t, session.Left)
	if err := (*b.sessions.bucket.Load()).Delete(t.Context(), "session."+testPID); err != nil {
		t.Fatal(err)
	}
	if b.find(t) != nil {
		t.Fatal("found what was deleted")
	}
}

// A claim is refused if what was read is old. Then it is repeated by what the leader has, whatever copies say.
func TestClaimThatIsRefusedIsRepeatedByWhatTheLeaderHas(t *testing.T) {
	t.Parallel()
	b := keeper(t)
	b.keep(t, session.Left)
	found := b.find(t)
	b.late(t, "session."+testPID)
	for i := range 200 {
		old := *found
		if claim, err := b.ClaimSession(t.Context(), &old); err != nil || claim.Number != i+2 {
			t.Fatalf("claimed as %+v, %v; want number %d", claim, err, i+2)
		}
	}
}

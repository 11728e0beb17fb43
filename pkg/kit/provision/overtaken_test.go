package provision

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
)

// unanswering is JetStream that does not answer the first update, and does not make it; meanwhile somebody else makes one.
type unanswering struct {
	jetstream.JetStream
	meanwhile func()
}

func (u *unanswering) UpdateStream(ctx context.Context, cfg jetstream.StreamConfig) (jetstream.Stream, error) {
	if meanwhile := u.meanwhile; meanwhile != nil {
		u.meanwhile = nil
		meanwhile()
		return nil, context.DeadlineExceeded
	}
	return u.JetStream.UpdateStream(ctx, cfg)
}

// Whoever changes the main stream while JetStream does not answer, as after a loss of power, does not undo what another one has
// changed since: that a new incarnation has begun.
func TestAnUpdateThatIsRepeatedUndoesNothing(t *testing.T) {
	t.Parallel()
	ctx, _, js := connect(t)
	var s contract.Subjects
	st := Storage{Replicas: 1}
	if _, err := Main(ctx, js, s, time.Minute, time.Second, st); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		change func(js jetstream.JetStream) error
	}{
		{"hold", func(js jetstream.JetStream) error { return Hold(ctx, js, s, st) }},
		{"unhold", func(js jetstream.JetStream) error { return Unhold(ctx, js, s, time.Minute, st) }},
		{"upgrade", func(js jetstream.JetStream) error {
			_, err := Main(ctx, js, s, time.Hour, time.Second, st)
			return err
		}},
	} {
		stream, err := js.Stream(ctx, s.Names().Stream)
		if err != nil {
			t.Fatal(err)
		}
		made, before := stream.CachedInfo().Created, stream.CachedInfo().Config
		var next contract.Incarnation
		u := &unanswering{js, func() {
			next, err = Renew(ctx, js, s, contract.IncarnationOf(made, before.Metadata), Seen{}, time.Now(), st)
		}}
		if err := c.change(u); err != nil {
			t.Fatal(err)
		}
		if u.meanwhile != nil || err != nil {
			t.Fatalf("%s: there was nothing to change, or no other incarnation began: %v", c.name, err)
		}
		after := config(t, js, s.Names().Stream)
		if is := contract.IncarnationOf(made, after.Metadata); is != next || after.MaxAge == before.MaxAge {
			t.Errorf("%s: the incarnation is %v, want %v; the age was %s and is %s", c.name, is, next, before.MaxAge, after.MaxAge)
		}
	}
}

// An update that was on its way when another incarnation began is taken back, and nothing that is newer.
func TestAnIncarnationIsPutBack(t *testing.T) {
	t.Parallel()
	ctx, _, js := connect(t)
	var s contract.Subjects
	st := Storage{Replicas: 1}
	stream, err := Main(ctx, js, s, time.Minute, time.Second, st)
	if err != nil {
		t.Fatal(err)
	}
	made, overtaken := stream.CachedInfo().Created, stream.CachedInfo().Config
	first := contract.IncarnationOf(made, nil)
	second, err := Renew(ctx, js, s, first, Seen{}, time.Now(), st)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.UpdateStream(ctx, overtaken); err != nil {
		t.Fatal(err)
	}
	for _, had := range []contract.Incarnation{second, first} {
		stream, err := PutBack(ctx, js, s, made, had, st)
		if err != nil {
			t.Fatal(err)
		}
		if is := contract.IncarnationOf(made, stream.CachedInfo().Config.Metadata); is != second || second == first {
			t.Errorf("it is %v, want %v", is, second)
		}
	}
}

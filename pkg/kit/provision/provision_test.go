package provision

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var storage = Storage{Replicas: 1, MaxBytes: -1}

func connect(t *testing.T) (context.Context, *nats.Conn, jetstream.JetStream) {
	t.Helper()
	nc := natstest.Run(t).Connect(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx, nc, js
}

func TestWhatIsStoredIsRepublishedAndPostsAreKept(t *testing.T) {
	ctx, nc, js := connect(t)
	var s contract.Subjects
	// The posts stream sources one that does not exist yet: services start in any order.
	posts, err := Posts(ctx, js, s, time.Hour, storage)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time changes nothing
		if _, err := Main(ctx, js, s, time.Minute, 2*time.Minute, storage); err != nil {
			t.Fatal(err)
		}
	}
	live, err := nc.SubscribeSync(s.AllOf(contract.Live))
	if err != nil {
		t.Fatal(err)
	}
	for i, subject := range []string{"natter.emit._.all", "natter.post.admin.room.red", "natter.do._.socket.gw.abcdefghijABCDEFGH_-"} {
		msg := &nats.Msg{Subject: subject, Data: []byte(`["x"]`), Header: nats.Header{"Nats-Sequence": {"999"}}}
		if _, err := js.PublishMsg(ctx, msg); err != nil {
			t.Fatal(err)
		}
		heard, err := live.NextMsgWithContext(ctx)
		if err != nil {
			t.Fatal(err)
		}
		stored, err := contract.ParseStored(contract.Header(heard.Header))
		if err != nil || stored.Subject != subject || stored.Sequence != uint64(i+1) || stored.Time.IsZero() {
			t.Errorf("%s was republished as %+v, %v", subject, stored, err)
		}
		if _, rest, _ := strings.Cut(subject, "."); !strings.HasSuffix(heard.Subject, rest[strings.Index(rest, "."):]) || !strings.HasPrefix(heard.Subject, "natter.live.") {
			t.Errorf("%s was republished on %s", subject, heard.Subject)
		}
	}
	kept, err := posts.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	post, err := kept.Next(jetstream.FetchMaxWait(10 * time.Second))
	if err != nil {
		t.Fatal(err)
	}
	stream, sequence, err := contract.SourceSequence(contract.Header(post.Headers()))
	if err != nil || stream != "NATTER" || sequence != 2 || post.Subject() != "natter.post.admin.room.red" {
		t.Errorf("kept %s as %s %d, %v", post.Subject(), stream, sequence, err)
	}
}

func TestWhatNoGatewayCouldDeliverIsNotStored(t *testing.T) {
	ctx, _, js := connect(t)
	var s contract.Subjects
	if _, err := Main(ctx, js, s, time.Minute, time.Minute, storage); err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{"natter.emit.x", "natter.emit._.everyone", "natter.emit._.room.a.b", "natter.emit._.room", "natter.do._.socket.gw", "natter.live._.all", "natter.volatile._.all"} {
		if ack, err := js.Publish(ctx, subject, []byte(`["x"]`), jetstream.WithRetryAttempts(0)); !errors.Is(err, jetstream.ErrNoStreamResponse) {
			t.Errorf("%s: %+v, %v; want no stream", subject, ack, err)
		}
	}
}

func TestTruthCannotBeDeleted(t *testing.T) {
	ctx, _, js := connect(t)
	var s contract.Subjects
	main, err := Main(ctx, js, s, time.Minute, time.Minute, storage)
	if err != nil {
		t.Fatal(err)
	}
	if err := main.Purge(ctx); err == nil {
		t.Error("the main stream was purged")
	}
	if _, err := js.Publish(ctx, "natter.emit._.all", []byte(`["x"]`)); err != nil {
		t.Fatal(err)
	}
	if err := main.DeleteMsg(ctx, 1); err == nil {
		t.Error("a message was deleted")
	}
}

func TestBuckets(t *testing.T) {
	ctx, _, js := connect(t)
	var s contract.Subjects
	namespaces, err := Namespaces(ctx, js, s, storage)
	if err != nil {
		t.Fatal(err)
	}
	key, err := contract.EncodeNamespace("/a b")
	if err != nil {
		t.Fatal(err)
	}
	value, err := json.Marshal(contract.Namespace{Use: []string{"auth"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := namespaces.Put(ctx, key, value); err != nil {
		t.Errorf("a namespace's token is no key: %v", err)
	}
	leases, err := Gateways(ctx, js, s, 100*time.Millisecond, storage)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := leases.PutString(ctx, "gw", "alive"); err != nil {
		t.Fatal(err)
	}
	for !errors.Is(err, jetstream.ErrKeyNotFound) {
		if _, err = leases.Get(ctx, "gw"); ctx.Err() != nil {
			t.Fatal("the lease does not end")
		}
	}
}

func TestWithoutJetStreamSaysWhatToDo(t *testing.T) {
	for _, cause := range []error{jetstream.ErrJetStreamNotEnabled, nats.ErrNoResponders} {
		if err := explain(cause, "2.15.2"); !strings.Contains(err.Error(), "-js") || !errors.Is(err, cause) {
			t.Error(err)
		}
	}
}

func TestNoAnswerNamesPermissions(t *testing.T) {
	if err := explain(context.DeadlineExceeded, "2.15.2"); !strings.Contains(err.Error(), "$JS.API.STREAM.INFO") || !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestOldServersAreNamed(t *testing.T) {
	cause := errors.New("republish not valid")
	for version, old := range map[string]bool{"2.9.10": true, "2.14.6": true, "1.4.1": true, "2.15.0": false, "2.16.0-RC.1": false, "3.0.0": false, "": false} {
		if err := explain(cause, version); !errors.Is(err, cause) || strings.Contains(err.Error(), "2.15 or newer") != old {
			t.Errorf("%q: %v", version, err)
		}
	}
}

func TestRepeatAsksAgainWhereNoAnswerCame(t *testing.T) {
	calls := 0
	got, err := Repeat(t.Context(), func(context.Context) (int, error) {
		if calls++; calls == 1 {
			return 0, context.DeadlineExceeded
		}
		return 7, nil
	})
	if got != 7 || err != nil || calls != 2 {
		t.Errorf("%d, %v after %d calls", got, err, calls)
	}
	refused := errors.New("refused")
	calls = 0
	if _, err := Repeat(t.Context(), func(context.Context) (int, error) { calls++; return 0, refused }); !errors.Is(err, refused) || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

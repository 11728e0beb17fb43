package bridge

import (
	"context"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/provision"
	"github.com/natter-io/natter/pkg/natstest"
)

// spaces is a bucket of namespaces, and the options of who reads it.
func spaces(t *testing.T) (jetstream.KeyValue, Options) {
	t.Helper()
	js, err := jetstream.New(natstest.Run(t).Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	o := options(&counters{})
	bucket, err := provision.Namespaces(t.Context(), js, o.Subjects, provision.Storage{})
	if err != nil {
		t.Fatal(err)
	}
	return bucket, o
}

// deaf is a bucket whose first answers are lost.
type deaf struct {
	jetstream.KeyValue
	states, watches int
}

func (d *deaf) Status(ctx context.Context) (jetstream.KeyValueStatus, error) {
	if d.states++; d.states == 1 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return d.KeyValue.Status(ctx)
}

func (d *deaf) WatchAll(ctx context.Context, opts ...jetstream.WatchOpt) (jetstream.KeyWatcher, error) {
	if d.watches++; d.watches == 1 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return d.KeyValue.WatchAll(ctx, opts...)
}

// Until the namespaces are read a gateway delivers nothing: a lost answer may not keep it waiting.
func TestNamespacesAreAskedForAgain(t *testing.T) {
	t.Parallel()
	bucket, o := spaces(t)
	o.Namespaces = map[string]contract.Namespace{"/": {}}
	n := newNamespaces(o, nil)
	if err := n.declare(t.Context(), bucket, false); err != nil {
		t.Fatal(err)
	}
	if err := n.load(t.Context(), &deaf{KeyValue: bucket}); err != nil {
		t.Fatal(err)
	}
	if _, _, ok := n.find("/"); !ok {
		t.Fatal("the namespace / is not known")
	}
}

func (b *behind) WatchAll(ctx context.Context, opts ...jetstream.WatchOpt) (jetstream.KeyWatcher, error) {
	return b.WatchFiltered(ctx, []string{">"}, opts...)
}

// Clients are refused for good in a namespace that does not exist: who is asked for them may be behind, or have forgotten the
// last moments, and takes none away.
func TestNamespaceIsForgottenOnlyIfItWasRemoved(t *testing.T) {
	t.Parallel()
	kv, o := spaces(t)
	n := newNamespaces(o, nil)
	load := func(kv jetstream.KeyValue, known bool) {
		t.Helper()
		if err := n.load(t.Context(), kv); err != nil {
			t.Fatal(err)
		}
		if _, _, ok := n.find("/a"); ok != known {
			t.Fatalf("the namespace is known: %t, want %t", ok, known)
		}
	}
	put := func(config string) jetstream.KeyValueEntry {
		t.Helper()
		if _, err := kv.Put(t.Context(), "a", []byte(config)); err != nil {
			t.Fatal(err)
		}
		entry, err := kv.Get(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		return entry
	}
	first := put(`{}`)
	load(&behind{KeyValue: kv, answers: 1}, true) // when a gateway starts
	load(&behind{KeyValue: kv, answers: listTries}, true)
	if err := kv.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	load(kv, false)
	n.apply(first)
	if _, _, ok := n.find("/a"); ok {
		t.Fatal("a copy that is behind has brought it back")
	}
	put(`{"roomEvents":true}`)
	load(kv, true)
	n.apply(first)
	if _, ns, _ := n.find("/a"); !ns.RoomEvents {
		t.Fatal("a copy that is behind has undone a change")
	}
	// The bucket is made anew, and its revisions begin again.
	js, err := jetstream.New(natstest.Run(t).Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	if kv, err = provision.Namespaces(t.Context(), js, o.Subjects, provision.Storage{}); err != nil {
		t.Fatal(err)
	}
	load(kv, false)
	put(`{}`)
	load(kv, true)
}

package bridge

import (
	"context"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/provision"
	"github.com/natter-io/natter/pkg/natstest"
)

// deaf is a bucket whose first answers are lost.
type deaf struct {
	jetstream.KeyValue
	keys, gets int
}

func (d *deaf) Keys(ctx context.Context, opts ...jetstream.WatchOpt) ([]string, error) {
	if d.keys++; d.keys == 1 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return d.KeyValue.Keys(ctx, opts...)
}

func (d *deaf) Get(ctx context.Context, key string) (jetstream.KeyValueEntry, error) {
	if d.gets++; d.gets == 1 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return d.KeyValue.Get(ctx, key)
}

// Until the namespaces are read a gateway delivers nothing: a lost answer may not keep it waiting.
func TestNamespacesAreAskedForAgain(t *testing.T) {
	t.Parallel()
	nc := natstest.Run(t).Connect(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	o := options(&counters{})
	o.Namespaces = map[string]contract.Namespace{"/": {}}
	bucket, err := provision.Namespaces(t.Context(), js, o.Subjects, provision.Storage{})
	if err != nil {
		t.Fatal(err)
	}
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

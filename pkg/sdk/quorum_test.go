package sdk_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/provision"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/pkg/sdk"
)

// What is said while the stream lacks its quorum is refused as being in process when it is said again: it is stored once, when
// the others are back.
func TestEmitWaitsForAQuorum(t *testing.T) {
	nodes := natstest.Cluster(t, 3)
	const patience = time.Minute // elections take seconds
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	js, err := jetstream.New(nodes.Connect(t))
	must(t, err)
	stream, err := provision.Main(ctx, js, contract.Subjects{}, time.Hour, time.Minute, provision.Storage{Replicas: 3, MaxBytes: -1})
	must(t, err)
	leader, others := nodes[0], nodes[:0:0]
	for _, node := range nodes {
		if node.Name() == stream.CachedInfo().Cluster.Leader {
			leader = node
		}
	}
	for _, node := range nodes {
		if node != leader {
			others = append(others, node)
		}
	}
	nc := leader.Connect(t)
	server := newServer(t, nc, func(o *sdk.Options) { o.PublishTimeout = patience })
	if js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	_, err = js.Publish(ctx, "natter.emit._.room.a", []byte(`["first"]`))
	must(t, err)
	attempts := make(chan *nats.Msg, 100)
	_, err = nc.ChanSubscribe("natter.emit._.room.b", attempts)
	must(t, err)
	must(t, nc.Flush())
	for _, node := range others {
		node.Shutdown()
	}

	emitted := make(chan error, 1)
	go func() { emitted <- server.To("b").Emit(ctx, "e") }()
	for range 4 { // the second is the first that is refused
		select {
		case <-attempts:
		case err := <-emitted:
			t.Fatalf("given up: %v", err)
		}
	}
	for _, node := range others {
		node.Restart()
	}
	must(t, <-emitted)
	eventually(t, "it is stored", func() bool {
		info, err := stream.Info(ctx, jetstream.WithSubjectFilter("natter.emit._.room.b"))
		return err == nil && info.State.Subjects["natter.emit._.room.b"] == 1
	})
}

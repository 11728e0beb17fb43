package natstest_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/natter-io/natter/pkg/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRestartKeepsPortAndData(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := natstest.Run(t)
	reconnected := make(chan struct{}, 1)
	nc := s.Connect(t, nats.ReconnectHandler(func(*nats.Conn) { reconnected <- struct{}{} }))
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(ctx, "s", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	url := s.URL()
	s.Restart()
	if s.URL() != url {
		t.Errorf("the URL was %s and is %s", url, s.URL())
	}
	select {
	case <-reconnected:
	case <-time.After(10 * time.Second):
		t.Fatal("the client did not reconnect")
	}
	stream, err := js.Stream(ctx, "S")
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n != 1 {
		t.Errorf("%d messages after the restart, want 1", n)
	}
}

func TestServersAreApart(t *testing.T) {
	t.Parallel()
	a, b := natstest.Run(t), natstest.Run(t)
	if a.URL() == b.URL() {
		t.Errorf("both at %s", a.URL())
	}
	a.Shutdown()
	if _, err := nats.Connect(a.URL()); err == nil {
		t.Error("a server that was shut down accepts connections")
	}
	b.Connect(t)
}

func TestSubscriptions(t *testing.T) {
	t.Parallel()
	s := natstest.Run(t)
	nc := s.Connect(t)
	var subs []*nats.Subscription
	for _, subject := range []string{"b", "a", "a"} {
		sub, err := nc.SubscribeSync(subject)
		if err != nil {
			t.Fatal(err)
		}
		subs = append(subs, sub)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := s.Subscriptions(); !slices.Equal(got, []string{"a", "a", "b"}) {
		t.Errorf("got %v", got)
	}
	if err := subs[0].Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := s.Subscriptions(); !slices.Equal(got, []string{"a", "a"}) {
		t.Errorf("after unsubscribing: %v", got)
	}
}

func TestSubscriptionsBeyondOnePage(t *testing.T) {
	t.Parallel()
	s := natstest.Run(t)
	const n = 1500
	for i := range n {
		nc := s.Connect(t, s.InProcess())
		if _, err := nc.SubscribeSync(fmt.Sprint("s", i)); err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(s.Subscriptions()); got != n {
		t.Errorf("%d subscriptions, want %d", got, n)
	}
}

func TestClusterSurvivesANode(t *testing.T) {
	t.Parallel()
	c := natstest.Cluster(t, 3)
	js, err := jetstream.New(c.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, Replicas: 3}); err != nil {
		t.Fatal(err)
	}
	publish := func() {
		t.Helper()
		for ctx.Err() == nil {
			once, cancel := context.WithTimeout(ctx, 2*time.Second)
			_, err = js.Publish(once, "s", nil)
			cancel()
			if err == nil {
				return
			}
		}
		t.Fatalf("publish: %v", err)
	}
	publish()
	c[0].Shutdown()
	publish()
	c[0].Restart()
	publish()
}

package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/embed"
	"github.com/natter-io/natter/pkg/kit/provision"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/services/gateway/internal/hub"
	"github.com/natter-io/natter/services/gateway/internal/parser"
	"github.com/natter-io/natter/services/gateway/internal/session"
)

// shortAge is how long the main stream of these tests keeps messages.
const shortAge = 2 * time.Second

// until waits for a condition that nothing announces.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// running starts a gateway without clients on the server.
func running(t *testing.T, server *natstest.Server) *Bridge {
	t.Helper()
	b, _ := started(t, server, func(*Options) {})
	return b
}

func gatewayOptions() Options {
	return Options{
		Gateway: "g1", Storage: provision.Storage{Replicas: 1, Log: slog.New(slog.DiscardHandler)},
		StreamAge: shortAge, Duplicates: shortAge, Lease: time.Second, Linger: time.Second, AckTimeout: time.Second, MaxAsk: time.Second,
		Queue: 1 << 10, MaxPending: 1 << 10, Parser: parser.ByName("default"), Log: slog.New(slog.DiscardHandler), Metrics: &counters{},
	}
}

// started starts one with options of its own, which may be stopped before the test ends; prepare is for what is no option.
func started(t *testing.T, server *natstest.Server, change func(*Options), prepare ...func(*Bridge)) (b *Bridge, stop func()) {
	t.Helper()
	h := hub.New[*session.Socket](1, 1)
	t.Cleanup(h.Close)
	o := gatewayOptions()
	change(&o)
	nc := server.Connect(t, nats.ReconnectBufSize(-1))
	b, err := New(nc, h, func() uint64 { return 0 }, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range prepare {
		f(b)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		nc.Close()
	})
	t.Cleanup(stop)
	ready, cancelWait := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancelWait()
	if err := b.WaitReady(ready); err != nil {
		t.Fatal(err)
	}
	return b, stop
}

// speaker publishes as a service does, and notes what was acknowledged.
type speaker struct {
	t     *testing.T
	js    jetstream.JetStream
	acked []uint64
}

func newSpeaker(t *testing.T, server *natstest.Server) *speaker {
	t.Helper()
	js, err := jetstream.New(server.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	return &speaker{t: t, js: js}
}

func (s *speaker) say(subject string, payload []byte) error {
	ctx, cancel := context.WithTimeout(s.t.Context(), 3*time.Second)
	defer cancel()
	ack, err := s.js.Publish(ctx, subject, payload, jetstream.WithRetryAttempts(0))
	if err == nil {
		s.acked = append(s.acked, ack.Sequence)
	}
	return err
}

// stream is a stream as it is now.
func (s *speaker) stream(name string) *jetstream.StreamInfo {
	s.t.Helper()
	var info *jetstream.StreamInfo
	until(s.t, "the stream "+name, func() bool {
		ctx, cancel := context.WithTimeout(s.t.Context(), 3*time.Second)
		defer cancel()
		stream, err := s.js.Stream(ctx, name)
		if err == nil {
			info = stream.CachedInfo()
		}
		return err == nil
	})
	return info
}

// copied are the sequences in the main stream of what is in the posts stream.
func (s *speaker) copied() map[uint64]bool {
	s.t.Helper()
	all := make(map[uint64]bool)
	stream, err := s.js.Stream(s.t.Context(), "NATTER_POSTS")
	if err != nil {
		s.t.Fatal(err)
	}
	for n := uint64(1); n <= stream.CachedInfo().State.LastSeq; n++ {
		msg, err := stream.GetMsg(s.t.Context(), n)
		if err != nil {
			s.t.Fatal(err)
		}
		_, sequence, err := contract.SourceSequence(contract.Header(msg.Header))
		if err != nil {
			s.t.Fatal(err)
		}
		all[sequence] = true
	}
	return all
}

// wantAllCopied waits until everything that was acknowledged is in the posts stream.
func (s *speaker) wantAllCopied() {
	s.t.Helper()
	until(s.t, "copies", func() bool { return s.stream("NATTER_POSTS").State.Msgs >= uint64(len(s.acked)) })
	copied := s.copied()
	for _, sequence := range s.acked {
		if !copied[sequence] {
			s.t.Errorf("sequence %d was acknowledged and is not there for history", sequence)
		}
	}
}

// TestPostsAreCopiedBeforeHistoryIsThere is about a gateway that was started first.
func TestPostsAreCopiedBeforeHistoryIsThere(t *testing.T) {
	t.Parallel()
	server := natstest.Run(t)
	running(t, server)
	s := newSpeaker(t, server)
	for i := range 10 {
		if err := s.say("natter.post._.all", fmt.Appendf(nil, `["n",%d]`, i)); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "the end of their age", func() bool { return s.stream("NATTER").State.Msgs == 0 })
	s.wantAllCopied()
}

// TestAFullAccountLosesNoPostThatWasAcknowledged fills the account, says more for longer than the main stream keeps messages, and
// then gives it more room.
func TestAFullAccountLosesNoPostThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	server := natstest.Run(t, natstest.WithOptions(func(o *embed.Options) { o.MaxStore = 4 << 20 }))
	var log journal
	b, _ := started(t, server, func(o *Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	s := newSpeaker(t, server)
	payload := fmt.Appendf(nil, `["n",%q]`, make([]byte, 10_000)) // 40 KB
	full := time.Time{}
	refused := 0
	until(t, "a full account, for several times the age", func() bool {
		if err := s.say("natter.post._.all", payload); err != nil {
			if refused++; full.IsZero() {
				full = time.Now()
			}
		}
		return !full.IsZero() && time.Since(full) > 3*shortAge
	})
	if info := s.stream("NATTER"); info.Config.MaxAge != 0 || refused < 10 {
		t.Errorf("the main stream forgets after %s; %d were refused, %d acknowledged", info.Config.MaxAge, refused, len(s.acked))
	}
	// What a client says waits.
	until(t, "the end of patience with what is not copied", b.copies.holding.Load)
	if log.count("level=ERROR", "what clients post is held", "give JetStream room") != 1 || log.count("set up the copying anew") > 0 {
		t.Errorf("the log does not say what to do:\n%s", &log)
	}
	stored := make(chan error, 1)
	msg := nats.NewMsg("natter.post._.all")
	msg.Data = []byte(`["held"]`)
	last := s.stream("NATTER").State.LastSeq
	if err := b.outbox.add("client", &post{msg: msg, until: time.Now().Add(time.Minute), done: func(_ string, err error) { stored <- err }}); err != nil {
		t.Fatal(err)
	}
	if info := s.stream("NATTER"); info.State.LastSeq != last || len(stored) > 0 {
		t.Errorf("at %d, it was %d", info.State.LastSeq, last)
	}

	server.Restart(natstest.WithOptions(func(o *embed.Options) { o.MaxStore = 64 << 20 }))
	select {
	case err := <-stored:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("what was held is not stored")
	}
	s.wantAllCopied()
	until(t, "the age that the main stream had", func() bool { return s.stream("NATTER").Config.MaxAge == shortAge })
	if b.copies.holding.Load() {
		t.Error("what clients say is held on")
	}
}

// TestPostsStreamIsMadeAgain deletes it.
func TestPostsStreamIsMadeAgain(t *testing.T) {
	t.Parallel()
	server := natstest.Run(t)
	running(t, server)
	s := newSpeaker(t, server)
	if err := s.js.DeleteStream(t.Context(), "NATTER_POSTS"); err != nil {
		t.Fatal(err)
	}
	if err := s.say("natter.post._.all", []byte(`["x"]`)); err != nil {
		t.Fatal(err)
	}
	until(t, "the posts stream", func() bool {
		_, err := s.js.Stream(t.Context(), "NATTER_POSTS")
		return !errors.Is(err, jetstream.ErrStreamNotFound)
	})
	s.wantAllCopied()
}

// TestPostsAreKeptWhileTheirStreamIsAway stops the server of a cluster that has the posts stream, for longer than the main
// stream keeps messages.
func TestPostsAreKeptWhileTheirStreamIsAway(t *testing.T) {
	t.Parallel()
	nodes := natstest.Cluster(t, 3)
	node := func(name string) *natstest.Server {
		return nodes[slices.IndexFunc(nodes, func(n *natstest.Server) bool { return n.Name() == name })]
	}
	js, err := jetstream.New(nodes.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	leader := func(stream string) (name string) {
		until(t, "the leader of "+stream, func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			s, err := js.Stream(ctx, stream)
			if err == nil {
				name = s.CachedInfo().Cluster.Leader
			}
			return name != ""
		})
		return name
	}
	st := provision.Storage{Replicas: 1, Log: slog.New(slog.DiscardHandler)}
	if _, err := provision.Main(t.Context(), js, contract.Subjects{}, shortAge, shortAge, st); err != nil {
		t.Fatal(err)
	}
	home := leader("NATTER")
	until(t, "a server of its own for the posts stream", func() bool {
		if _, err := provision.Posts(t.Context(), js, contract.Subjects{}, 0, st); err != nil {
			t.Fatal(err)
		}
		if leader("NATTER_POSTS") != home {
			return true
		}
		if err := js.DeleteStream(t.Context(), "NATTER_POSTS"); err != nil {
			t.Fatal(err)
		}
		return false
	})
	away := node(leader("NATTER_POSTS"))
	b := running(t, node(home))
	s := newSpeaker(t, node(home))
	if err := s.say("natter.post._.all", []byte(`["before"]`)); err != nil {
		t.Fatal(err)
	}
	s.wantAllCopied()

	away.Shutdown()
	// It takes longer than this age if the cluster must elect a leader first.
	until(t, "the main stream to keep everything", func() bool { return s.stream("NATTER").Config.MaxAge == 0 })
	since := time.Now()
	until(t, "the end of patience, and of the age", func() bool {
		_ = s.say("natter.post._.all", []byte(`["meanwhile"]`))
		return b.copies.holding.Load() && time.Since(since) > 2*shortAge && len(s.acked) >= 100
	})

	away.Restart()
	s.wantAllCopied()
	until(t, "the age that the main stream had", func() bool { return s.stream("NATTER").Config.MaxAge == shortAge })
	until(t, "clients to be heard again", func() bool { return !b.copies.holding.Load() })
}

package bridge

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/internal/session"
)

// tail reads back what the main stream has stored, by JetStream's Direct Get (NATS ADR-31). Many who ask at the
// same time are served together, and what one has read another need not: when all clients of a gateway come back
// at once, the stream is read once.
//
// Any replica answers a Direct Get, and may be behind: an answer counts only if it is as new as was asked.
type tail struct {
	nc     *nats.Conn
	opts   Options
	stream string

	replicated atomic.Bool // the stream has replicas, and an anchor: see anchor

	mu      sync.Mutex
	waiting []*reading
	stale   bool          // what is in the cache is of another stream
	wake    chan struct{} // something waits

	cache     tailCache     // of run
	timeout   time.Duration // tailTimeout
	cacheSize int           // cacheSize
}

// want is a part of the stream: what was stored on a path, of each kind after a sequence.
type want struct {
	path  string
	after [3]uint64 // by link
}

// everything is what a path has of all kinds after a sequence.
func everything(path string, after uint64) want {
	return want{path: path, after: [3]uint64{after, after, after}}
}

// reading is one who waits.
type reading struct {
	wants []want
	upTo  uint64
	done  chan readResult
}

type readResult struct {
	messages []stored
	err      error
}

// tailTimeout is for one question, with all attempts, and for what is read in one round.
const tailTimeout = 5 * time.Second

func newTail(nc *nats.Conn, opts Options) *tail {
	return &tail{nc: nc, opts: opts, stream: opts.Subjects.Names().Stream, wake: make(chan struct{}, 1), timeout: tailTimeout, cacheSize: cacheSize}
}

// startOver forgets what was read: the stream is another one.
func (t *tail) startOver() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stale = true
}

// read returns what was stored up to a sequence and is wanted, in order. The messages look like republished ones
// but for Nats-Last-Sequence. They are shared: nobody may change them.
func (t *tail) read(ctx context.Context, wants []want, upTo uint64) ([]stored, error) {
	r := &reading{wants: wants, upTo: upTo, done: make(chan readResult, 1)}
	t.mu.Lock()
	t.waiting = append(t.waiting, r)
	t.mu.Unlock()
	select {
	case t.wake <- struct{}{}:
	default:
	}
	select {
	case result := <-r.done:
		return result.messages, result.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// run serves those who wait, all who wait at a time.
func (t *tail) run(ctx context.Context) {
	tick := time.NewTicker(cacheFor)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-t.wake:
		}
		t.mu.Lock()
		group, stale := t.waiting, t.stale
		t.waiting, t.stale = nil, false
		t.mu.Unlock()
		if stale {
			t.cache = tailCache{}
		}
		t.serveAll(ctx, group)
		t.cache.trim(time.Now(), t.cacheSize)
	}
}

func (t *tail) serveAll(ctx context.Context, group []*reading) {
	if len(group) == 0 {
		return
	}
	open, err := t.serve(ctx, group)
	var failed []*reading
	for _, r := range group {
		if err != nil && (open == nil || slices.ContainsFunc(r.wants, func(w want) bool { return open[w.path] > 0 })) {
			failed = append(failed, r)
			continue
		}
		r.done <- readResult{messages: t.cache.collect(r)}
	}
	for _, r := range failed {
		t.cache.owe(r) // before it can ask again
		r.done <- readResult{err: fmt.Errorf("%w: reading back: %w", session.ErrUnavailable, err)}
	}
}

func (t *tail) path(subject string) (string, contract.Kind, error) {
	p, err := t.opts.Subjects.Parse(subject)
	if err != nil {
		return "", "", err
	}
	return pathOf(t.opts.Subjects, p.Kind, subject), p.Kind, nil
}

// anchor stores a message that means nothing, on the fence's subject, so that a replica always has something to
// answer with how far it is: an answer without messages does not say. A stream without replicas needs none.
func (t *tail) anchor(ctx context.Context, js jetstream.JetStream) error {
	if !t.replicated.Load() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, fenceTimeout)
	defer cancel()
	_, err := js.Publish(ctx, t.opts.Subjects.Fence(), nil)
	return err
}

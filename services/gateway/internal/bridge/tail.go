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

	cache tailCache // of run
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

const (
	readBehind  = 256 // sequences before the one that is wanted: others who come back may want them
	tailTimeout = 5 * time.Second
)

func newTail(nc *nats.Conn, opts Options) *tail {
	return &tail{nc: nc, opts: opts, stream: opts.Subjects.Names().Stream, wake: make(chan struct{}, 1)}
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
		t.cache.trim(time.Now())
	}
}

func (t *tail) serveAll(ctx context.Context, group []*reading) {
	if len(group) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, tailTimeout)
	defer cancel()
	err := t.serve(ctx, group)
	for _, r := range group {
		if err != nil {
			r.done <- readResult{err: fmt.Errorf("%w: reading back: %w", session.ErrUnavailable, err)}
			continue
		}
		r.done <- readResult{messages: t.cache.collect(r)}
	}
}

// serve sees to it that the cache has what the group wants. That is in memory once, however many want it, and the cache is trimmed
// afterwards: so it is at most what the stream holds for the rooms and sockets of this gateway, of the few minutes that it keeps
// (streamMaxBytes bounds it in bytes). The reader of live messages cannot do with less, since it may pass nothing over; what is
// too much for a client's queue its session refuses.
func (t *tail) serve(ctx context.Context, group []*reading) error {
	after := make(map[string][3]uint64)
	var upTo uint64
	for _, r := range group {
		upTo = max(upTo, r.upTo)
		for _, w := range r.wants {
			a, ok := after[w.path]
			for i := range a {
				if !ok || w.after[i] < a[i] {
					a[i] = w.after[i]
				}
			}
			after[w.path] = a
		}
	}
	paths := make([]string, 0, len(after))
	for path := range after {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for chunk := range slices.Chunk(paths, pathsAtOnce) {
		lasts, err := t.lasts(ctx, chunk, earliest(chunk, after), upTo)
		if err != nil {
			return err
		}
		for subject, last := range lasts {
			path, kind, err := t.path(subject)
			if err != nil {
				return err
			}
			after := after[path][link(kind)]
			if after >= last {
				continue
			}
			p := t.cache.part(subject, path, kind, before(after, readBehind))
			if after < p.after { // what is between is not here
				from := before(after, p.after-after)
				earlier, err := t.fetch(ctx, subject, from, p.after, p.expected(p.after-from))
				if err != nil {
					return err
				}
				t.cache.prepend(p, from, earlier)
			}
			var later []stored
			if p.upTo < last {
				if later, err = t.fetch(ctx, subject, p.upTo, last, fetchBatch); err != nil {
					return err
				}
			}
			t.cache.add(p, max(last, upTo), later)
		}
	}
	return nil
}

// earliest is the sequence after which anything on the paths is wanted.
func earliest(paths []string, after map[string][3]uint64) uint64 {
	first := after[paths[0]][0]
	for _, path := range paths {
		a := after[path]
		first = min(first, a[0], a[1], a[2])
	}
	return first
}

// before is a sequence that is n before another, or 0.
func before(sequence, n uint64) uint64 { return sequence - min(sequence, n) }

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
	_, err := js.Publish(ctx, t.opts.Subjects.Fence(), nil)
	return err
}

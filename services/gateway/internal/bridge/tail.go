package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/internal/hub"
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

// stored is a message that was read back. It may be read by many who come back at the same time.
type stored struct {
	msg      *nats.Msg
	sequence uint64
	once     *parsed
}

// parsed is whom a message means, found out by the first who wants to know.
type parsed struct {
	sync.Once
	kind contract.Kind
	sel  hub.Selection
	here bool // whether it means this gateway's sockets at all
	err  error
}

// address says whom the message means.
func (m stored) address(b *Bridge) *parsed {
	m.once.Do(func() {
		h := contract.Header(m.msg.Header)
		s, err := contract.ParseStored(h)
		if err != nil {
			m.once.err = err
			return
		}
		p, err := b.opts.Subjects.Parse(s.Subject)
		if err == nil {
			m.once.sel, m.once.here, err = b.selection(p, h)
		}
		m.once.kind, m.once.err = p.Kind, err
	})
	return m.once
}

// Bounds of one request. JetStream answers at most 1024 messages to a multi_last, three for each path.
const (
	pathsAtOnce = 300
	fetchBatch  = 256
	readBehind  = 256 // sequences before the one that is wanted: others who come back may want them
	tailTimeout = 5 * time.Second

	fetchBytes    = 4 << 20         // of one answer
	betweenBytes  = 1 << 20         // of neighbours' messages, after which it is better to ask for the own
	answerTimeout = 2 * time.Second // for one answer, whole

	firstWait   = 2 * time.Millisecond // before the same question is asked again
	longestWait = 100 * time.Millisecond
	expiredWait = 30 * time.Millisecond // a replica is not behind for so long as a rule
)

var (
	errBehind  = errors.New("the replica that answered is behind")
	errBroken  = errors.New("a part of the answer was lost")
	errTooMuch = errors.New("more than one answer holds")
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

// lasts returns the last sequence on each subject of the paths that has something after a sequence, as of a moment when
// the stream had reached upTo.
func (t *tail) lasts(ctx context.Context, paths []string, after, upTo uint64) (map[string]uint64, error) {
	for wait := firstWait; ; {
		lasts, err := t.lastsOnce(ctx, paths, after, upTo)
		switch {
		case err == nil:
			return lasts, nil
		case errors.Is(err, errTooMuch) && len(paths) > 1:
			lasts, err := t.lasts(ctx, paths[:len(paths)/2], after, upTo)
			if err != nil {
				return nil, err
			}
			others, err := t.lasts(ctx, paths[len(paths)/2:], after, upTo)
			maps.Copy(lasts, others)
			return lasts, err
		case !again(err):
			return nil, err
		}
		if wait = rest(ctx, wait); ctx.Err() != nil {
			return nil, err
		}
	}
}

// lastsOnce makes one request. A stream without replicas that has nothing is never behind.
func (t *tail) lastsOnce(ctx context.Context, paths []string, after, upTo uint64) (map[string]uint64, error) {
	subjects := []string{t.opts.Subjects.Fence()}
	for _, path := range paths {
		subjects = append(subjects, t.opts.Subjects.Prefix()+".*."+path)
	}
	request, err := json.Marshal(map[string]any{"multi_last": subjects, "seq": after + 1})
	if err != nil {
		return nil, err
	}
	lasts := make(map[string]uint64)
	end, err := t.get(ctx, request, func(_ *nats.Msg, s contract.Stored) {
		if s.Subject != t.opts.Subjects.Fence() {
			lasts[s.Subject] = s.Sequence
		}
	})
	switch {
	case err != nil:
		return nil, err
	case end == nil && !t.replicated.Load():
		return lasts, nil
	case end == nil:
		return nil, errBehind
	case end.Header.Get("Nats-Num-Pending") != "0":
		return nil, errTooMuch
	}
	reached, err := strconv.ParseUint(end.Header.Get("Nats-UpTo-Sequence"), 10, 64)
	if err == nil && reached < upTo {
		err = errBehind
	}
	return lasts, err
}

// between calls see with all that was stored after a sequence up to another, whomever it is for; errTooMuch if that are many bytes,
// or if the last one has expired already.
func (t *tail) between(ctx context.Context, after, upTo uint64, see func(subject string, sequence uint64)) error {
	size := 0
	for wait := firstWait; after < upTo; {
		request, err := json.Marshal(map[string]any{"seq": after + 1, "batch": min(upTo-after, fetchBatch), "max_bytes": betweenBytes})
		if err != nil {
			return err
		}
		before := after
		_, err = t.get(ctx, request, func(msg *nats.Msg, s contract.Stored) {
			if after = s.Sequence; after <= upTo {
				see(s.Subject, s.Sequence)
			}
			size += msg.Size()
		})
		switch {
		case err != nil && !again(err):
			return err
		case after >= upTo:
			return nil
		case size > betweenBytes || wait > expiredWait:
			return errTooMuch
		case after > before:
			continue
		}
		// A replica that is behind; or what was there has expired.
		if wait = rest(ctx, wait); ctx.Err() != nil {
			return errBehind
		}
	}
	return nil
}

// again says whether the same question may be answered in a moment.
func again(err error) bool { return errors.Is(err, errBehind) || errors.Is(err, errBroken) }

// rest waits, until the context ends at the latest, and returns for how long to wait the next time.
func rest(ctx context.Context, wait time.Duration) time.Duration {
	select {
	case <-ctx.Done():
	case <-time.After(wait):
	}
	return min(2*wait, longestWait)
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

// fetch reads a subject after a sequence until it has read the sequence last, or past it, so many messages at a time.
func (t *tail) fetch(ctx context.Context, subject string, after, last uint64, batch int) ([]stored, error) {
	var all []stored
	for wait := firstWait; after < last; {
		request, err := json.Marshal(map[string]any{"seq": after + 1, "next_by_subj": subject, "batch": batch, "max_bytes": fetchBytes})
		if err != nil {
			return nil, err
		}
		before := after
		_, err = t.get(ctx, request, func(msg *nats.Msg, s contract.Stored) {
			all = append(all, stored{msg, s.Sequence, new(parsed)})
			after = s.Sequence
		})
		if err != nil && !again(err) {
			return nil, err
		}
		if after != before {
			continue
		}
		if err == nil { // A replica that is behind; or what was there has expired meanwhile, which the last that there is shows.
			path, _, err := t.path(subject)
			if err != nil {
				return nil, err
			}
			lasts, err := t.lasts(ctx, []string{path}, after, last)
			if err != nil {
				return nil, err
			}
			if lasts[subject] <= after {
				return all, nil
			}
		}
		if wait = rest(ctx, wait); ctx.Err() != nil {
			return nil, errBehind
		}
	}
	return all, nil
}

// get makes one Direct Get of several messages and returns its end; nil if there is nothing. Each message of the answer names
// the one before it there, and so does the end: what is lost on the way shows (NATS ADR-31, Nats-Last-Sequence). Then
// each was called with what was before that, and errBroken is returned, as if no more comes for a while.
func (t *tail) get(ctx context.Context, request []byte, each func(*nats.Msg, contract.Stored)) (end *nats.Msg, err error) {
	inbox := t.nc.NewInbox()
	sub, err := t.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, err
	}
	defer sub.Unsubscribe() //nolint:errcheck // fails only on a closed connection
	if err := t.nc.PublishRequest("$JS.API.DIRECT.GET."+t.stream, inbox, request); err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	var last uint64
	for {
		msg, err := sub.NextMsgWithContext(limited)
		if err != nil {
			if ctx.Err() == nil && limited.Err() != nil {
				err = fmt.Errorf("%w: nothing came for %v", errBroken, answerTimeout)
			}
			return nil, err
		}
		switch status := msg.Header.Get("Status"); status {
		case "":
			s, err := contract.ParseStored(contract.Header(msg.Header))
			if err != nil {
				return nil, err
			}
			if s.Last != last {
				return nil, fmt.Errorf("%w: after %d comes %d, which follows %d", errBroken, last, s.Sequence, s.Last)
			}
			last = s.Sequence
			each(msg, s)
		case "204":
			if end := msg.Header.Get("Nats-Last-Sequence"); end != strconv.FormatUint(last, 10) {
				return nil, fmt.Errorf("%w: the last that came is %d, of %s", errBroken, last, end)
			}
			return msg, nil
		case "404":
			return nil, nil
		case "413":
			return nil, errTooMuch
		default:
			return nil, fmt.Errorf("%s %s", status, msg.Header.Get("Description"))
		}
	}
}

package bridge

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/services/gateway/internal/session"
)

// maxHeld bounds how many acks and questions wait for their turn.
const maxHeld = 64 << 10

// holdFor bounds how long they wait.
const holdFor = 5 * time.Second

var errAsking = fmt.Errorf("%w: too many ask at the same time", session.ErrUnavailable)

var errLate = fmt.Errorf("%w: what it is to come after has not come within %v", session.ErrUnavailable, holdFor)

// turns hold acks and services' questions until what was said before has been handed to the sockets. They wait in bunches, each
// with one place among the live messages and one timer, however many come at a time.
type turns struct {
	bridge *Bridge
	wake   chan struct{}

	mu      sync.Mutex
	closed  bool
	held    int
	reached *bunch               // has a place in live; what it waits for was handed on before that
	coming  *bunch               // what it waits for may not have come yet: it takes a place after the next fence
	placed  map[*nats.Msg]*bunch // by what stands for it among the live messages
	open    map[*bunch]struct{}  // not released yet
}

// bunch are those that have the same turn.
type bunch struct {
	release []func(error)
	timer   *time.Timer
	upTo    uint64 // the highest sequence that they are to come after, which the stream has; 0 in reached
	epoch   string // of upTo
}

func newTurns(b *Bridge) *turns {
	return &turns{bridge: b, wake: make(chan struct{}, 1), placed: make(map[*nats.Msg]*bunch), open: make(map[*bunch]struct{})}
}

// isTurn says whether a message is the place of a bunch: no message of NATS is without a subject.
func isTurn(msg *nats.Msg) bool { return msg.Subject == "" }

// wait calls f once everything up to the sequence that is meant for sockets here has been queued for their connections; with an
// error if that cannot be, after holdFor at the latest. f must not block; the bridge's readers call it.
func (t *turns) wait(sequence uint64, f func(error)) {
	t.mu.Lock()
	if t.closed || t.held >= maxHeld {
		t.mu.Unlock()
		f(errAsking)
		return
	}
	defer t.mu.Unlock()
	t.held++
	if t.bridge.position.Load() >= sequence && t.join(f) {
		return
	}
	if t.coming == nil {
		t.coming = t.begin()
		select {
		case t.wake <- struct{}{}:
		default:
		}
	}
	t.coming.upTo = max(t.coming.upTo, sequence)
	t.coming.release = append(t.coming.release, f)
}

// join adds to the bunch of those that wait for nothing but their turn. It says whether there is a place for it.
func (t *turns) join(f func(error)) bool {
	if t.reached == nil {
		place := &nats.Msg{}
		select {
		case t.bridge.live <- place:
		default:
			return false // the next fence waits for a place
		}
		t.reached = t.begin()
		t.placed[place] = t.reached
	}
	t.reached.release = append(t.reached.release, f)
	return true
}

func (t *turns) begin() *bunch {
	b := &bunch{}
	b.timer = time.AfterFunc(holdFor, func() { t.release(b, errLate) })
	t.open[b] = struct{}{}
	return b
}

// release lets a bunch go, unless it is gone.
func (t *turns) release(b *bunch, err error) {
	t.mu.Lock()
	if b == t.reached {
		t.reached = nil
	}
	if b == t.coming {
		t.coming = nil
	}
	_, open := t.open[b]
	delete(t.open, b)
	release := b.release
	if open {
		t.held -= len(release)
	}
	t.mu.Unlock()
	if !open {
		return
	}
	b.timer.Stop()
	for _, f := range release {
		f(err)
	}
}

// upTo is what has to be handed on before a place of this epoch of the stream.
func (t *turns) upTo(place *nats.Msg, epoch string) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if b := t.placed[place]; b != nil && b.epoch == epoch {
		return b.upTo
	}
	return 0
}

// take is a bunch whose turn it is.
func (t *turns) take(place *nats.Msg) *bunch {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.placed[place]
	delete(t.placed, place)
	if b == t.reached {
		t.reached = nil // what comes now was not handed on before the barrier
	}
	return b
}

// run gives places to those whose messages may not have come yet: when a fence has answered, they have.
func (t *turns) run(ctx context.Context) {
	defer t.close()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.wake:
		}
		t.mu.Lock()
		b := t.coming
		t.coming = nil
		t.mu.Unlock()
		if b == nil {
			continue // its time was over
		}
		epoch := t.bridge.epoch.get()
		last, err := t.bridge.fence.wait(ctx)
		if err != nil {
			t.release(b, err)
			continue
		}
		place := &nats.Msg{}
		t.mu.Lock()
		b.upTo, b.epoch = min(b.upTo, last), epoch
		t.placed[place] = b
		t.mu.Unlock()
		select {
		case t.bridge.live <- place:
		case <-ctx.Done():
			return
		}
	}
}

// close releases all, and from then on everything at once.
func (t *turns) close() {
	t.mu.Lock()
	t.closed = true
	open := make([]*bunch, 0, len(t.open))
	for b := range t.open {
		open = append(open, b)
	}
	t.mu.Unlock()
	for _, b := range open {
		t.release(b, session.ErrUnavailable)
	}
}

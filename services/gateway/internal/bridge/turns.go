package bridge

import (
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// maxHeld bounds how many acks wait for their turn.
const maxHeld = 64 << 10

// holdFor bounds how long an ack waits for its turn. It goes then, since a client would do what it acknowledges again.
const holdFor = 5 * time.Second

// turns hold acks until what their handlers said before has been handed to the sockets. They wait in bunches, each with one
// place among the live messages and one timer, however many acks come at a time.
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

// bunch are acks that have the same turn.
type bunch struct {
	release []func()
	timer   *time.Timer
}

func newTurns(b *Bridge) *turns {
	return &turns{bridge: b, wake: make(chan struct{}, 1), placed: make(map[*nats.Msg]*bunch), open: make(map[*bunch]struct{})}
}

// isTurn says whether a message is the place of a bunch: no message of NATS is without a subject.
func isTurn(msg *nats.Msg) bool { return msg.Subject == "" }

// wait calls f once everything up to the sequence that is meant for sockets here has been queued for their connections, at the
// latest after holdFor. f must not block; the bridge's readers call it.
func (t *turns) wait(sequence uint64, f func()) {
	t.mu.Lock()
	if t.closed || t.held >= maxHeld {
		full := !t.closed
		t.mu.Unlock()
		if full {
			t.bridge.often(&t.bridge.lately.ack, "too many acks wait for what their handlers said before; this one goes without", "waiting", maxHeld)
		}
		f()
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
	t.coming.release = append(t.coming.release, f)
}

// join adds to the bunch of those that wait for nothing but their turn. It says whether there is a place for it.
func (t *turns) join(f func()) bool {
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
	b.timer = time.AfterFunc(holdFor, func() { t.release(b) })
	t.open[b] = struct{}{}
	return b
}

// release lets a bunch go, unless it is gone.
func (t *turns) release(b *bunch) {
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
		f()
	}
}

// take is a bunch whose turn it is; nil if it is gone.
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
		if _, err := t.bridge.fence.wait(ctx); err != nil {
			t.bridge.often(&t.bridge.lately.ack, "it is not known whether what handlers said before their acks has come; the acks go without", "error", err)
			t.release(b)
			continue
		}
		place := &nats.Msg{}
		t.mu.Lock()
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
		t.release(b)
	}
}

package bridge

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
)

// rooms holds the subscriptions to what is said to a room, or to all of a namespace: two literal ones each,
// made with the first local member and dropped some time after the last.
type rooms struct {
	nc       *nats.Conn
	opts     Options
	live     chan *nats.Msg
	volatile chan *nats.Msg

	mu    sync.Mutex
	known map[string]*room // by the subject's tokens after the kind: "_.room.red", "admin.all"
	idle  map[string]*room // those of known without members
}

// room is one set of subscriptions. All fields are guarded by rooms.mu.
type room struct {
	members int // who hold the subscriptions: sockets, and those about to join
	sockets int
	subs    []*nats.Subscription
	settled bool      // a fence has passed since the subscriptions were made
	seen    uint64    // the last stored message that was read; later ones only
	since   time.Time // without members since then
}

func newRooms(nc *nats.Conn, opts Options, live, volatile chan *nats.Msg) *rooms {
	return &rooms{nc: nc, opts: opts, live: live, volatile: volatile, known: make(map[string]*room), idle: make(map[string]*room)}
}

// path is the part of a target's subjects that all kinds share.
func (r *rooms) path(namespace string, target contract.Target) (string, error) {
	subject, err := r.opts.Subjects.To(contract.Live, namespace, target)
	if err != nil {
		return "", err
	}
	return pathOf(r.opts.Subjects, contract.Live, subject), nil
}

func pathOf(s contract.Subjects, kind contract.Kind, subject string) string {
	return subject[len(s.Prefix())+len(kind)+2:]
}

// acquire adds a member to the path and reports whether its subscriptions are settled.
func (r *rooms) acquire(path string) (settled bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rm := r.known[path]
	if rm == nil {
		rm = &room{}
		for _, s := range []struct {
			kind contract.Kind
			to   chan *nats.Msg
		}{{contract.Live, r.live}, {contract.Volatile, r.volatile}} {
			sub, err := r.nc.ChanSubscribe(r.opts.Subjects.Prefix()+"."+string(s.kind)+"."+path, s.to)
			if err != nil {
				unsubscribe(rm.subs)
				return false, fmt.Errorf("subscribing to %s: %w", path, err)
			}
			rm.subs = append(rm.subs, sub)
		}
		r.known[path] = rm
		r.opts.Metrics.Rooms(len(r.known))
	}
	rm.members++
	delete(r.idle, path)
	return rm.settled, nil
}

// settle notes that a fence has passed.
func (r *rooms) settle(path string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if rm := r.known[path]; rm != nil {
		rm.settled = true
	}
}

// unsettle notes that the subscriptions must be made anew, and are not in force before a fence has passed.
func (r *rooms) unsettle() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rm := range r.known {
		rm.settled = false
	}
}

// release takes a member away.
func (r *rooms) release(path string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rm := r.known[path]
	if rm == nil {
		return
	}
	if rm.members--; rm.members == 0 {
		rm.since = time.Now()
		r.idle[path] = rm
	}
}

// move counts a socket in or out and returns how many are in the room.
func (r *rooms) move(path string, by int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	rm := r.known[path]
	if rm == nil {
		return 0
	}
	rm.sockets += by
	return rm.sockets
}

// fresh says whether a stored message on the path is to be delivered: it was not read before. Paths without
// a subscription of their own (single sockets) have no memory.
func (r *rooms) fresh(path string, sequence uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	rm := r.known[path]
	if rm == nil {
		return true
	}
	if sequence <= rm.seen {
		return false
	}
	rm.seen = sequence
	return true
}

// startOver forgets what was read: the stream is another one, whose sequences begin again.
func (r *rooms) startOver() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rm := range r.known {
		rm.seen = 0
	}
}

// run drops the subscriptions of rooms that have been empty for a while.
func (r *rooms) run(ctx context.Context) {
	tick := time.NewTicker(max(r.opts.Linger/2, 10*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			r.drop(func(*room) bool { return true })
			return
		case now := <-tick.C:
			r.drop(func(rm *room) bool { return rm.members == 0 && now.Sub(rm.since) >= r.opts.Linger })
		}
	}
}

func (r *rooms) drop(which func(*room) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for path, rm := range r.idle {
		if which(rm) {
			unsubscribe(rm.subs)
			delete(r.known, path)
			delete(r.idle, path)
		}
	}
	r.opts.Metrics.Rooms(len(r.known))
}

// Enter hears what is said to all of a namespace, or to several of its rooms.
func (b *Bridge) Enter(ctx context.Context, namespace string) error {
	if err := b.subscribeTo(ctx, namespace, contract.All()); err != nil {
		return err
	}
	if err := b.subscribeTo(ctx, namespace, many); err != nil {
		b.unsubscribeFrom(namespace, contract.All())
		return err
	}
	return nil
}

// many is the target of several rooms, whichever.
var many = contract.To("", "")

// Exit undoes one Enter.
func (b *Bridge) Exit(namespace string) {
	b.unsubscribeFrom(namespace, contract.All())
	b.unsubscribeFrom(namespace, many)
}

// Acquire hears what is said to a room.
func (b *Bridge) Acquire(ctx context.Context, namespace, room string) error {
	return b.subscribeTo(ctx, namespace, contract.To(room))
}

// Release undoes one Acquire.
func (b *Bridge) Release(namespace, room string) { b.unsubscribeFrom(namespace, contract.To(room)) }

func (b *Bridge) subscribeTo(ctx context.Context, namespace string, target contract.Target) error {
	path, err := b.rooms.path(namespace, target)
	if err != nil {
		return err
	}
	settled, err := b.rooms.acquire(path)
	if err != nil || settled {
		return err
	}
	if _, err := b.fence.wait(ctx); err != nil {
		b.rooms.release(path)
		return err
	}
	b.rooms.settle(path)
	return nil
}

func (b *Bridge) unsubscribeFrom(namespace string, target contract.Target) {
	if path, err := b.rooms.path(namespace, target); err == nil {
		b.rooms.release(path)
	}
}

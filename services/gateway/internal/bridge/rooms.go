package bridge

import (
	"context"
	"fmt"
	"maps"
	"strings"
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
	requests chan *nats.Msg

	mu     sync.Mutex
	known  map[string]*room  // by the subject's tokens after the kind: "_.room.red", "admin.all"
	idle   map[string]*room  // those of known without members
	others map[string]*chain // of paths heard through wider subscriptions: single sockets, patterns
	base   chain             // a new one of a single socket's: that subscription was in force when the stream was at its floor
	wide   map[string]uint64 // by the tokens of patterns: where the stream was when theirs were in force
	sweep  time.Time         // when others was swept last
}

// room is one set of subscriptions. All fields are guarded by rooms.mu.
type room struct {
	chain
	members int // who hold the subscriptions: sockets, and those about to join
	sockets int
	subs    []*nats.Subscription
	settled bool      // a fence has passed since the subscriptions were made
	since   time.Time // without members since then
}

func newRooms(nc *nats.Conn, opts Options, live, volatile, requests chan *nats.Msg) *rooms {
	return &rooms{nc: nc, opts: opts, live: live, volatile: volatile, requests: requests, known: make(map[string]*room), idle: make(map[string]*room), others: make(map[string]*chain), wide: make(map[string]uint64)}
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

// acquire adds a member to the path and reports whether its subscriptions are settled, and after which sequence nothing went unnoticed.
func (r *rooms) acquire(path string) (since uint64, settled bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rm := r.known[path]
	if rm == nil {
		rm = &room{}
		for _, s := range r.kinds(path) {
			sub, err := r.nc.ChanSubscribe(r.opts.Subjects.Prefix()+"."+string(s.kind)+"."+path, s.to)
			if err != nil {
				unsubscribe(rm.subs)
				return 0, false, fmt.Errorf("subscribing to %s: %w", path, err)
			}
			rm.subs = append(rm.subs, sub)
		}
		r.known[path] = rm
		r.opts.Metrics.Rooms(len(r.known))
	}
	rm.members++
	delete(r.idle, path)
	return rm.floor, rm.settled, nil
}

// source is a kind of messages and the channel for them.
type source struct {
	kind contract.Kind
	to   chan *nats.Msg
}

// kinds are what is heard on a path: what is said, and to a single socket also what is asked, which for rooms every
// gateway hears anyway.
func (r *rooms) kinds(path string) []source {
	all := []source{{contract.Live, r.live}, {contract.Volatile, r.volatile}}
	if _, target, _ := strings.Cut(path, "."); strings.HasPrefix(target, contract.TargetSocket+".") {
		all = append(all, source{contract.Ask, r.requests}, source{contract.List, r.requests})
	}
	return all
}

// settle notes that the subscriptions were in force when the stream was at the sequence, or that what came after it was read back.
func (r *rooms) settle(path string, sequence uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rm := r.known[path]
	if rm == nil {
		return
	}
	rm.settled = true
	if !rm.whole || sequence < rm.floor {
		rm.whole, rm.floor = true, sequence
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

// judge says what to do with a stored message on the path; see [chain.judge].
func (r *rooms) judge(path string, kind contract.Kind, sequence, before uint64) verdict {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.chain(path).judge(kind, sequence, before)
}

// note takes note of a message that is read.
func (r *rooms) note(path string, kind contract.Kind, sequence uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.chain(path)
	c.last[link(kind)] = sequence
	c.heard = time.Now()
}

// chain finds a path's chain; the lock is held.
func (r *rooms) chain(path string) *chain {
	if rm := r.known[path]; rm != nil {
		return &rm.chain
	}
	c := r.others[path]
	if c == nil {
		c = new(r.fresh(path))
		r.others[path] = c
	}
	return c
}

// fresh is the chain of a path of which nothing was read. Single sockets and patterns are heard through subscriptions
// that are always there; of anything else, a room's that was dropped, messages may still be under way. The lock is held.
func (r *rooms) fresh(path string) chain {
	namespace, target, _ := strings.Cut(path, ".")
	if strings.HasPrefix(target, contract.TargetSocket+"."+r.opts.Gateway+".") {
		return r.base
	}
	if floor, ok := r.wide[namespace]; ok {
		return chain{whole: true, floor: floor}
	}
	return chain{}
}

// widen notes that the subscriptions of a pattern were in force when the stream was at the sequence.
func (r *rooms) widen(namespace string, sequence uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wide[namespace] = sequence
	for path, c := range r.others {
		if strings.HasPrefix(path, namespace+".") && !c.whole {
			c.whole, c.floor = true, sequence
		}
	}
}

// isWide says whether it was noted.
func (r *rooms) isWide(namespace string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.wide[namespace]
	return ok
}

// begin notes that the wider subscriptions were in force when the stream was at the sequence.
func (r *rooms) begin(sequence uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.base.whole {
		r.base = chain{whole: true, floor: sequence}
	}
}

// count is how many paths something is known of.
func (r *rooms) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.known) + len(r.others)
}

// start is where the stream was when the wider subscriptions were in force.
func (r *rooms) start() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.base.floor
}

// positions copies the chains in which a message could be missed.
func (r *rooms) positions() map[string]chain {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make(map[string]chain, len(r.known)+len(r.others))
	for path, c := range r.others {
		if c.whole {
			all[path] = *c
		}
	}
	for path, rm := range r.known {
		if rm.whole {
			all[path] = rm.chain
		}
	}
	return all
}

// followed is what positions has of one path; false if nothing is known of it.
func (r *rooms) followed(path string) (chain, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if rm := r.known[path]; rm != nil {
		return rm.chain, true
	}
	if c := r.others[path]; c != nil && c.whole {
		return *c, true
	}
	return chain{}, false
}

// position is how far a path has been read.
func (r *rooms) position(path string) chain {
	r.mu.Lock()
	defer r.mu.Unlock()
	if rm := r.known[path]; rm != nil {
		return rm.chain
	}
	if c := r.others[path]; c != nil {
		return *c
	}
	return r.fresh(path)
}

// startOver forgets what was read: the stream is another one, of which nothing after the floor was heard.
func (r *rooms) startOver(floor uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rm := range r.known {
		rm.chain = chain{whole: rm.whole, floor: floor}
	}
	clear(r.others)
	for namespace := range r.wide {
		r.wide[namespace] = floor
	}
	r.base = chain{whole: r.base.whole, floor: floor}
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
	// What was stored longer ago than the stream keeps is no message's predecessor any more.
	if now := time.Now(); now.Sub(r.sweep) > r.opts.StreamAge/4 {
		r.sweep = now
		maps.DeleteFunc(r.others, func(_ string, c *chain) bool { return now.Sub(c.heard) > r.opts.StreamAge })
	}
	r.opts.Metrics.Rooms(len(r.known))
}

// Enter hears what is said to all of a namespace, or to several of its rooms.
func (b *Bridge) Enter(ctx context.Context, namespace string) (uint64, error) {
	first, err := b.subscribeTo(ctx, namespace, contract.All())
	if err != nil {
		return 0, err
	}
	second, err := b.subscribeTo(ctx, namespace, many)
	if err != nil {
		b.unsubscribeFrom(namespace, contract.All())
		return 0, err
	}
	return min(first, second), nil
}

// many is the target of several rooms, whichever.
var many = contract.To("", "")

// Exit undoes one Enter.
func (b *Bridge) Exit(namespace string) {
	b.unsubscribeFrom(namespace, contract.All())
	b.unsubscribeFrom(namespace, many)
}

// Acquire hears what is said to a room.
func (b *Bridge) Acquire(ctx context.Context, namespace, room string) (uint64, error) {
	return b.subscribeTo(ctx, namespace, contract.To(room))
}

// Release undoes one Acquire.
func (b *Bridge) Release(namespace, room string) { b.unsubscribeFrom(namespace, contract.To(room)) }

// Adopt hears what is said and asked to a socket whose id is another gateway's.
func (b *Bridge) Adopt(ctx context.Context, namespace, id string) error {
	_, err := b.subscribeTo(ctx, namespace, contract.To(id))
	return err
}

// Abandon undoes one Adopt.
func (b *Bridge) Abandon(namespace, id string) { b.unsubscribeFrom(namespace, contract.To(id)) }

// subscribeTo returns how far the stream was when the subscription was in force, or earlier.
func (b *Bridge) subscribeTo(ctx context.Context, namespace string, target contract.Target) (uint64, error) {
	path, err := b.rooms.path(namespace, target)
	if err != nil {
		return 0, err
	}
	read := b.position.Load() // before the member is there: all that is read from now on is for it
	since, settled, err := b.rooms.acquire(path)
	if err != nil {
		return 0, err
	}
	if settled {
		return max(read, since), nil
	}
	last, err := b.fence.wait(ctx)
	if err != nil {
		b.rooms.release(path)
		return 0, err
	}
	b.rooms.settle(path, last)
	return last, nil
}

func (b *Bridge) unsubscribeFrom(namespace string, target contract.Target) {
	if path, err := b.rooms.path(namespace, target); err == nil {
		b.rooms.release(path)
	}
}

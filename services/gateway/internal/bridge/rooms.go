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

// count is how many paths something is known of.
func (r *rooms) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.known) + len(r.others)
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

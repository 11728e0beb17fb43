package bridge

import (
	"strings"
	"time"

	"github.com/natter-io/natter/pkg/contract"
)

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

// Package hub knows which sockets are in which rooms and hands what is said to a room to its members.
//
// It knows neither HTTP nor NATS, nor what it hands over: a delivery is a function that is called once for
// each member that is meant. Deliveries are handed over in the order of the calls to [Hub.Each]. The work is divided by
// socket, never by room: every socket belongs to one worker, so that nothing overtakes anything on its way
// to one socket, whatever the rooms.
package hub

import (
	"hash/maphash"
	"maps"
	"slices"
	"sync"
)

// Member is a socket of one namespace. Members are compared by identity.
type Member interface {
	comparable
	ID() string        // unique among all members
	Namespace() string // never changes
}

// Selection says which members are meant.
type Selection struct {
	Namespace string
	Rooms     []string // members of any of these rooms, or with such an id; none: the whole namespace
	Except    []string // but not members of these rooms, nor with such an id
}

// Hub is safe for concurrent use. [Hub.Each] and [Hub.Barrier] are meant for one caller, whose order counts.
type Hub[M Member] struct {
	seed   maphash.Seed
	shards []*shard[M]
	done   sync.WaitGroup
}

// New starts a hub with that many workers, each with a queue of that many deliveries.
func New[M Member](workers, queue int) *Hub[M] {
	h := &Hub[M]{seed: maphash.MakeSeed(), shards: make([]*shard[M], workers)}
	for i := range h.shards {
		s := &shard[M]{jobs: make(chan job[M], queue), spaces: make(map[string]*space[M])}
		h.shards[i] = s
		h.done.Go(s.work)
	}
	return h
}

// Close ends the workers once they have handed over what is queued. No call of Each or Barrier may follow.
func (h *Hub[M]) Close() {
	for _, s := range h.shards {
		close(s.jobs)
	}
	h.done.Wait()
}

// Each calls fn for each member that is meant, in the members' workers, after the deliveries of all earlier
// calls. It returns as soon as the delivery is queued, and waits while a worker's queue is full. fn must not
// block; it may call the hub's other methods.
func (h *Hub[M]) Each(sel Selection, fn func(M)) {
	for _, s := range h.shards {
		if s.has(sel.Namespace) {
			s.jobs <- job[M]{sel: sel, fn: fn}
		}
	}
}

// Barrier waits until everything that was queued before has been handed over.
func (h *Hub[M]) Barrier() {
	var wg sync.WaitGroup
	wg.Add(len(h.shards))
	for _, s := range h.shards {
		s.jobs <- job[M]{barrier: &wg}
	}
	wg.Wait()
}

// Select returns the members that are meant, at this moment.
func (h *Hub[M]) Select(sel Selection) []M {
	var members []M
	for _, s := range h.shards {
		members = s.match(sel, members)
	}
	return members
}

// Add takes a member in, into no room. It can be selected from now on. No other member may have its id: see [Hub.Replace].
func (h *Hub[M]) Add(m M) { h.shard(m).replace(m, nil) }

// Replace is Add, in the place of a member with the same id if there is one and over, which must not block, agrees. That
// one is out then; it is returned, with its rooms. If over does not agree nothing is changed, and ok is false.
func (h *Hub[M]) Replace(m M, over func(old M) bool) (old M, rooms []string, ok bool) {
	return h.shard(m).replace(m, over)
}

// Remove takes a member out of all its rooms, which it returns. A member that is not there has none.
func (h *Hub[M]) Remove(m M) []string { return h.shard(m).remove(m) }

// Join puts a member into a room. It reports whether that changed anything: false if it is in the room
// already, or was removed.
func (h *Hub[M]) Join(m M, room string) bool { return h.shard(m).join(m, room) }

// Leave takes a member out of a room and reports whether it was in it.
func (h *Hub[M]) Leave(m M, room string) bool { return h.shard(m).leave(m, room) }

// In says whether the member is in the room.
func (h *Hub[M]) In(m M, room string) bool {
	s := h.shard(m)
	s.mu.RLock()
	defer s.mu.RUnlock()
	e := s.entry(m)
	return e != nil && e.in(room)
}

// Rooms lists the rooms of a member, in no order.
func (h *Hub[M]) Rooms(m M) []string {
	s := h.shard(m)
	s.mu.RLock()
	defer s.mu.RUnlock()
	e := s.entry(m)
	if e == nil {
		return nil
	}
	return e.list()
}

// Namespaces lists the namespaces that have members, sorted.
func (h *Hub[M]) Namespaces() []string {
	var all []string
	for _, s := range h.shards {
		s.mu.RLock()
		all = slices.AppendSeq(all, maps.Keys(s.spaces))
		s.mu.RUnlock()
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Len counts the members of all namespaces.
func (h *Hub[M]) Len() int {
	n := 0
	for _, s := range h.shards {
		s.mu.RLock()
		for _, sp := range s.spaces {
			n += len(sp.members)
		}
		s.mu.RUnlock()
	}
	return n
}

func (h *Hub[M]) shard(m M) *shard[M] {
	return h.shards[maphash.String(h.seed, m.ID())%uint64(len(h.shards))]
}

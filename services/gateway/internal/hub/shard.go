package hub

import "sync"

// shard is one worker's share of the members.
type shard[M Member] struct {
	jobs    chan job[M]
	scratch []M // the worker's own

	mu     sync.RWMutex // guards what follows; held for look-ups and changes, never while a delivery runs
	spaces map[string]*space[M]
}

// space is a namespace's part in a shard. It is there as long as it has members.
type space[M Member] struct {
	members map[string]*entry[M] // by id
	rooms   map[string]map[*entry[M]]struct{}
}

type entry[M Member] struct {
	member M
	rooms  map[string]struct{}
}

// job is a delivery, or a barrier.
type job[M Member] struct {
	sel     Selection
	fn      func(M)
	barrier *sync.WaitGroup
}

func (s *shard[M]) work() {
	for j := range s.jobs {
		if j.barrier != nil {
			j.barrier.Done()
			continue
		}
		s.scratch = s.match(j.sel, s.scratch[:0])
		for _, m := range s.scratch {
			j.fn(m)
		}
		clear(s.scratch)
	}
}

// match appends the members that are meant to dst.
func (s *shard[M]) match(sel Selection, dst []M) []M {
	s.mu.RLock()
	defer s.mu.RUnlock()
	sp := s.spaces[sel.Namespace]
	if sp == nil {
		return dst
	}
	if len(sel.Rooms) == 0 {
		for _, e := range sp.members {
			if !e.inAny(sel.Except) {
				dst = append(dst, e.member)
			}
		}
		return dst
	}
	for i, room := range sel.Rooms {
		// A member of several of the rooms is taken with the first.
		earlier := sel.Rooms[:i]
		if e := sp.members[room]; e != nil && !e.inAny(earlier) && !e.inAny(sel.Except) {
			dst = append(dst, e.member)
		}
		for e := range sp.rooms[room] {
			if !e.inAny(earlier) && !e.inAny(sel.Except) {
				dst = append(dst, e.member)
			}
		}
	}
	return dst
}

func (s *shard[M]) has(namespace string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.spaces[namespace] != nil
}

func (s *shard[M]) replace(m M, over func(old M) bool) (old M, rooms []string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sp := s.spaces[m.Namespace()]
	if sp == nil {
		sp = &space[M]{members: make(map[string]*entry[M]), rooms: make(map[string]map[*entry[M]]struct{})}
		s.spaces[m.Namespace()] = sp
	}
	if e := sp.members[m.ID()]; e != nil {
		old = e.member
		if over != nil && !over(old) {
			return old, nil, false
		}
		rooms = e.list()
		for _, room := range rooms {
			sp.drop(e, room)
		}
	}
	sp.members[m.ID()] = &entry[M]{member: m, rooms: make(map[string]struct{})}
	return old, rooms, true
}

func (s *shard[M]) remove(m M) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entry(m)
	if e == nil {
		return nil
	}
	sp := s.spaces[m.Namespace()]
	rooms := e.list()
	for _, room := range rooms {
		sp.drop(e, room)
	}
	delete(sp.members, m.ID())
	if len(sp.members) == 0 {
		delete(s.spaces, m.Namespace())
	}
	return rooms
}

func (s *shard[M]) join(m M, room string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entry(m)
	if e == nil || e.inRoom(room) {
		return false
	}
	sp := s.spaces[m.Namespace()]
	if sp.rooms[room] == nil {
		sp.rooms[room] = make(map[*entry[M]]struct{})
	}
	sp.rooms[room][e] = struct{}{}
	e.rooms[room] = struct{}{}
	return true
}

func (s *shard[M]) leave(m M, room string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entry(m)
	if e == nil || !e.inRoom(room) {
		return false
	}
	s.spaces[m.Namespace()].drop(e, room)
	delete(e.rooms, room)
	return true
}

// entry finds a member; the lock is held.
func (s *shard[M]) entry(m M) *entry[M] {
	if sp := s.spaces[m.Namespace()]; sp != nil {
		if e := sp.members[m.ID()]; e != nil && e.member == m {
			return e
		}
	}
	return nil
}

func (sp *space[M]) drop(e *entry[M], room string) {
	delete(sp.rooms[room], e)
	if len(sp.rooms[room]) == 0 {
		delete(sp.rooms, room)
	}
}

func (e *entry[M]) inRoom(room string) bool {
	_, ok := e.rooms[room]
	return ok
}

// in says whether the name means this member: one of its rooms, or its id.
func (e *entry[M]) in(name string) bool { return e.inRoom(name) || e.member.ID() == name }

func (e *entry[M]) inAny(names []string) bool {
	for _, name := range names {
		if e.in(name) {
			return true
		}
	}
	return false
}

func (e *entry[M]) list() []string {
	rooms := make([]string, 0, len(e.rooms))
	for room := range e.rooms {
		rooms = append(rooms, room)
	}
	return rooms
}

package session

import (
	"errors"
	"math/rand/v2"
	"time"
)

// writes are those of a socket's session, one at a time, each of what is true when it begins. One that fails is made
// again until it succeeds or the socket ends: a client that goes on must be in all its rooms, and nothing else would tell
// where it is once the stream has forgotten the orders of services. Guarded by the socket's mu.
type writes struct {
	busy     bool          // a write is under way, or waits after one that failed
	dirty    bool          // something has changed since the last one began
	again    *time.Timer   // begins the next one after one that failed; nil: none waits
	pause    time.Duration // before it
	underway []func(error) // hear how the one under way ends
	next     []func(error) // hear how the next one ends
}

// Between a write that failed and the next one, which would fail as well while the bucket has no leader.
const minPause, maxPause = 250 * time.Millisecond, 8 * time.Second

// keep stores the socket's session as it is now; done, if not nil, is called once when it is stored, or with an
// error if that failed for the first time. Several changes at a time are stored together.
func (s *Socket) keep(done func(error)) {
	s.mu.Lock()
	if s.kept.claim.PID == "" {
		err := s.kept.forgone()
		s.mu.Unlock()
		if done != nil {
			done(err)
		}
		return
	}
	w := &s.kept.writes
	if done != nil {
		w.next = append(w.next, done)
	}
	w.dirty = true
	begin := !w.busy
	if w.again != nil && s.kept.fate != Here { // whoever keeps ends of sockets waits for nothing
		begin = w.again.Stop()
	}
	w.busy = true
	s.mu.Unlock()
	if begin {
		s.write()
	}
}

// settled calls done once what was to be stored until now is: at once, if it is already; with an error if it could not be
// this time.
func (s *Socket) settled(done func(error)) {
	s.mu.Lock()
	w := &s.kept.writes
	switch {
	case s.kept.claim.PID == "" || !w.busy:
		err := s.kept.forgone()
		s.mu.Unlock()
		done(err)
		return
	case w.dirty:
		w.next = append(w.next, done)
	default:
		w.underway = append(w.underway, done)
	}
	s.mu.Unlock()
}

// forgone is what becomes of changes that are not to be stored: those of a socket that has moved on do not hold.
func (k *kept) forgone() error {
	if k.moved {
		return ErrClaimed
	}
	return nil
}

// write begins a write.
func (s *Socket) write() {
	s.mu.Lock()
	w := &s.kept.writes
	w.again = nil
	if s.kept.claim.PID == "" { // another gateway has taken it over meanwhile
		told := w.next
		*w = writes{}
		s.mu.Unlock()
		tell(told, ErrClaimed)
		return
	}
	w.dirty = false
	w.underway, w.next = w.next, nil
	claim, fate, saved := s.kept.claim, s.kept.fate, s.saved()
	s.kept.stored = nil
	if s.found != nil && s.state == entering {
		s.kept.stored = encode(saved)
	}
	s.mu.Unlock()
	s.client.srv.backend.Keep(claim, saved, fate, func(revision uint64, err error) { s.written(fate, revision, err) })
}

// written notes how a write ended, and begins the next one if that is needed.
func (s *Socket) written(fate Fate, revision uint64, err error) {
	s.mu.Lock()
	w := &s.kept.writes
	told := w.underway
	w.underway = nil
	claimed := errors.Is(err, ErrClaimed)
	if errors.Is(err, ErrUnstorable) && fate != Ended {
		s.giveUp(told) // unlocks
		return
	}
	switch {
	case err == nil:
		s.kept.claim.Revision = revision
		w.pause = 0
		if fate == Ended { // nothing is to be stored any more
			told = append(told, w.next...)
			*w = writes{}
			s.kept.claim.PID = ""
		}
	case claimed:
		told = append(told, w.next...)
		*w = writes{}
		s.kept.moved, s.kept.claim.PID = true, ""
	case fate == Here || s.state == connected: // else the backend sees to it
		w.dirty = true
		w.pause = min(max(minPause, 2*w.pause), maxPause)
	}
	next := w.dirty
	w.busy = next
	if next && err != nil && (s.kept.fate == Here || s.state == connected) {
		next = false
		w.again = time.AfterFunc(w.pause/2+rand.N(w.pause), s.write) // not all sockets at once
	}
	s.mu.Unlock()
	tell(told, err)
	switch {
	case claimed:
		s.MovedOn()
	case err != nil:
		s.client.srv.often("a socket's session was not stored; until it is, its client may not be recovered as it is now", "socket", s.id, "namespace", s.namespace, "error", err)
	}
	if next {
		s.write()
	}
}

// giveUp makes a socket whose session cannot be stored one that is not recoverable: what was stored of it is ended, so that its
// client begins anew instead of going on as it was before. It is called with the socket's mu and unlocks it.
func (s *Socket) giveUp(told []func(error)) {
	w := &s.kept.writes
	w.next = append(told, w.next...)
	s.kept.fate = Ended
	gone := s.kept.claim.PID == ""
	s.mu.Unlock()
	if !gone {
		s.client.srv.often("a socket's session is larger than max_payload, by its rooms and data: its client cannot be recovered any more", "socket", s.id, "namespace", s.namespace)
	}
	s.write()
}

func tell(told []func(error), err error) {
	for _, done := range told {
		done(err)
	}
}

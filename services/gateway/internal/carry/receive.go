package carry

import "fmt"

// receive handles a frame from the peer.
func (s *stream) receive(f frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// After its close the peer knows no such stream, and says so to what was on its way to it. What it sent
	// before is here, and still to be read.
	if s.closed || s.err != nil || s.gone {
		return
	}
	if s.epoch == 0 {
		s.epoch = f.epoch
	}
	if s.answer != nil {
		s.answer.Stop()
	}
	if s.epoch != f.epoch {
		s.failLocked(errUnknown, true)
		return
	}
	switch f.kind {
	case kindOpen, kindData:
		s.receiveData(f)
	case kindEnd, kindClose:
		if f.at != s.received {
			s.failLocked(fmt.Errorf("%w: %d bytes arrived of %d", errBroken, s.received, f.at), true)
			return
		}
		s.ended = true
		s.gone = f.kind == kindClose
	case kindReset:
		switch f.cause() {
		case causeUnknown:
			s.failLocked(errUnknown, false)
		case causeBusy:
			s.failLocked(errBusy, false)
		default:
			s.failLocked(errBroken, false)
		}
	case kindCredit:
		s.allowed = max(s.allowed, f.at)
	}
	s.change.Broadcast()
}

func (s *stream) receiveData(f frame) {
	switch {
	case s.ended || f.at != s.received:
		s.failLocked(fmt.Errorf("%w: got byte %d instead of %d", errBroken, f.at, s.received), true)
	case f.at+uint64(len(f.data)) > s.granted:
		s.failLocked(fmt.Errorf("%w: more than the window of %d bytes", errBroken, window), true)
	default:
		s.received += uint64(len(f.data))
		s.in.Write(f.data)
	}
}

package sdk

import "sync/atomic"

// Stats count what a server did since it was made.
type Stats struct {
	Events    uint64 // events and lifecycle events handed to handlers
	Acks      uint64 // answers sent to clients
	Failed    uint64 // handlers and middlewares that returned an error which is no refusal, or panicked
	Panics    uint64 // those that panicked
	Malformed uint64 // messages that could not be read
	Flooded   uint64 // events dropped because one socket had too many waiting
	Dropped   uint64 // events dropped because the whole backlog was full
	Abandoned uint64 // events dropped because Stop could wait no longer
}

type counters struct {
	events, acks, failed, panics, malformed, flooded, abandoned atomic.Uint64
}

// Stats is a snapshot of the counters.
func (s *Server) Stats() Stats {
	c := &s.stats
	stats := Stats{
		Events: c.events.Load(), Acks: c.acks.Load(), Failed: c.failed.Load(), Panics: c.panics.Load(),
		Malformed: c.malformed.Load(), Flooded: c.flooded.Load(), Abandoned: c.abandoned.Load(),
	}
	s.mu.Lock()
	r := s.run
	s.mu.Unlock()
	if r != nil {
		stats.Dropped = r.dropped()
	}
	return stats
}

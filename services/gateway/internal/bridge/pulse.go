package bridge

import (
	"context"
	"sync/atomic"
	"time"
)

// pulse tells whether this process stood still for longer than a lease: it was stopped, or its machine was. Then clients may have gone
// on elsewhere, while what they said here before that lies unread.
type pulse struct {
	lease time.Duration
	beat  atomic.Int64 // the last one, by the wall clock, in ns: others' clocks go on while a machine sleeps; 0: not running
	stood atomic.Int64 // what is older was there before the process stood still; 0: it has not lately
	until int64        // when others' claims must have been heard of again; of run
}

// pulseEvery is how often the pulse beats.
const pulseEvery = 100 * time.Millisecond

func (p *pulse) run(ctx context.Context) {
	tick := time.NewTicker(pulseEvery)
	defer tick.Stop()
	for {
		p.tick(time.Now())
		select {
		case <-ctx.Done():
			p.beat.Store(0)
			return
		case <-tick.C:
		}
	}
}

func (p *pulse) tick(at time.Time) {
	now, lease, beat := at.UnixNano(), int64(p.lease), p.beat.Load()
	switch {
	case beat > 0 && now-beat > lease:
		p.stood.Store(beat + lease) // before the beat, which hides the gap
		p.until = now + lease
	case now > p.until:
		p.stood.Store(0)
	}
	p.beat.Store(now)
}

// slept says whether the process has stood still, lately, since a moment.
func (p *pulse) slept(since, now time.Time) bool {
	beat, lease, at := p.beat.Load(), int64(p.lease), since.UnixNano()
	if beat > 0 && now.UnixNano()-beat > lease && at < beat+lease { // who asks runs again before the pulse does
		return true
	}
	stood := p.stood.Load()
	return stood > 0 && at < stood
}

// Slept says whether this process has stood still since a moment, for so long that others may have taken over what it had then.
func (b *Bridge) Slept(since time.Time) bool { return b.pulse.slept(since, time.Now()) }

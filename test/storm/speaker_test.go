package storm

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
)

// speakers is how many publishers there are. A room is one publisher's, so that its numbers are stored in order.
const speakers = 4

// latencies are those of publishes, in phases: from when a message was due until its PubAck, so that a publish that
// hangs counts for all that wait behind it.
type latencies struct {
	mu     sync.Mutex
	phase  string
	all    map[string][]time.Duration
	failed int
}

func (l *latencies) begin(phase string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.phase = phase
}

func (l *latencies) add(d time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.failed++
		return
	}
	if l.all == nil {
		l.all = make(map[string][]time.Duration)
	}
	l.all[l.phase] = append(l.all[l.phase], d)
}

// quantiles describes a phase.
func (l *latencies) quantiles(phase string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return quantiles(l.all[phase])
}

func quantiles(all []time.Duration) string {
	if len(all) == 0 {
		return "none"
	}
	all = slices.Sorted(slices.Values(all))
	at := func(q float64) time.Duration { return all[int(q*float64(len(all)-1))].Round(10 * time.Microsecond) }
	return fmt.Sprintf("p50 %v  p99 %v  max %v  (%d)", at(0.5), at(0.99), at(1), len(all))
}

// speaker says numbers to its rooms in turn.
type speaker struct {
	js    jetstream.JetStream
	rooms []string
	every time.Duration
	took  *latencies

	said map[string]int // the last number that was stored; others may read it when run has returned
}

func (s *speaker) run(ctx context.Context) {
	s.said = make(map[string]int)
	if len(s.rooms) == 0 {
		return
	}
	start := time.Now()
	for i := 0; ctx.Err() == nil; i++ {
		due := start.Add(time.Duration(i) * s.every)
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(due)):
		}
		room := s.rooms[i%len(s.rooms)]
		subject, err := contract.Subjects{}.To(contract.Emit, "/", contract.To(room))
		if err != nil {
			panic(err) // our own names
		}
		n := s.said[room] + 1
		_, err = s.js.Publish(context.WithoutCancel(ctx), subject, fmt.Appendf(nil, `["n",%q,%d]`, room, n), jetstream.WithMsgID(fmt.Sprintf("%s %d", room, n)))
		s.took.add(time.Since(due), err)
		if err == nil {
			s.said[room] = n
		}
	}
}

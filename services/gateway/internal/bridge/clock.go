package bridge

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// clock tells the time of NATS, as far as it is known how much this machine's differs: what gateways store for each other, and compare with
// when NATS has stored something, is by that one clock.
type clock struct {
	local func() time.Time

	mu    sync.Mutex
	ahead time.Duration // NATS's, of the local one
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.local().Add(c.ahead)
}

// compare sets the clock by what NATS said between two moments of the local one, no more than that proves.
func (c *clock) compare(said, began, ended time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead = min(max(c.ahead, said.Sub(ended)), said.Sub(began))
}

// status is what the leader says of the bucket; the clock is set by when it says so.
func (s *sessions) status(ctx context.Context, kv jetstream.KeyValue) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, findTimeout)
	defer cancel()
	began := s.clock.local()
	status, err := kv.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("the bucket of sessions: %w", err)
	}
	ended := s.clock.local()
	bucket, ok := status.(*jetstream.KeyValueBucketStatus)
	if !ok {
		return nil, fmt.Errorf("the bucket of sessions: not a bucket: %T", status)
	}
	info := bucket.StreamInfo()
	if !info.TimeStamp.IsZero() {
		s.clock.compare(info.TimeStamp, began, ended)
	}
	return info, nil
}

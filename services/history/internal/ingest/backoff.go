package ingest

import (
	"context"
	"time"
)

// backoff doubles a delay up to a limit.
type backoff struct{ first, last, now time.Duration }

func newBackoff(first, last time.Duration) *backoff {
	return &backoff{first: first, last: last, now: first}
}

func (b *backoff) next() time.Duration {
	d := b.now
	b.now = min(2*b.now, b.last)
	return d
}

func (b *backoff) reset() { b.now = b.first }

// sleep says false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

package bridge

import (
	"context"
	"time"

	"github.com/natter-io/natter/pkg/contract"
)

const sweepEvery = 2 * time.Second

// sweep looks now and then whether the stream has more than was heard. What is still missing at the second look is
// not merely under way.
func (b *Bridge) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	anchor := time.NewTicker(b.opts.StreamAge / 3)
	defer anchor.Stop()
	s := sweeper{bridge: b}
	for {
		select {
		case <-ctx.Done():
			return
		case <-anchor.C:
			if err := b.tail.anchor(ctx, b.js); err != nil {
				b.opts.Log.Debug("the anchor was not stored", "error", err)
			}
		case <-tick.C:
			b.widen(ctx)
			s.look(ctx)
		}
	}
}

// widen has the chains of patterns begin, whose subscriptions are there for as long as the pattern is.
func (b *Bridge) widen(ctx context.Context) {
	for _, pattern := range b.spaces.patternNames() {
		token, err := contract.EncodeNamespace(pattern)
		if err != nil || b.rooms.isWide(token) {
			continue
		}
		last, err := b.fence.wait(ctx)
		if err != nil {
			return
		}
		b.rooms.widen(token, last)
	}
}

// sweeper looks at each part of the stream once.
type sweeper struct {
	bridge *Bridge
	epoch  string
	seen   uint64            // the stream was looked at up to here
	late   map[string]uint64 // by subject: what was stored and not heard at the last look
}

func (s *sweeper) look(ctx context.Context) {
	b := s.bridge
	epoch := b.epoch.get()
	if epoch == "" {
		return
	}
	if epoch != s.epoch {
		s.epoch, s.seen, s.late = epoch, b.rooms.start(), nil
	}
	for subject, sequence := range s.late {
		if b.unheard(subject, sequence) {
			b.suspect("sweep")
			break
		}
	}
	s.late = nil
	last, err := b.fence.wait(ctx)
	if err == nil {
		s.late, err = b.missing(ctx, s.seen, last)
	}
	if err != nil {
		b.opts.Log.Debug("looking for missed messages", "error", err)
		return
	}
	s.seen = last
}

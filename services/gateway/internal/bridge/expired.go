package bridge

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/services/gateway/internal/hub"
	"github.com/natter-io/natter/services/gateway/internal/session"
)

// The stream drops what is older than it keeps, read or not. A gateway that was cut off for longer than that cannot know what its
// clients have missed, and would hand on what came later as if that were all.

// expired says whether the stream has dropped what was stored after all that is known of it, which may not have been heard then.
func expired(epoch string, info *jetstream.StreamInfo, known ...sight) bool {
	var last uint64
	for _, n := range known {
		if n.epoch == epoch {
			last = max(last, n.sequence)
		}
	}
	return last > 0 && info.State.FirstSeq > last+1
}

// forgotten says whether the stream may have dropped what was stored after a sequence for a client of which it is not known that it
// has heard anything since a time. For a window, and what it takes to notice that a client is gone, nothing is dropped.
func (b *Bridge) forgotten(ctx context.Context, after uint64, since time.Time) (bool, error) {
	if b.sessions.clock.now().Sub(since) <= b.opts.Window {
		return false, nil
	}
	stream, err := b.js.Stream(ctx, b.opts.Subjects.Names().Stream)
	if err != nil {
		return false, fmt.Errorf("%w: how far back the stream goes: %w", session.ErrUnavailable, err)
	}
	return stream.CachedInfo().State.FirstSeq > after+1, nil
}

// startAfresh has all clients start afresh, who then ask history for what they have missed.
func (b *Bridge) startAfresh() {
	b.opts.Log.Warn("the stream has dropped messages that this gateway may not have heard, since it was cut off for longer than they are kept; its clients start afresh",
		"stream", b.opts.Subjects.Names().Stream, "kept", b.opts.StreamAge)
	b.opts.Metrics.Dropped("expired unheard")
	b.sessions.endUnkept()
	for _, namespace := range b.hub.Namespaces() {
		b.hub.Each(hub.Selection{Namespace: namespace}, (*session.Socket).StartAfresh)
	}
}

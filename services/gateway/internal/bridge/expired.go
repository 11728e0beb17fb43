package bridge

import (
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

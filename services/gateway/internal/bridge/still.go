package bridge

import (
	"context"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/kit/provision"
)

// still is how copying stands still: posts wait for their copies, and none is made.
type still struct {
	at      uint64    // the last sequence of the posts stream
	since   time.Time // since when it is that; zero if nothing waits
	resumed time.Time // when this gateway had the copying set up anew
}

// see takes note of a look at the posts stream, and says for how long nothing was copied though something waits.
func (s *still) see(posts *jetstream.StreamInfo, lag time.Duration) time.Duration {
	switch last := posts.State.LastSeq; {
	case lag == 0:
		s.since = time.Time{}
		return 0
	case s.since.IsZero() || s.at != last:
		s.at, s.since = last, time.Now()
		return 0
	}
	return time.Since(s.since)
}

// resume has JetStream set up the copying anew where it has come to a standstill that does not end by itself. The posts stream
// has a leader, or it could not have been looked at. A leader gets time to begin, so that several gateways do not depose
// one after the other.
func (c *copies) resume(ctx context.Context, posts *jetstream.StreamInfo, lag time.Duration) {
	stood := c.still.see(posts, lag)
	if stood < c.late || time.Since(c.still.resumed) < 2*c.late {
		return
	}
	patient, dead := stood < 3*c.late, silent(posts)
	if posts.Config.Replicas > 1 {
		// What is not silent is as a rule what cannot be stored for want of room.
		if leads(posts) < 2*c.late || !dead && (patient || !c.stored().After(c.still.since)) {
			return
		}
	} else if !dead || patient { // JetStream itself tries anew what has been silent for 10 s
		return
	}
	// Whatever makes the main stream say nothing, it is not the copying if that has no leader.
	if _, err := c.js.Stream(ctx, c.opts.Subjects.Names().Stream); err != nil {
		return
	}
	c.still.resumed = time.Now()
	args := []any{"stream", posts.Config.Name, "for", stood.Round(time.Millisecond)}
	err := provision.Resume(ctx, c.js, posts.Config.Name)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		c.opts.Log.Warn("posts are not copied for history though their stream has a leader, and JetStream does not set up the copying anew", append(args, "error", err)...)
	default:
		c.opts.Log.Warn("posts were not copied for history though their stream has a leader; JetStream was told to set up the copying anew", args...)
	}
}

// sourceSilence is longer than it takes to the next heartbeat, a second, and than JetStream waits before it begins anew
// with what it could not store, 2 s and a little.
const sourceSilence = 5 * time.Second

// silent says whether the main stream has not been heard of by the posts stream for a while.
func silent(posts *jetstream.StreamInfo) bool {
	return !slices.ContainsFunc(posts.Sources, func(s *jetstream.StreamSourceInfo) bool { return s.Active >= 0 && s.Active < sourceSilence })
}

// leads is for how long a stream has had its leader, by JetStream's clock.
func leads(info *jetstream.StreamInfo) time.Duration {
	if info.Cluster == nil || info.Cluster.LeaderSince == nil {
		return 0
	}
	return info.TimeStamp.Sub(*info.Cluster.LeaderSince)
}

// remedy is what ends it that posts are not copied.
func (c *copies) remedy(posts *jetstream.StreamInfo) string {
	name := c.opts.Subjects.Names().Posts
	switch {
	case posts == nil:
		return "bring back the nats-server that has the stream, or most of those that have copies of it: nats stream info " + name
	case !silent(posts):
		return "give JetStream room: the limit of its account, or the disk; nats account info"
	case posts.Config.Replicas > 1:
		return "nats stream cluster step-down " + name
	default:
		return "start the nats-server again that has the stream: nats stream info " + name
	}
}

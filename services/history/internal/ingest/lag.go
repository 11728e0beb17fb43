package ingest

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"
)

// copying is how JetStream gets on with copying posts into their stream, between two looks.
type copying struct {
	behind uint64 // messages of the main stream that are not copied
	last   uint64 // sequence of the last copy
	told   bool
}

// watchLag measures what is waiting, also while nothing can be stored.
func (in *Ingester) watchLag(ctx context.Context) {
	names := in.Subjects.Names()
	var c copying
	for sleep(ctx, lagEvery) {
		stream, err := in.js.Stream(ctx, names.Posts)
		if err != nil {
			continue
		}
		info := stream.CachedInfo()
		in.copied(&c, info)
		if consumer, err := stream.Consumer(ctx, names.HistoryPosts); err == nil {
			i := consumer.CachedInfo()
			in.lag.Store(int64(c.behind) + int64(i.NumPending) + int64(i.NumAckPending))
			in.Metrics.lag.Set(float64(in.Lag()))
		}
	}
}

// copied looks at what is not even in the posts stream yet, and says so when nothing was copied since the last look.
func (in *Ingester) copied(c *copying, info *jetstream.StreamInfo) {
	was := *c
	c.behind, c.last = 0, info.State.LastSeq
	for _, source := range info.Sources {
		c.behind += source.Lag
	}
	in.Metrics.copyLag.Set(float64(c.behind))
	switch stuck := was.behind > 0 && c.behind > 0 && c.last == was.last; {
	case stuck && !c.told:
		c.told = true
		in.Log.Warn("posts are not copied into their stream, so history does not hear of them: give JetStream room (the limit of its account or disk)",
			"stream", info.Config.Name, "waiting", c.behind)
	case c.behind == 0 && c.told:
		c.told = false
		in.Log.Info("posts are copied into their stream again", "stream", info.Config.Name)
	}
}

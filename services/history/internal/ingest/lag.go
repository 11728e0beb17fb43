package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/copying"
	"github.com/natter-io/natter/services/history/internal/queue"
	"github.com/natter-io/natter/services/history/internal/record"
)

// copyLate is from when on it is said that posts are not copied into their stream.
const copyLate = 10 * time.Second

// Last is the id of what the main stream stored last, whatever that is; the zero one if there is no stream.
func (in *Ingester) Last(ctx context.Context) (record.ID, error) {
	info, err := in.main(ctx)
	if err != nil || info == nil {
		return record.ID{}, err
	}
	return record.ParseID(contract.MessageID(contract.IncarnationOf(info.Created, info.Config.Metadata).Epoch, info.State.LastSeq))
}

// Newest is when the main stream stored something last, by NATS's clock; the zero time if it never has.
func (in *Ingester) Newest(ctx context.Context) (time.Time, error) {
	info, err := in.main(ctx)
	if err != nil || info == nil {
		return time.Time{}, err
	}
	return info.State.LastTime, nil
}

// main looks at the main stream; nil if there is none.
func (in *Ingester) main(ctx context.Context) (*jetstream.StreamInfo, error) {
	name := in.Subjects.Names().Stream
	stream, err := in.js.Stream(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, nil //nolint:nilnil // said above
	}
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", name, err)
	}
	return stream.CachedInfo(), nil
}

// WatchLag measures what is waiting until ctx ends, also while nothing can be stored. It returns nil.
func (in *Ingester) WatchLag(ctx context.Context) error {
	names := in.Subjects.Names()
	watch := copying.New(in.nc, in.Subjects)
	late := false
	for sleep(ctx, lagEvery) {
		stream, err := in.js.Stream(ctx, names.Posts)
		if err != nil {
			continue
		}
		behind, lag := in.behind(ctx, watch, stream.CachedInfo())
		late = in.copied(late, behind, lag)
		if consumer, err := stream.Consumer(ctx, names.HistoryPosts); err == nil {
			i := consumer.CachedInfo()
			in.lag.Store(int64(behind) + int64(i.NumPending) + int64(i.NumAckPending))
			in.Metrics.lag.Set(float64(in.Lag()))
			if in.working.Load() { // not before the queue has gone back to where the database is
				in.note(ctx, stream.CachedInfo(), i)
			}
		}
	}
	return nil
}

// note notes how far the queue is, and has it go back if the database did. It does not wait for a database that hangs.
func (in *Ingester) note(ctx context.Context, posts *jetstream.StreamInfo, consumer *jetstream.ConsumerInfo) {
	ctx, cancel := context.WithTimeout(ctx, directWait)
	defer cancel()
	err := in.floor.Note(ctx, in.store, posts, consumer)
	if errors.Is(err, queue.ErrWentBack) {
		select {
		case in.back <- struct{}{}:
		default:
		}
	}
	if err != nil {
		in.Log.Debug("cannot note how far the queue is", "error", err)
	}
}

// behind is how many posts are not copied into their stream, and for how long the oldest has waited. If that cannot be found out
// JetStream's own figure has to do, which may be too low.
func (in *Ingester) behind(ctx context.Context, watch *copying.Watch, posts *jetstream.StreamInfo) (uint64, time.Duration) {
	known := copying.Behind(posts)
	ctx, cancel := context.WithTimeout(ctx, directWait)
	defer cancel()
	main, err := in.js.Stream(ctx, in.Subjects.Names().Stream)
	if err != nil {
		return known, 0
	}
	behind, lag, err := watch.Lag(ctx, main.CachedInfo().Created, posts)
	if err != nil {
		in.Log.Debug("cannot tell for how long posts have waited for their copy", "error", err)
		return known, 0
	}
	return behind, lag
}

// copied notes what is not even in the posts stream yet, and says so when that goes on. It returns whether it was said.
func (in *Ingester) copied(late bool, behind uint64, lag time.Duration) bool {
	in.Metrics.copyLag.Set(float64(behind))
	switch {
	case lag > copyLate && !late:
		in.Log.Warn("posts are not copied into their stream, so history does not hear of them: the log of the gateways says what to do",
			"stream", in.Subjects.Names().Posts, "waiting", behind, "for", lag.Round(time.Millisecond))
		return true
	case lag == 0 && late:
		in.Log.Info("posts are copied into their stream again", "stream", in.Subjects.Names().Posts)
		return false
	}
	return late
}

package ingest

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/kit/provision"
	"github.com/natter-io/natter/services/history/internal/queue"
)

// awaitMain waits until the main stream exists. JetStream tries a source that is missing only every ten
// seconds, so the posts stream had better be made after it; there is nothing to ingest before.
func (in *Ingester) awaitMain(ctx context.Context) error {
	for told := false; ; {
		if _, err := in.js.Stream(ctx, in.Subjects.Names().Posts); err == nil {
			if err := in.epoch.look(ctx, false); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
				return err
			}
			return nil // made in an earlier run: there may be posts in it
		}
		err := in.epoch.look(ctx, false)
		if err == nil || !errors.Is(err, jetstream.ErrStreamNotFound) {
			return err
		}
		if !told {
			in.Log.Info("waiting for the main stream, which a gateway makes", "stream", in.Subjects.Names().Stream)
			told = true
		}
		if !sleep(ctx, mainMissing) {
			return ctx.Err()
		}
	}
}

// takeOver gives the posts stream the age and size of the settings, which may be less than what gateways gave it, as soon as
// nothing waits in it that would be dropped for that.
func (in *Ingester) takeOver(ctx context.Context, c jetstream.Consumer) (owned bool, err error) {
	info, err := c.Info(ctx)
	if err != nil || info.NumPending > 0 || info.NumAckPending > 0 {
		return false, err
	}
	_, err = provision.Posts(ctx, in.js, in.Subjects, in.Age, in.Storage)
	return err == nil, err
}

func (in *Ingester) consumer(ctx context.Context) (jetstream.Consumer, error) {
	age := in.Age
	stream, err := in.js.Stream(ctx, in.Subjects.Names().Posts)
	if err == nil && provision.Unowned(stream.CachedInfo().Config) {
		age = 0 // what waits in it first
	}
	if stream, err = provision.Posts(ctx, in.js, in.Subjects, age, in.Storage); err != nil {
		return nil, err
	}
	return queue.Consumer(ctx, in.js, stream, jetstream.ConsumerConfig{
		Durable:       in.Subjects.Names().HistoryPosts,
		Description:   "Posts that are not in the history database yet.",
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       in.AckWait,
		MaxDeliver:    -1,
		MaxAckPending: instances * in.Batch,
	}, in.store, &in.floor, in.Log)
}

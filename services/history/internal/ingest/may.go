package ingest

import (
	"context"
	"errors"
	"time"

	"github.com/natter-io/natter/services/history/internal/queue"
)

// mayStore waits until the facts are known.
func (in *Ingester) mayStore(ctx context.Context) error {
	if in.Facts == nil {
		return nil
	}
	in.stands(errFacts)
	return in.Facts(ctx)
}

// errFacts is why nothing is stored before that.
var errFacts = errors.New("the facts of what was taken out of history are not all known yet")

// isOurs asks whose the queue is, unless that was asked just now.
func (in *Ingester) isOurs(ctx context.Context) error {
	if time.Since(in.asked) <= askOwner {
		return nil
	}
	if err := queue.Check(ctx, in.queue, in.store.ID()); err != nil {
		return err
	}
	in.asked = time.Now()
	return nil
}

// mayEnd asks whose the queue is if the database has taken its time. Who has taken it over may have the same posts in its hands, and
// would lose them if they were acknowledged here and it was killed.
func (in *Ingester) mayEnd(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeWait)
	defer cancel()
	return in.isOurs(ctx)
}

package ingest

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	forgetEvery = time.Hour
	forgetAfter = 24 * time.Hour
)

// forgetDeletions takes out what is remembered of the deletions of messages that have not come and never will: those that are older by a day than all
// that the streams have, while nothing waits to be stored. Most are of messages that were swept, or that had gone from the streams when a
// database was filled anew.
func (in *Ingester) forgetDeletions(ctx context.Context) error {
	in.forget = time.Now().Add(askMain)
	ctx, cancel := context.WithTimeout(ctx, storeWait)
	defer cancel()
	oldest := time.Now()
	for _, name := range []string{in.Subjects.Names().Stream, in.Subjects.Names().Posts} { // in the order in which posts go
		stream, err := in.js.Stream(ctx, name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if state := stream.CachedInfo().State; state.Msgs > 0 && state.FirstTime.Before(oldest) {
			oldest = state.FirstTime
		}
	}
	info, err := in.queue.Info(ctx)
	if err != nil || info.NumPending > 0 || info.NumAckPending > 0 {
		return err
	}
	forgotten, err := in.store.Forget(ctx, oldest.Add(-forgetAfter))
	if err != nil {
		return err
	}
	if forgotten > 0 {
		in.Log.Debug("forgot deletions of messages that never come", "deletions", forgotten)
	}
	in.forget = time.Now().Add(forgetEvery)
	return nil
}

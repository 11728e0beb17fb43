package historyd

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/run"
	"github.com/natter-io/natter/services/history/internal/queue"
)

const (
	// claimRetry is the time between two looks at whose the queues are.
	claimRetry = 2 * time.Second
	// leaderWait is how long JetStream may leave questions unanswered before that is an error: a cluster that starts elects
	// a leader first, then one for each stream.
	leaderWait = 30 * time.Second
)

// owner has the service work only while the queues of posts and of facts are its database's: with another one it would
// answer for what it does not have.
type owner struct {
	js       jetstream.JetStream
	names    contract.Names
	database string
	claim    func(context.Context) error // takes the queue of facts, if that is nobody's
	log      *slog.Logger

	problem atomic.Pointer[error] // why the service does not work; nil if it does
}

var errOwnerUnknown = errors.New("whose queue it is is not known yet")

func (o *owner) check(context.Context) error {
	if err := o.problem.Load(); err != nil {
		return *err
	}
	return nil
}

func (o *owner) stands(err error) { o.problem.Store(&err) }

// run calls work whenever the queues are, or have become, this database's, until ctx ends or work fails for another
// reason than that they are not any more.
func (o *owner) run(ctx context.Context, work func(context.Context) error) error {
	for {
		if !o.await(ctx) {
			return nil
		}
		err := work(ctx)
		if !errors.Is(err, queue.ErrOtherDatabase) || errors.Is(err, run.ErrStopTimeout) {
			return err
		}
		o.stands(err)
		o.log.Error("history stops: its queue has become another database's", "error", err)
	}
}

// await waits for the queues; false if ctx ended first. Nothing is taken before neither of them is another's, so that two
// databases do not come to have one each.
func (o *owner) await(ctx context.Context) bool {
	began := time.Now()
	for said := ""; ; {
		err := queue.Free(ctx, o.js, o.names.Posts, o.names.HistoryPosts, o.database)
		if err == nil {
			err = queue.Free(ctx, o.js, o.names.Events, o.names.HistoryEvents, o.database)
		}
		if err == nil {
			err = o.claim(ctx)
		}
		if ctx.Err() != nil {
			return false
		}
		if err == nil {
			o.problem.Store(nil)
			return true
		}
		o.stands(err)
		if unanswered(err) && time.Since(began) < leaderWait {
			if said == "" {
				said = "no leader"
				o.log.Warn("history waits for JetStream, which does not answer yet: a cluster that starts has no leader at first. If it is a single server, start nats-server with -js", "retry", claimRetry)
			}
		} else if text := err.Error(); text != said {
			said = text
			o.log.Error("history neither stores nor answers; posts wait in their stream", "error", err, "retry", claimRetry)
		}
		select {
		case <-time.After(claimRetry):
		case <-ctx.Done():
			return false
		}
	}
}

// unanswered says whether JetStream has not answered, or that it cannot now.
func unanswered(err error) bool {
	var answer *jetstream.APIError
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrNoResponders) || errors.Is(err, nats.ErrTimeout) ||
		errors.As(err, &answer) && answer.Code == 503
}

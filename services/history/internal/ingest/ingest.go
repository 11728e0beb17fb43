// Package ingest copies posts from their JetStream stream into a database: it pulls a batch, stores it in one
// transaction, and acknowledges it after the commit.
//
// It does not know which database that is. What it stores is never lost and never there twice: a batch that
// was stored but not acknowledged is delivered again and changes nothing, since a message's id is its key.
// For the same reason plain acks do, where JetStream does not confirm that it heard them: a lost ack costs
// a second delivery, nothing else.
package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/provision"
	"github.com/natter-io/natter/services/history/internal/queue"
	"github.com/natter-io/natter/services/history/internal/record"
)

// Store is what ingest needs of a database.
type Store interface {
	// Append stores messages in one transaction; those it has already change nothing. The error wraps
	// [record.ErrRefused] if trying again is in vain; it is a [record.TakenError] if other messages have their ids.
	Append(ctx context.Context, messages []record.Message) (stored, redacted int, err error)
	queue.Database
	// Ping says whether the database can be read.
	Ping(ctx context.Context) error
	// Incarnations and NoteIncarnation remember those of the main stream; Newest is the newest message of one.
	Incarnations(ctx context.Context, identity string) ([]record.Incarnation, error)
	NoteIncarnation(ctx context.Context, identity string, i record.Incarnation) error
	Newest(ctx context.Context, epoch int64) (record.Message, error)
	// Last is the newest message; the zero ID if there is none.
	Last(ctx context.Context) (record.ID, error)
	// Forget forgets the deletions from before then of messages that have not come.
	Forget(ctx context.Context, before time.Time) (forgotten int, err error)
}

// Options of an [Ingester].
type Options struct {
	Subjects contract.Subjects
	Batch    int           // most messages in one transaction
	Age      time.Duration // of the posts stream
	Storage  provision.Storage
	// AckWait is after how long JetStream delivers again what was neither stored nor refused, because the
	// service was killed; 30 s if 0.
	AckWait time.Duration
	// StoreWait bounds one attempt to store a batch; 10 s if 0.
	StoreWait time.Duration
	Log       *slog.Logger
	Metrics   *Metrics
	// Redacted is called when posts of users who are deleted already were stored. It must not block.
	Redacted func()
	// Facts waits until the database knows what was taken out of history; before that nothing may be stored. It may be nil.
	Facts func(context.Context) error
}

const (
	ackWait     = 30 * time.Second
	storeWait   = 10 * time.Second // the database's own lock timeout included
	reachWait   = 2 * time.Second
	firstRetry  = 250 * time.Millisecond
	lastRetry   = 5 * time.Second
	askMain     = 10 * time.Second // how often the main stream is looked at, for its incarnation
	askOwner    = time.Second      // how old the answer may be to whose queue it is
	mainMissing = 250 * time.Millisecond
	lagEvery    = 5 * time.Second
	renewTries  = 4 // of a batch that has several sequences which others have
	instances   = 8 // that may hold a full batch each at a time
)

// Ingester runs the loop. Make it with [New], call Run, and WatchLag beside it. Once Run has returned it may be called again.
type Ingester struct {
	Options
	nc    *nats.Conn
	js    jetstream.JetStream
	store Store
	epoch *epochs
	times *times

	lag     atomic.Int64
	working atomic.Bool           // the queue is this database's
	problem atomic.Pointer[error] // why nothing can be stored; nil if it can
	still   time.Time             // since when, if that was logged
	settled atomic.Pointer[record.ID]
	floor   queue.Floor
	back    chan struct{} // the database went back

	queue jetstream.Consumer // of this session
	asked time.Time          // when it was asked whose it is

	forget time.Time // when deletions are to be forgotten
}

// New returns an Ingester that works through nc.
func New(nc *nats.Conn, store Store, o Options) (*Ingester, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("ingest: %w", err)
	}
	if o.AckWait == 0 {
		o.AckWait = ackWait
	}
	if o.StoreWait == 0 {
		o.StoreWait = storeWait
	}
	name := o.Subjects.Names().Stream
	in := &Ingester{
		Options: o, nc: nc, js: js, store: store, back: make(chan struct{}, 1),
		epoch: &epochs{js: js, subjects: o.Subjects, storage: o.Storage, store: store, log: o.Log, back: o.Metrics.back.Inc},
		times: &times{nc: nc, stream: name, filter: o.Subjects.AllOf(contract.Post), log: o.Log},
	}
	in.lag.Store(-1)
	return in, nil
}

// Lag is how many posts wait to be stored, those included that are not in the posts stream yet, as of a few seconds ago; -1 if that is not known.
func (in *Ingester) Lag() int64 { return in.lag.Load() }

// Largest is the size of the largest message that the main stream takes, as of a few seconds ago; 0 if it has no limit.
func (in *Ingester) Largest() int { return max(0, int(in.epoch.largest.Load())) }

// Run ingests until ctx ends, or the queue is another database's ([queue.ErrOtherDatabase]); a batch that it has at the
// end of ctx is still stored. Whatever else fails is logged and tried again.
func (in *Ingester) Run(ctx context.Context) error {
	wait := newBackoff(firstRetry, lastRetry)
	for ctx.Err() == nil {
		err := in.session(ctx, wait)
		if ctx.Err() != nil {
			break
		}
		if errors.Is(err, queue.ErrOtherDatabase) {
			in.stands(err)
			return err
		}
		delay := wait.next()
		in.standsStill(err, delay)
		sleep(ctx, delay)
	}
	return nil
}

// session prepares stream and consumer and pulls until something fails.
func (in *Ingester) session(ctx context.Context, wait *backoff) error {
	if err := in.reach(ctx); err != nil { // what is taken now would have to be given back
		return err
	}
	if err := in.awaitMain(ctx); err != nil {
		return err
	}
	consumer, err := in.consumer(ctx)
	if err != nil {
		return err
	}
	select {
	case <-in.back: // it has
	default:
	}
	if err := in.mayStore(ctx); err != nil {
		return err
	}
	if err := in.epoch.look(ctx, true); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		in.Log.Warn("cannot look at the main stream", "error", err)
	}
	in.goesOn()
	in.working.Store(true)
	defer in.noteLast(context.WithoutCancel(ctx), consumer)
	defer in.working.Store(false)
	names := in.Subjects.Names()
	in.Log.Info("storing what is posted", "stream", names.Posts, "from", names.Stream, "waiting", consumer.CachedInfo().NumPending)
	looked := time.Now()
	in.queue, in.asked = consumer, time.Now()
	reconnects := in.nc.Stats().Reconnects
	owned, most := false, min(in.Batch, firstPull)
	for ctx.Err() == nil {
		select {
		case <-in.back:
			return queue.ErrWentBack
		default:
		}
		pulled := most
		msgs, err := queue.Pull(ctx, consumer, pulled)
		most = in.toPull(pulled, msgs)
		// Before the batch is taken: after a while without NATS the consumer may be another's of the same name.
		if ctx.Err() == nil {
			if err := in.isOurs(ctx); err != nil {
				in.giveBack(msgs)
				return err
			}
		}
		// NATS may have lost power meanwhile, and what comes now have sequences that were there before.
		if n := in.nc.Stats().Reconnects; n != reconnects && ctx.Err() == nil {
			if err := in.epoch.look(ctx, true); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
				in.giveBack(msgs)
				return err
			}
			reconnects = n
		}
		if len(msgs) > 0 {
			if err := in.batch(ctx, msgs); err != nil {
				return err
			}
			wait.reset()
		}
		if err != nil {
			return fmt.Errorf("pull: %w", err)
		}
		if !owned && len(msgs) < pulled {
			if owned, err = in.takeOver(ctx, consumer); err != nil {
				return err
			}
		}
		if time.Now().After(in.forget) {
			if err := in.forgetDeletions(ctx); err != nil && ctx.Err() == nil {
				in.Log.Warn("cannot forget deletions of messages that never come yet", "error", err)
			}
		}
		if time.Since(looked) > askMain {
			looked = time.Now()
			if err := in.epoch.look(ctx, false); err != nil && ctx.Err() == nil {
				in.Log.Warn("cannot look at the main stream", "error", err)
			}
		}
	}
	return nil
}

// noteLast notes how far the queue is at the end of a session, so that it need not go back at the next start. The last acks
// may be on their way.
func (in *Ingester) noteLast(ctx context.Context, c jetstream.Consumer) {
	limited, cancel := context.WithTimeout(ctx, directWait)
	defer cancel()
	stream, err := in.js.Stream(limited, in.Subjects.Names().Posts)
	for range 5 {
		if err == nil {
			err = queue.Check(limited, c, in.store.ID())
		}
		if err != nil || c.CachedInfo().NumAckPending == 0 {
			break
		}
		sleep(limited, directWait/20)
	}
	if err != nil {
		in.Log.Debug("cannot note how far the queue is", "error", err)
		return
	}
	in.note(ctx, stream.CachedInfo(), c.CachedInfo())
}

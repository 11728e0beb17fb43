package bridge

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/internal/session"
)

// The stream is the truth, live delivery its echo: JetStream republishes at most once. What was stored but not heard is
// found in four ways, and read back before anything that was stored after it is handed on, but in the last:
//
//   - a message names its predecessor on its subject, which was not heard: recall;
//   - nothing was heard for a while before a message, and others were stored meanwhile: silent, recall;
//   - something happened that may have cost messages, such as another leader of the stream: suspect, catchUp;
//   - nothing of that, and still the stream has more than was heard: sweep.

const (
	repairWait  = 50 * time.Millisecond // after the first failure
	repairLimit = 2 * time.Second       // between two
)

// electedSubject with the stream's name is where JetStream says that a stream has another leader. What the one
// before it had stored may never be republished.
const electedSubject = "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED."

func (b *Bridge) isElection(msg *nats.Msg) bool {
	return strings.HasPrefix(msg.Subject, electedSubject)
}

// suspect has the reader look for what was missed before it goes on.
func (b *Bridge) suspect(reason string) {
	b.opts.Metrics.Doubted(reason)
	b.doubt.Store(true)
	select {
	case b.doubted <- struct{}{}:
	default:
	}
}

// hearOfDrops suspects when the connection dropped messages since a queue was full. The result undoes it.
func (b *Bridge) hearOfDrops() func() {
	before := b.nc.ErrorHandler()
	b.nc.SetErrorHandler(func(nc *nats.Conn, sub *nats.Subscription, err error) {
		if errors.Is(err, nats.ErrSlowConsumer) {
			b.suspect("slow consumer")
		}
		if before != nil {
			before(nc, sub, err)
		}
	})
	return func() { b.nc.SetErrorHandler(before) }
}

// recall reads back what was stored after a sequence and before a message and was not heard, and puts it first in line, before
// the message. It says whether the message has to wait for that; else nothing is missing, and it may be handed on at once.
//
// While the stream cannot be read, delivery waits: a message that was handed on before one that was missed would have clients that
// come back pass over that.
func (b *Bridge) recall(ctx context.Context, epoch string, in incoming, s contract.Stored, after uint64, isGap bool) (waits bool) {
	missed, done := b.readMissed(ctx, epoch, after, s.Sequence-1, func(lasts map[string]uint64) {
		if !isGap && lasts[s.Subject] == s.Sequence {
			delete(lasts, s.Subject) // the message itself, and it follows on what was read
		}
	})
	if done && !isGap && len(missed) == 0 {
		return false
	}
	in.fetched = true // if it was not done, NATS was away, and what is missing is looked for before anything is handed on
	b.putFirst(missed, in)
	return true
}

// recallUpTo is recall before the place of acks that come after a sequence: what their handlers said may have been lost, and no
// message has come since that would tell.
func (b *Bridge) recallUpTo(ctx context.Context, epoch string, in incoming, upTo uint64) (waits bool) {
	after := max(b.beat.sequence, b.caught, b.rooms.start())
	if upTo <= after || time.Since(b.beat.heard) <= silence {
		return false
	}
	b.opts.Metrics.Doubted("silence")
	missed, done := b.readMissed(ctx, epoch, after, upTo, func(map[string]uint64) {})
	if done {
		b.beat.sequence = max(b.beat.sequence, upTo) // so it is not asked again; catchUp goes by what it has found itself
		if len(missed) == 0 {
			return false
		}
	}
	b.putFirst(missed, in)
	return true
}

// readMissed reads what was stored after a sequence, up to another, and was not heard. It asks what that may be, less what the
// caller knows better; and says whether it has succeeded.
func (b *Bridge) readMissed(ctx context.Context, epoch string, after, upTo uint64, less func(lasts map[string]uint64)) (missed []stored, done bool) {
	var wants []want
	done = b.persist(ctx, epoch, func(ctx context.Context) error {
		lasts, err := b.missing(ctx, after, upTo)
		if err != nil {
			return err
		}
		less(lasts)
		wants = b.wants(lasts)
		return nil
	})
	if !done {
		return nil, false
	}
	missed, _, done = b.readBack(ctx, epoch, wants, upTo)
	return missed, done
}

// putFirst puts what was read back first in line, before a message.
func (b *Bridge) putFirst(missed []stored, in incoming) {
	b.opts.Metrics.Repaired(len(missed))
	first := make([]incoming, 0, len(missed)+1+len(b.backlog))
	for _, msg := range missed {
		first = append(first, incoming{msg.msg, true})
	}
	b.backlog = append(append(first, in), b.backlog...)
}

// catchUp reads back all that was stored and not heard, and puts it in its place among what waits. Nothing is
// delivered meanwhile, so that no later message passes an earlier one.
//
// What was found to be missing stands when reading it has to be tried again, so that comes to an end, however much is stored
// meanwhile.
func (b *Bridge) catchUp(ctx context.Context, epoch string) {
	var last uint64
	var wants []want
	done := b.persist(ctx, epoch, func(ctx context.Context) (err error) {
		if last, err = b.fence.wait(ctx); err != nil {
			return err
		}
		lasts, err := b.missing(ctx, max(b.caught, b.rooms.start()), last)
		wants = b.wants(lasts)
		return err
	})
	if !done {
		return
	}
	if missed, last, done := b.readBack(ctx, epoch, wants, last); done {
		b.merge(missed)
		b.caught = last
	}
}

// readBack reads until it has all that is wanted, up to a sequence, or to the stream's last if that is less meanwhile: a server that
// lost power may have forgotten some.
func (b *Bridge) readBack(ctx context.Context, epoch string, wants []want, upTo uint64) (missed []stored, last uint64, done bool) {
	if len(wants) == 0 {
		return nil, upTo, true
	}
	done = b.persist(ctx, epoch, func(ctx context.Context) (err error) {
		if missed, err = b.tail.read(ctx, wants, upTo); err != nil {
			if last, err := b.reached(ctx); err == nil {
				upTo = min(upTo, last)
			}
		}
		return err
	})
	return missed, upTo, done
}

// reached is how far the stream is for certain: a server that leads it no more, and does not know that yet, answers fences, but stores
// nothing. It costs a message that means nothing to anybody.
func (b *Bridge) reached(ctx context.Context) (uint64, error) {
	ack, err := b.js.Publish(ctx, b.opts.Subjects.Fence(), nil)
	if err != nil {
		return 0, fmt.Errorf("%w: how far the stream is: %w", session.ErrUnavailable, err)
	}
	return ack.Sequence, nil
}

// persist tries until it works, and says so; or until NATS is away or another stream is there: then all is looked at anew. An attempt
// ends by itself, as whatever it asks has a deadline.
func (b *Bridge) persist(ctx context.Context, epoch string, attempt func(context.Context) error) (done bool) {
	for wait := repairWait; b.epoch.get() == epoch; wait = min(2*wait, repairLimit) {
		err := attempt(ctx)
		if err == nil || ctx.Err() != nil {
			return err == nil
		}
		b.often(&b.lately.repair, "delivery waits for what may have been missed, which cannot be read now; trying again", "error", err, "in", wait)
		select {
		case <-ctx.Done():
			return false
		case <-time.After(wait):
		}
	}
	return false
}

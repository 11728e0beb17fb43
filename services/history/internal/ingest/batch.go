package ingest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/history/internal/queue"
	"github.com/natter-io/natter/services/history/internal/record"
)

// batch stores messages and acknowledges them. It holds on to them until the database takes them, or refuses them for
// good; only if ctx ends before, or the database has been out of reach for a while, they are given back: another instance
// may reach it. JetStream hears meanwhile that they are being worked on, so that
// it gives them to nobody else.
func (in *Ingester) batch(ctx context.Context, msgs []jetstream.Msg) error {
	posts, skipped := in.decode(msgs)
	in.skip(skipped)
	if len(posts) == 0 {
		return nil
	}
	holding, release := context.WithCancel(context.WithoutCancel(ctx))
	var holder sync.WaitGroup
	held := make([]jetstream.Msg, len(posts)) // of their own: what else is in a post changes meanwhile
	for i := range posts {
		held[i] = posts[i].msg
	}
	holder.Go(func() { in.hold(holding, held) })
	var err error
	for some := range portions(posts) {
		if err = in.save(ctx, some, time.Now()); err != nil {
			break
		}
	}
	release()
	holder.Wait()
	if err != nil && !errors.Is(err, queue.ErrOtherDatabase) {
		in.giveBack(held)
	}
	return err
}

// save stores posts however long the database takes, with growing pauses between attempts. A batch that the database
// refuses for good is taken apart until the posts that are to blame are found, which are put aside; one for which there
// was not enough time, or which fails twice for whatever reason, is taken apart too. It fails only if ctx ends, or if the database
// cannot be reached when it has tried for as long as others would wait for the posts of an instance that was killed. An attempt that
// has begun then is finished: it is committed, or not at all.
func (in *Ingester) save(ctx context.Context, posts []post, began time.Time) error {
	wait := newBackoff(firstRetry, lastRetry)
	for failures := 0; ; {
		attempt, cancel := context.WithTimeout(context.WithoutCancel(ctx), in.StoreWait)
		stored, redacted, err := in.keep(attempt, posts)
		late := attempt.Err() != nil
		cancel()
		refused := errors.Is(err, record.ErrRefused)
		if err == nil || refused && len(posts) == 1 {
			in.goesOn()
			if err := in.mayEnd(ctx); err != nil {
				return err
			}
			if refused {
				in.putAside(posts[0], err)
			} else {
				in.acknowledge(posts, stored, redacted)
			}
			return nil
		}
		if !refused {
			failures++
			in.Metrics.failures.Inc()
			delay := wait.next()
			in.standsStill(err, delay)
			if !sleep(ctx, delay) {
				return err
			}
			if time.Since(began) > in.AckWait && in.reach(ctx) != nil {
				return err
			}
		}
		if half := len(posts) / 2; half > 0 && (refused || late || failures > 1) {
			if err := in.save(ctx, posts[:half], began); err != nil {
				return err
			}
			posts = posts[half:]
		}
	}
}

// reach says whether the database can be read.
func (in *Ingester) reach(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, reachWait)
	defer cancel()
	return in.store.Ping(ctx)
}

// acknowledge says that posts are in the database, of which so many were not there before.
func (in *Ingester) acknowledge(posts []post, stored, redacted int) {
	// Before the acks: what the queue no longer holds has been counted.
	in.Metrics.stored.Add(float64(stored))
	in.Metrics.duplicates.Add(float64(len(posts) - stored))
	in.Metrics.redacted.Add(float64(redacted))
	for _, p := range posts {
		if err := p.msg.Ack(); err != nil {
			in.Log.Debug("cannot acknowledge; the messages are delivered again, which changes nothing", "error", err)
			break
		}
	}
	if redacted > 0 {
		in.Redacted()
	}
}

// giveBack lets others have what is not acknowledged.
func (in *Ingester) giveBack(msgs []jetstream.Msg) {
	for _, msg := range msgs {
		if err := msg.Nak(); err != nil && !errors.Is(err, jetstream.ErrMsgAlreadyAckd) {
			in.Log.Debug("cannot give a message back; it is delivered again after its ack wait", "after", in.AckWait, "error", err)
			break // the connection is gone; the rest would say the same
		}
	}
}

// hold tells JetStream again and again that messages are being worked on.
func (in *Ingester) hold(ctx context.Context, msgs []jetstream.Msg) {
	for sleep(ctx, in.AckWait/3) {
		for _, msg := range msgs {
			if err := msg.InProgress(); err != nil && !errors.Is(err, jetstream.ErrMsgAlreadyAckd) {
				break // without a connection they are delivered again, which changes nothing
			}
		}
	}
}

// post is a message that can be stored.
type post struct {
	msg      jetstream.Msg
	record   record.Message
	identity string // the incarnation of the main stream that it comes from
}

// refused is a message that can never be stored.
type refused struct {
	msg    jetstream.Msg
	reason error
}

func (in *Ingester) decode(msgs []jetstream.Msg) (posts []post, skipped []refused) {
	for _, msg := range msgs {
		p, err := in.decodeOne(msg)
		if err != nil {
			skipped = append(skipped, refused{msg, err})
			continue
		}
		posts = append(posts, p)
	}
	return posts, skipped
}

func (in *Ingester) decodeOne(msg jetstream.Msg) (post, error) {
	h := contract.Header(msg.Headers())
	meta, err := msg.Metadata()
	if err != nil {
		return post{}, fmt.Errorf("%w: %w", record.ErrUnstorable, err)
	}
	stream, sequence, err := contract.SourceSequence(h)
	if err != nil {
		return post{}, fmt.Errorf("%w: not copied from the main stream: %w", record.ErrUnstorable, err)
	}
	if want := in.Subjects.Names().Stream; stream != want || int64(sequence) <= 0 {
		return post{}, fmt.Errorf("%w: copied from stream %.40q at %d, not from %s", record.ErrUnstorable, stream, sequence, want)
	}
	m, err := record.Decode(in.Subjects, msg.Subject(), h, msg.Data())
	if err != nil {
		return post{}, err
	}
	m.ID.Sequence, m.Copied = int64(sequence), meta.Timestamp
	from := identity(h)
	if len(from) > maxIdentity { // it is a key of the database
		return post{}, fmt.Errorf("%w: the incarnation of the main stream that it names has %d bytes", record.ErrUnstorable, len(from))
	}
	return post{msg: msg, record: m, identity: from}, nil
}

// keep completes the records with what the main stream knows and stores them.
func (in *Ingester) keep(ctx context.Context, posts []post) (stored, redacted int, err error) {
	// Before each batch, so that ids are those heard live from the first one on.
	looking, cancel := context.WithTimeout(ctx, directWait)
	if err := in.epoch.look(looking, false); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		in.Log.Warn("cannot look at the main stream", "error", err)
	}
	cancel()
	for range renewTries {
		records := make([]record.Message, len(posts))
		for i := range posts {
			p := &posts[i]
			p.record.Time, p.record.Exact = p.record.Copied, false
			if err := in.epoch.set(ctx, &p.record, p.identity); err != nil {
				return 0, 0, err
			}
		}
		if err := in.times.fill(ctx, posts, in.epoch.identity); err != nil {
			return 0, 0, err
		}
		for i := range posts {
			records[i] = posts[i].record
		}
		stored, redacted, err = in.store.Append(ctx, records)
		var taken *record.TakenError
		if !errors.As(err, &taken) {
			if err == nil {
				in.epoch.stored(posts)
			}
			return stored, redacted, err
		}
		if err := in.epoch.renew(ctx, posts[taken.Messages[0]]); err != nil {
			return 0, 0, err
		}
	}
	return 0, 0, err
}

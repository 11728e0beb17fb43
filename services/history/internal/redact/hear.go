package redact

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/provision"
	"github.com/natter-io/natter/services/history/internal/queue"
	"github.com/natter-io/natter/services/history/internal/record"
)

const (
	// ackWait is after how long JetStream delivers a fact again: the service was killed. Redacting a user
	// who said a great deal may take longer; then it is done twice, the second time in vain.
	ackWait = 30 * time.Second
	// atOnce is how many facts are taken at a time: deletions of messages, which may be many, go into one transaction.
	atOnce = 256
	// knownPause is between two looks at whether all facts are known; lookWait bounds one at how far the database is.
	knownPause = 20 * time.Millisecond
	lookWait   = time.Second
)

// Claim makes the queue of facts if it is not there; whose that is answers for history. The error wraps
// [queue.ErrOtherDatabase] if it is another database's.
func (r *Redactor) Claim(ctx context.Context) error {
	_, _, err := r.consumer(ctx)
	return err
}

func (r *Redactor) consumer(ctx context.Context) (jetstream.Stream, jetstream.Consumer, error) {
	stream, err := provision.Events(ctx, r.js, r.Subjects, r.Posts, r.Storage)
	if err != nil {
		return nil, nil, err
	}
	consumer, err := queue.Consumer(ctx, r.js, stream, jetstream.ConsumerConfig{
		Durable:     r.Subjects.Names().HistoryEvents,
		Description: "Facts of what is taken out of history, which the database does not know yet.",
		FilterSubjects: []string{
			r.Subjects.Endpoint(contract.Event, contract.FactUserDeleted), r.Subjects.Endpoint(contract.Event, contract.FactUserErased),
			r.Subjects.Endpoint(contract.Event, contract.FactMessageDeleted),
		},
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       ackWait,
		MaxDeliver:    -1,
		MaxAckPending: 2 * atOnce,
	}, r.store, &r.floor, r.Log)
	return stream, consumer, err
}

// session prepares stream and consumer and hears facts until something fails.
func (r *Redactor) session(ctx context.Context) error {
	stream, consumer, err := r.consumer(ctx)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		msgs, err := queue.Pull(ctx, consumer, atOnce)
		if err != nil && len(msgs) == 0 { // else it is heard with the next ones
			return fmt.Errorf("pull: %w", err)
		}
		if err = queue.Check(ctx, consumer, r.store.ID()); err == nil {
			err = r.hear(ctx, consumer, msgs)
		}
		if err != nil {
			for _, msg := range msgs {
				if nerr := msg.NakWithDelay(retry); nerr != nil && !errors.Is(nerr, jetstream.ErrMsgAlreadyAckd) {
					return errors.Join(err, nerr)
				}
			}
			return err
		}
		if err := r.note(ctx, stream, consumer, len(msgs) > 0); err != nil {
			return err
		}
	}
	return nil
}

// note notes how far the queue is, by all instances, and finds out whether the database went back; that it does not wait for a database that hangs.
func (r *Redactor) note(ctx context.Context, stream jetstream.Stream, consumer jetstream.Consumer, heard bool) error {
	wait := lookWait
	if heard {
		if _, err := consumer.Info(ctx); err != nil {
			return fmt.Errorf("consumer %s: %w", r.Subjects.Names().HistoryEvents, err)
		}
		wait = sayWait
	}
	limited, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	err := r.floor.Note(limited, r.store, stream.CachedInfo(), consumer.CachedInfo())
	if err != nil && !heard && !errors.Is(err, queue.ErrWentBack) {
		r.Log.Debug("cannot look how far the database is", "error", err)
		return nil
	}
	return err
}

// Known waits until the database knows all facts that are in the stream now, by whichever instance heard them: also those that it has forgotten,
// since a backup was put back. Posts that are stored earlier would be there for a while although they had been erased.
func (r *Redactor) Known(ctx context.Context) error {
	stream, consumer, err := r.consumer(ctx)
	if err != nil {
		return err
	}
	state, err := stream.Info(ctx)
	if err != nil {
		return fmt.Errorf("stream %s: %w", r.Subjects.Names().Events, err)
	}
	for ctx.Err() == nil {
		info, err := consumer.Info(ctx)
		if err != nil {
			return fmt.Errorf("consumer %s: %w", r.Subjects.Names().HistoryEvents, err)
		}
		if info.AckFloor.Stream >= state.State.LastSeq || info.NumPending == 0 && info.NumAckPending == 0 {
			return nil
		}
		sleep(ctx, knownPause)
	}
	return ctx.Err()
}

// hear does what facts demand, notes what clients must be told, and acknowledges.
func (r *Redactor) hear(ctx context.Context, consumer jetstream.Consumer, msgs []jetstream.Msg) error {
	var deletions []record.Deletion
	known := make([]jetstream.Msg, 0, len(msgs))
	for _, msg := range msgs {
		d, err := r.hearOne(ctx, msg)
		if errors.Is(err, errNoFact) {
			r.Log.Warn("skipped a fact that cannot be read", "reason", err)
			if err := msg.TermWithReason(err.Error()); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if d != nil {
			deletions = append(deletions, *d)
		}
		known = append(known, msg)
	}
	if len(deletions) > 0 {
		if err := r.store.Deletions(ctx, deletions); err != nil {
			return err
		}
	}
	if len(known) > 0 {
		r.Poke() // what clients must be told stands in the database, so the facts are done
	}
	// That may have taken long. Who has the queue now has acknowledged nothing yet of what is in its hands.
	if err := queue.Check(ctx, consumer, r.store.ID()); err != nil {
		return err
	}
	return acknowledge(ctx, known)
}

// acknowledge waits for the last answer, so that who asks afterwards sees what is done.
func acknowledge(ctx context.Context, msgs []jetstream.Msg) error {
	for i, msg := range msgs {
		err := error(nil)
		if i < len(msgs)-1 {
			err = msg.Ack()
		} else {
			waiting, cancel := context.WithTimeout(ctx, sayWait)
			err = msg.DoubleAck(waiting)
			cancel()
		}
		if err != nil {
			return fmt.Errorf("acknowledge a fact: %w", err)
		}
	}
	return nil
}

// errNoFact says that what stands on the subject of a fact is none, and never will be.
var errNoFact = errors.New("not a fact of the contract")

// hearOne redacts what a fact of a user demands; of another one it returns the deletion.
func (r *Redactor) hearOne(ctx context.Context, msg jetstream.Msg) (*record.Deletion, error) {
	switch msg.Subject() {
	case r.Subjects.Endpoint(contract.Event, contract.FactMessageDeleted):
		d, err := deletion(msg.Data())
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", errNoFact, msg.Subject(), err)
		}
		return &d, nil
	case r.Subjects.Endpoint(contract.Event, contract.FactUserErased):
		var fact contract.UserErased
		if err := errors.Join(json.Unmarshal(msg.Data(), &fact), check(fact.Time)); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", errNoFact, msg.Subject(), err)
		}
		return nil, r.redact(ctx, msg.Subject(), fact.User, fact.Time)
	}
	var fact contract.UserDeleted
	if err := json.Unmarshal(msg.Data(), &fact); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errNoFact, msg.Subject(), err)
	}
	return nil, r.redact(ctx, msg.Subject(), fact.User, time.Time{})
}

func deletion(data []byte) (d record.Deletion, err error) {
	var fact contract.MessageDeleted
	if err := json.Unmarshal(data, &fact); err != nil {
		return d, err
	}
	if fact.User != "" {
		err = contract.CheckUser(fact.User)
	}
	id, iderr := record.ParseID(fact.ID)
	return record.Deletion{ID: id, User: fact.User, Time: fact.Time}, errors.Join(err, iderr, check(fact.Time))
}

// check refuses a time that has no number in the database.
func check(t time.Time) error {
	if !time.Unix(0, t.UnixNano()).Equal(t) {
		return errors.New("the time is missing, or out of bounds")
	}
	return nil
}

// redact redacts what a user said until then; for good if it is the zero time.
func (r *Redactor) redact(ctx context.Context, subject, user string, until time.Time) error {
	if err := contract.CheckUser(user); err != nil { // what no post can have, no database has to take as a key
		return fmt.Errorf("%w: %s: %w", errNoFact, subject, err)
	}
	redacted, err := r.store.Redact(ctx, user, until)
	r.Metrics.redacted.Add(float64(redacted))
	if err != nil {
		return err
	}
	if until.IsZero() {
		r.Log.Info("redacted the messages of a deleted user", "user", user, "messages", redacted)
	} else if redacted > 0 {
		r.Log.Info("redacted what a user had said before an erasure", "user", user, "messages", redacted)
	}
	return nil
}

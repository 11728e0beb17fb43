// Package redact takes out what deleted users said, and tells clients what has changed in history. It hears of deleted
// users on natter.event.user.deleted and redacts in the database.
//
// It does not know accounts, nor which clients show what.
//
// What is to be said of a redaction, an edit or a deletion is noted in the transaction that does it, and forgotten once
// JetStream has it, so that it is said even if the service is killed in between. Posts of deleted users that arrive
// later are redacted when they are stored, and said in the same way.
package redact

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/provision"
	"github.com/natter-io/natter/services/history/internal/queue"
	"github.com/natter-io/natter/services/history/internal/record"
)

// Store is what redact needs of a database.
type Store interface {
	queue.Database
	// Redact redacts what the user said until then, or for good if it is the zero time. Repeating it changes nothing.
	Redact(ctx context.Context, user string, until time.Time) (redacted int, err error)
	// Announcements and Announced list and forget what clients must still be told.
	Announcements(ctx context.Context) ([]record.Announcement, error)
	Announced(ctx context.Context, a record.Announcement) error
}

// Options of a [Redactor].
type Options struct {
	Subjects contract.Subjects
	Storage  provision.Storage
	Log      *slog.Logger
	Metrics  *Metrics
}

const (
	pullWait = 2 * time.Second
	// ackWait is after how long JetStream delivers a fact again: the service was killed. Redacting a user
	// who said a great deal may take longer; then it is done twice, the second time in vain.
	ackWait = 30 * time.Second
	retry   = 2 * time.Second
	// sayWait bounds one publish; a cluster takes seconds to elect a leader.
	sayWait = 10 * time.Second
)

// Redactor runs the loop. Make it with [New], call Run; once that has returned it may be called again.
type Redactor struct {
	Options
	js    jetstream.JetStream
	store Store
	poke  chan struct{}
}

// New returns a Redactor that works through nc.
func New(nc *nats.Conn, store Store, o Options) (*Redactor, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("redact: %w", err)
	}
	return &Redactor{Options: o, js: js, store: store, poke: make(chan struct{}, 1)}, nil
}

// Poke says that there is something new to announce. It does not block.
func (r *Redactor) Poke() {
	select {
	case r.poke <- struct{}{}:
	default:
	}
}

// Run works until ctx ends, or the queue is another database's ([queue.ErrOtherDatabase]); whatever else fails is logged
// and tried again.
func (r *Redactor) Run(ctx context.Context) error {
	saying, stop := context.WithCancel(ctx)
	said := make(chan struct{})
	go func() {
		defer close(said)
		r.sayAlways(saying)
	}()
	defer func() {
		stop()
		<-said
	}()
	for ctx.Err() == nil {
		err := r.session(ctx)
		if errors.Is(err, queue.ErrOtherDatabase) {
			return err
		}
		if err != nil && ctx.Err() == nil {
			r.Log.Error("redaction stands still; deletions wait in their stream", "error", err, "retry", retry)
			sleep(ctx, retry)
		}
	}
	return nil
}

// Claim makes the queue of facts if it is not there; whose that is answers for history. The error wraps
// [queue.ErrOtherDatabase] if it is another database's.
func (r *Redactor) Claim(ctx context.Context) error {
	_, _, err := r.queue(ctx)
	return err
}

func (r *Redactor) queue(ctx context.Context) (jetstream.Stream, jetstream.Consumer, error) {
	stream, err := provision.Events(ctx, r.js, r.Subjects, r.Storage)
	if err != nil {
		return nil, nil, err
	}
	consumer, err := queue.Consumer(ctx, r.js, stream, jetstream.ConsumerConfig{
		Durable:       r.Subjects.Names().HistoryEvents,
		Description:   "Deleted users whose messages are not redacted yet.",
		FilterSubject: r.Subjects.Endpoint(contract.Event, "user", "deleted"),
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       ackWait,
		MaxDeliver:    -1,
		MaxAckPending: 1, // one after the other
	}, r.store, r.Log)
	return stream, consumer, err
}

// session prepares stream and consumer and hears facts until something fails.
func (r *Redactor) session(ctx context.Context) error {
	stream, consumer, err := r.queue(ctx)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		msg, err := next(ctx, consumer)
		if err != nil {
			return fmt.Errorf("pull: %w", err)
		}
		err = queue.Check(ctx, consumer, r.store.ID())
		if msg == nil {
			if err != nil {
				return err
			}
			continue
		}
		if err == nil {
			err = r.hear(ctx, msg)
		}
		if err != nil {
			if nerr := msg.NakWithDelay(retry); nerr != nil {
				err = errors.Join(err, nerr)
			}
			return err
		}
		if meta, err := msg.Metadata(); err == nil {
			if err := queue.Note(ctx, r.store, stream.CachedInfo(), meta.Consumer, meta.Sequence.Stream); err != nil {
				return err
			}
		}
	}
	return nil
}

// next waits a while for a message; nil if none came.
func next(ctx context.Context, c jetstream.Consumer) (jetstream.Msg, error) {
	waiting, cancel := context.WithTimeout(ctx, pullWait)
	defer cancel()
	batch, err := c.Fetch(1, jetstream.FetchContext(waiting))
	if err != nil {
		return nil, err
	}
	if msg, ok := <-batch.Messages(); ok {
		return msg, nil
	}
	if waiting.Err() != nil {
		return nil, nil
	}
	return nil, batch.Error()
}

// hear redacts what one fact demands, and acknowledges.
func (r *Redactor) hear(ctx context.Context, msg jetstream.Msg) error {
	var fact contract.UserDeleted
	err := json.Unmarshal(msg.Data(), &fact)
	if err == nil {
		err = contract.CheckUser(fact.User) // what no post can have, no database has to take as a key
	}
	if err != nil {
		reason := fmt.Sprintf("not a fact %s: %v", msg.Subject(), err)
		r.Log.Warn("skipped a fact that cannot be read", "reason", reason)
		return msg.TermWithReason(reason)
	}
	redacted, err := r.store.Redact(ctx, fact.User, time.Time{})
	r.Metrics.redacted.Add(float64(redacted))
	if err != nil {
		return err
	}
	r.Log.Info("redacted the messages of a deleted user", "user", fact.User, "messages", redacted)
	r.Poke() // what clients must be told stands in the database, so the fact is done
	return msg.Ack()
}

// sayAlways says what is noted: at the start, when poked, and again after a failure.
func (r *Redactor) sayAlways(ctx context.Context) {
	for {
		delay := time.Hour
		if err := r.say(ctx); err != nil && ctx.Err() == nil {
			r.Log.Warn("cannot tell clients of a change yet", "error", err, "retry", retry)
			delay = retry
		}
		timer := time.NewTimer(delay)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-r.poke:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// say tells clients what is noted and forgets it. What cannot be told now does not hold up the rest. Several instances may
// say the same at once: JetStream stores a Nats-Msg-Id once.
func (r *Redactor) say(ctx context.Context) error {
	announcements, err := r.store.Announcements(ctx)
	if err != nil {
		return err
	}
	var failed error // the first: others are likely to be the same
	for _, a := range announcements {
		if err := r.sayOne(ctx, a); err != nil && failed == nil {
			failed = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return failed
}

func (r *Redactor) sayOne(ctx context.Context, a record.Announcement) error {
	namespace, err := contract.DecodeNamespace(a.Namespace)
	if err != nil {
		return err
	}
	target := contract.All()
	room, err := record.Place{Namespace: a.Namespace, Target: a.Target}.Room()
	if err != nil {
		return err
	}
	if room != nil {
		target = contract.To(*room)
	}
	subject, err := r.Subjects.To(contract.Emit, namespace, target)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, sayWait)
	defer cancel()
	id := url.QueryEscape(a.Topic) + ":" + a.Version.String()
	_, err = r.js.Publish(ctx, subject, a.Event, jetstream.WithMsgID(id))
	if neverFits(err) { // a limit was lowered
		r.Log.Error("clients are not told of a change, which is larger than a message may be; history has it", "subject", subject, "topic", a.Topic, "error", err)
		err = nil
	}
	if err != nil {
		return fmt.Errorf("publish on %s: %w", subject, err)
	}
	return r.store.Announced(ctx, a)
}

// neverFits says whether NATS or the stream takes no message of this size.
func neverFits(err error) bool {
	var refused *jetstream.APIError
	return errors.Is(err, nats.ErrMaxPayload) || errors.As(err, &refused) && refused.ErrorCode == jetstream.JSErrCodeStreamMessageExceedsMaximum
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Metrics of a [Redactor].
type Metrics struct{ redacted prometheus.Counter }

// NewMetrics registers the metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{redacted: prometheus.NewCounter(prometheus.CounterOpts{Namespace: "natter", Subsystem: "history", Name: "redacted_total",
		Help: "Stored messages redacted, since their sender was deleted."})}
	r.MustRegister(m.redacted)
	return m
}

// Package redact takes out what deleted users said, and tells clients what has changed in history. It hears of deleted
// users on natter.event.user.deleted and redacts in the database.
//
// It does not know accounts, nor which clients show what.
//
// What history itself erases and deletes it states as facts, too (natter.event.user.erased, natter.event.message.deleted),
// and hears them like the others: a database that is filled anew from the streams learns by them what had been taken out.
//
// What is to be said of a redaction, an edit or a deletion is noted in the transaction that does it, and forgotten once
// JetStream has it, so that it is said even if the service is killed in between. Posts of deleted users that arrive
// later are redacted when they are stored, and said in the same way.
package redact

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"sync"
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
	// Undone lists erasures that are not over, and Resume ends one.
	Undone(ctx context.Context) ([]record.Erasure, error)
	Resume(ctx context.Context, e record.Erasure) (redacted int, err error)
	// Deletions makes deletions of messages, those too that come later. Repeating it changes nothing.
	Deletions(ctx context.Context, told []record.Deletion) error
	// Announcements hands what clients and services must still be told to each, as it is then, until each returns false;
	// Announced forgets it.
	Announcements(ctx context.Context, each func(record.Announcement) bool) error
	Announced(ctx context.Context, a record.Announcement) error
}

// Options of a [Redactor].
type Options struct {
	Subjects contract.Subjects
	Storage  provision.Storage
	Posts    time.Duration // how long posts wait in their stream
	Log      *slog.Logger
	Metrics  *Metrics
}

const (
	retry = 2 * time.Second
	// lookEvery is how often an instance looks for what another one has left undone, since it was killed or hangs.
	lookEvery = 5 * time.Second
	// sayWait bounds one publish; a cluster takes seconds to elect a leader.
	sayWait = 10 * time.Second
)

// Redactor runs the loop. Make it with [New], call Run; once that has returned it may be called again.
type Redactor struct {
	Options
	js    jetstream.JetStream
	store Store
	poke  chan struct{}
	floor queue.Floor
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
	besides, stop := context.WithCancel(ctx)
	var beside sync.WaitGroup
	beside.Go(func() { r.sayAlways(besides) })
	beside.Go(func() { r.resumeAlways(besides) })
	defer beside.Wait()
	defer stop()
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

// sayAlways says what is noted: when poked, after a failure, and every few seconds.
func (r *Redactor) sayAlways(ctx context.Context) {
	for ctx.Err() == nil {
		delay := lookEvery
		if err := r.say(ctx); err != nil && ctx.Err() == nil {
			r.Log.Warn("cannot tell clients of a change yet", "error", err, "retry", retry)
			delay = retry
		}
		await(ctx, r.poke, delay)
	}
}

// say tells clients what is noted and forgets it. What cannot be told now does not hold up the rest. Several instances may
// say the same at once: JetStream stores a Nats-Msg-Id once.
func (r *Redactor) say(ctx context.Context) error {
	var failed error // the first: others are likely to be the same
	err := r.store.Announcements(ctx, func(a record.Announcement) bool {
		if err := r.sayOne(ctx, a); err != nil && failed == nil {
			failed = err
		}
		return ctx.Err() == nil
	})
	return cmp.Or(failed, err)
}

func (r *Redactor) sayOne(ctx context.Context, a record.Announcement) error {
	subject, err := r.subject(a)
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

// subject is where an announcement is said.
func (r *Redactor) subject(a record.Announcement) (string, error) {
	if a.Namespace == "" {
		return r.Subjects.Endpoint(contract.Event, a.Target), nil
	}
	namespace, err := contract.DecodeNamespace(a.Namespace)
	if err != nil {
		return "", err
	}
	target := contract.All()
	room, err := record.Place{Namespace: a.Namespace, Target: a.Target}.Room()
	if err != nil {
		return "", err
	}
	if room != nil {
		target = contract.To(*room)
	}
	return r.Subjects.To(contract.Emit, namespace, target)
}

// resumeAlways ends erasures that were cut off: those that are where they were when it looked last. Others are at work.
func (r *Redactor) resumeAlways(ctx context.Context) {
	var seen []record.Erasure
	for ctx.Err() == nil {
		undone, err := r.store.Undone(ctx)
		for _, e := range undone {
			if slices.Contains(seen, e) {
				err = errors.Join(err, r.resume(ctx, e))
			}
		}
		if err != nil && ctx.Err() == nil {
			r.Log.Warn("cannot go on with an erasure that was cut off", "error", err, "retry", lookEvery)
		}
		seen = undone
		sleep(ctx, lookEvery)
	}
}

func (r *Redactor) resume(ctx context.Context, e record.Erasure) error {
	redacted, err := r.store.Resume(ctx, e)
	r.Metrics.redacted.Add(float64(redacted))
	if err == nil {
		r.Log.Info("ended an erasure that had been cut off", "messages", redacted)
		r.Poke()
	}
	return err
}

// neverFits says whether NATS or the stream takes no message of this size.
func neverFits(err error) bool {
	var refused *jetstream.APIError
	return errors.Is(err, nats.ErrMaxPayload) || errors.As(err, &refused) && refused.ErrorCode == jetstream.JSErrCodeStreamMessageExceedsMaximum
}

func sleep(ctx context.Context, d time.Duration) { await(ctx, nil, d) }

// await waits for a signal, but no longer than that.
func await(ctx context.Context, signal <-chan struct{}, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-signal:
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

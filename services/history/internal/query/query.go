// Package query answers for history: the NATS micro service natter-history with the endpoints natter.history.>.
//
// It does not know which database it reads, nor who may read what: gateways ask on behalf of clients, by the
// rules of the namespace, and whoever may publish on an endpoint may do everything that it does.
package query

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/history/internal/record"
)

// Store is what query needs of a database. What is handed to each ends when each returns false; n is how much is
// likely to be wanted.
type Store interface {
	Older(ctx context.Context, place record.Place, before record.ID, n int, each func(record.Message) bool) error
	Newer(ctx context.Context, place record.Place, after record.ID, n int, each func(record.Message) bool) error
	Search(ctx context.Context, namespace string, targets []string, words []record.Word, before record.ID, n int, each func(record.Message) bool) error
	Said(ctx context.Context, user string, after record.ID, n int, each func(record.Message) bool) error
	Change(ctx context.Context, c record.Change) (record.Message, error)
	Get(ctx context.Context, place record.Place, id record.ID) (record.Message, error)
	Traces(ctx context.Context, row, after int64, each func(record.Trace) bool) error
	Read(ctx context.Context, place record.Place, user string, id record.ID) (moved bool, err error)
	Unread(ctx context.Context, place record.Place, user string, most int) (count int, mark record.ID, err error)
	Marks(ctx context.Context, user string, after record.Place, each func(record.Mark) bool) error
	Did(ctx context.Context, user string, after int64, each func(record.Message, record.Trace) bool) error
	Last(ctx context.Context) (record.ID, error)
	Known(ctx context.Context, user string) (known bool, err error)
	Erase(ctx context.Context, user string, until time.Time) (redacted int, err error)
	Ping(ctx context.Context) error
	Kind() string
}

const (
	// workers are the requests that are answered at once. The handlers of an endpoint run one after the other, so
	// that one slow page would hold up all others if it were read there.
	workers = 8
	// apart is how many workers each of those endpoints has for itself whose requests may take longer than all others: they wait for
	// their like.
	apart = 2
	// maxWaiting bounds the requests that wait for a worker; beyond it they are refused at once.
	maxWaiting = 256
	// maxSearches bounds the searches that wait for one.
	maxSearches = 32
	// answerWait bounds an answer, from when it was asked for: askers have given up by then, and what they want after a change
	// must not be overtaken by it. An erasure goes on for as long as eraseWait.
	answerWait = contract.ChangeWait
	eraseWait  = 10 * time.Minute
	// maxReply bounds a reply even where NATS would take more, so that a page stays a page.
	maxReply = 8 << 20
	// replyOverhead is left for what NATS counts besides the payload.
	replyOverhead = 512
)

// Options of a [Service].
type Options struct {
	Subjects contract.Subjects
	Log      *slog.Logger
	Metrics  *Metrics
	// Changed is called when clients must be told of a change. It must not block.
	Changed func()
	// Lag says how many posts wait to be stored; -1 if that is not known.
	Lag func() int64
	// Last is the id of what the main stream stored last, the zero one if there is none.
	Last func(context.Context) (record.ID, error)
	// Newest is when the main stream stored something last; the zero time if it has nothing.
	Newest func(context.Context) (time.Time, error)
	// Expects says whether a message that is not there may still come.
	Expects func(ctx context.Context, place record.Place, id record.ID) bool
	// Largest is the size of the largest message that the main stream takes; 0 if it has no limit but NATS's.
	Largest func() int
	// Problem says why nothing can be stored now; nil if it can.
	Problem func(context.Context) error
	// Settled says up to which id all posts are stored, so that none comes in front of these any more. It may be nil.
	Settled func(context.Context) (record.ID, error)
}

// Service answers requests. Make it with [New], call Run once.
type Service struct {
	Options
	nc       *nats.Conn
	store    Store
	queue    chan question
	apart    map[string]chan question // by endpoint
	arrival  chan struct{}            // places for changes that wait for their message to be stored
	patience chan struct{}            // places for pages that wait for messages in front of theirs

	mu      sync.Mutex
	stopped bool // the queues are closed
}

// question is a request to an endpoint.
type question struct {
	micro.Request
	endpoint string
	answer   answerer
	asked    time.Time
}

// answerer answers the JSON of a request with JSON. Its error may be a [refusal].
type answerer func(ctx context.Context, data []byte) ([]byte, error)

// refusal is an error that is worded for the asker.
type refusal struct{ code, message string }

func (r refusal) Error() string { return r.message }

func invalid(err error) error { return refusal{contract.CodeInvalid, err.Error()} }

// New returns a Service that answers on nc, whose handlers it replaces while it runs.
func New(nc *nats.Conn, store Store, o Options) *Service {
	return &Service{Options: o, nc: nc, store: store, queue: make(chan question, maxWaiting),
		apart:   map[string]chan question{contract.HistorySearch: make(chan question, maxSearches), contract.HistoryUnread: make(chan question, maxWaiting)},
		arrival: make(chan struct{}, workers/4), patience: make(chan struct{}, workers/4)}
}

func (s *Service) endpoints() map[string]answerer {
	return map[string]answerer{
		contract.HistoryPages:  s.page,
		contract.HistorySearch: s.search,
		contract.HistoryEdit:   s.change(record.Edit),
		contract.HistoryDelete: s.change(record.Delete),
		contract.HistoryTrail:  s.trail,
		contract.HistoryRead:   s.read,
		contract.HistoryUnread: s.unread,
		contract.HistoryExport: s.export,
		contract.HistoryErase:  s.erase,
		contract.HistoryStats:  s.stats,
	}
}

// Run answers until ctx ends, and then what it has taken already.
func (s *Service) Run(ctx context.Context) error {
	var running sync.WaitGroup
	work := func(queue <-chan question, workers int) {
		for range workers {
			running.Go(func() {
				for q := range queue {
					s.answer(context.WithoutCancel(ctx), q)
				}
			})
		}
	}
	work(s.queue, workers)
	for _, queue := range s.apart {
		work(queue, apart)
	}
	err := s.serve(ctx)
	s.mu.Lock()
	s.stopped = true // Stop does not wait for handlers
	close(s.queue)
	for _, queue := range s.apart {
		close(queue)
	}
	s.mu.Unlock()
	running.Wait()
	if err != nil {
		return fmt.Errorf("answer for history: %w", err)
	}
	return nil
}

const tooMuch = "history has too much to do at the moment, try again"

// take is the endpoints' handler: it only hands over.
func (s *Service) take(q question) {
	queue, ok := s.apart[q.endpoint]
	if !ok {
		queue = s.queue
	}
	s.mu.Lock()
	taken := false
	if !s.stopped {
		select {
		case queue <- q:
			taken = true
		default:
		}
	}
	s.mu.Unlock()
	if !taken {
		s.refuse(q, contract.CodeUnavailable, tooMuch)
	}
}

func (s *Service) answer(ctx context.Context, q question) {
	start := time.Now()
	end := q.asked.Add(answerWait)
	if q.endpoint == contract.HistoryErase {
		end = start.Add(eraseWait)
	}
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	if ctx.Err() != nil {
		s.refuse(q, contract.CodeUnavailable, tooMuch)
		return
	}
	reply, err := q.answer(ctx, q.Data())
	var no refusal
	switch {
	case errors.As(err, &no):
		s.refuse(q, no.code, no.message)
	case err != nil:
		s.Log.Error("cannot answer", "endpoint", q.endpoint, "error", err)
		s.refuse(q, contract.CodeUnavailable, "history cannot be reached at the moment, try again")
	default:
		s.send(q, &nats.Msg{Data: reply})
		s.Metrics.requests.WithLabelValues(q.endpoint, "ok").Observe(time.Since(start).Seconds())
	}
}

// maxSize is the greatest size of a reply.
func (s *Service) maxSize() int { return min(maxReply, int(s.nc.MaxPayload())-replyOverhead) }

// refuse answers with a [contract.Refusal], and with the headers by which NATS micro clients know an error.
func (s *Service) refuse(q question, code, message string) {
	s.Metrics.requests.WithLabelValues(q.endpoint, code).Observe(0)
	refusal := contract.Refuse(code, message)
	body, err := json.Marshal(refusal)
	if err != nil { // cannot be: it is two strings
		s.Log.Error("cannot write a refusal", "error", err)
		return
	}
	s.send(q, &nats.Msg{Data: body, Header: refusal.Header()})
}

// send publishes an answer by hand: the methods of micro.Request may be used in the handler only.
func (s *Service) send(q question, msg *nats.Msg) {
	if q.Reply() == "" {
		return
	}
	msg.Subject = q.Reply()
	if err := s.nc.PublishMsg(msg); err != nil {
		s.Log.Warn("cannot answer", "error", err)
	}
}

// Metrics of a [Service].
type Metrics struct {
	requests *prometheus.HistogramVec
	oversize prometheus.Counter
}

// NewMetrics registers the metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "natter", Subsystem: "history", Name: "request_seconds",
			Help: "Time to answer a request, by endpoint and outcome: ok or the code of the refusal.", Buckets: prometheus.ExponentialBuckets(0.0005, 4, 7)}, []string{"endpoint", "outcome"}),
		oversize: prometheus.NewCounter(prometheus.CounterOpts{Namespace: "natter", Subsystem: "history", Name: "oversize_total",
			Help: "Messages of which pages leave out what was said, since they are larger than a NATS message may be, or nested deeper than clients take."}),
	}
	r.MustRegister(m.requests, m.oversize)
	return m
}

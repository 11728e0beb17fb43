// Package query answers for history: the NATS micro service natter-history with the endpoint
// natter.history.page.
//
// It does not know which database it reads, nor who may read what: gateways ask on behalf of clients, by the
// rules of the namespace, and whoever may publish on the endpoint may read everything.
package query

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/natter-io/natter/pkg/contract"
)

const (
	// workers are the pages that are read at once. The handlers of an endpoint run one after the other, so
	// that one slow page would hold up all others if it were read there.
	workers = 8
	// maxWaiting bounds the requests that wait for a worker; beyond it they are refused at once.
	maxWaiting = 256
	// readWait bounds the reading of a page; askers have given up by then.
	readWait = 5 * time.Second
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
}

// Service answers requests. Make it with [New], call Run once.
type Service struct {
	Options
	nc    *nats.Conn
	store Store
	queue chan micro.Request

	mu      sync.Mutex
	stopped bool // queue is closed
}

// New returns a Service that answers on nc, whose handlers it replaces while it runs.
func New(nc *nats.Conn, store Store, o Options) *Service {
	return &Service{Options: o, nc: nc, store: store, queue: make(chan micro.Request, maxWaiting)}
}

// Run answers until ctx ends, and then what it has taken already.
func (s *Service) Run(ctx context.Context) error {
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for req := range s.queue {
				s.answer(context.WithoutCancel(ctx), req)
			}
		})
	}
	service, err := micro.AddService(s.nc, micro.Config{
		Name:        "natter-history",
		Version:     contract.Version,
		Description: "Pages of the messages that were posted to Socket.IO rooms.",
		Metadata:    map[string]string{contract.MetadataVersion: contract.Version},
	})
	if err == nil {
		err = service.AddEndpoint("page", micro.HandlerFunc(s.take), micro.WithEndpointSubject(s.Subjects.Endpoint(contract.History, "page")))
		if err == nil {
			s.Log.Info("answering for history", "subject", s.Subjects.Endpoint(contract.History, "page"))
			<-ctx.Done()
		}
		if serr := service.Stop(); serr != nil && err == nil && s.nc.IsConnected() {
			err = serr
		}
	}
	s.mu.Lock()
	s.stopped = true // Stop does not wait for handlers
	close(s.queue)
	s.mu.Unlock()
	running.Wait()
	if err != nil {
		return fmt.Errorf("answer for history: %w", err)
	}
	return nil
}

// take is the endpoint's handler: it only hands over.
func (s *Service) take(req micro.Request) {
	s.mu.Lock()
	taken := false
	if !s.stopped {
		select {
		case s.queue <- req:
			taken = true
		default:
		}
	}
	s.mu.Unlock()
	if !taken {
		s.refuse(req, contract.CodeUnavailable, "history has too much to do at the moment, try again")
	}
}

func (s *Service) answer(ctx context.Context, req micro.Request) {
	start := time.Now()
	p, err := decode(req.Data())
	if err != nil {
		s.refuse(req, contract.CodeInvalid, err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(ctx, readWait)
	defer cancel()
	reply, oversize, err := p.read(ctx, s.store, min(maxReply, int(s.nc.MaxPayload())-replyOverhead))
	if err != nil {
		s.Log.Error("cannot read a page", "namespace", p.place.Namespace, "target", p.place.Target, "error", err)
		s.refuse(req, contract.CodeUnavailable, "history cannot be read at the moment, try again")
		return
	}
	for _, id := range oversize {
		s.Metrics.oversize.Inc()
		s.Log.Warn("left a message out of a page: by itself it is larger than a NATS message may be; raise max_payload", "id", id.String())
	}
	s.send(req, &nats.Msg{Data: reply})
	s.Metrics.pages.WithLabelValues("ok").Observe(time.Since(start).Seconds())
}

// refuse answers with a [contract.Refusal], and with the headers by which NATS micro clients know an error.
func (s *Service) refuse(req micro.Request, code, message string) {
	s.Metrics.pages.WithLabelValues(code).Observe(0)
	body, err := json.Marshal(contract.Refuse(code, message))
	if err != nil { // cannot be: it is two strings
		s.Log.Error("cannot write a refusal", "error", err)
		return
	}
	s.send(req, &nats.Msg{Data: body, Header: nats.Header{
		micro.ErrorHeader:     {strings.Map(oneLine, message)},
		micro.ErrorCodeHeader: {strconv.Itoa(contract.Status(code))},
		contract.HeaderError:  {code},
	}})
}

// send publishes an answer by hand: the methods of micro.Request may be used in the handler only.
func (s *Service) send(req micro.Request, msg *nats.Msg) {
	if req.Reply() == "" {
		return
	}
	msg.Subject = req.Reply()
	if err := s.nc.PublishMsg(msg); err != nil {
		s.Log.Warn("cannot answer", "error", err)
	}
}

// oneLine keeps a message within its header.
func oneLine(r rune) rune {
	if r < ' ' {
		return ' '
	}
	return r
}

// Metrics of a [Service].
type Metrics struct {
	pages    *prometheus.HistogramVec
	oversize prometheus.Counter
}

// NewMetrics registers the metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		pages: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "natter", Subsystem: "history", Name: "page_seconds",
			Help: "Time to read a page, by outcome: ok or the code of the refusal.", Buckets: prometheus.ExponentialBuckets(0.0005, 4, 7)}, []string{"outcome"}),
		oversize: prometheus.NewCounter(prometheus.CounterOpts{Namespace: "natter", Subsystem: "history", Name: "oversize_total",
			Help: "Messages left out of pages, since they are larger than a NATS message may be."}),
	}
	r.MustRegister(m.pages, m.oversize)
	return m
}

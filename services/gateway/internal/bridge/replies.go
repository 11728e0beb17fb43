package bridge

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/services/gateway/internal/session"
)

// replies awaits answers to many requests on one subscription, without a goroutine for each: those of
// services to events, of JetStream to publishes, of the history service.
type replies struct {
	nc    *nats.Conn
	opts  Options
	inbox string
	in    chan *nats.Msg

	mu      sync.Mutex
	next    uint64
	ended   bool // nobody awaits answers any more
	waiting map[uint64]waiter
}

type waiter struct {
	until time.Time
	done  func(*nats.Msg, error)
}

var (
	errNoReply = errors.New("no answer in time")
	errEnding  = errors.New("the gateway stops")
	errNobody  = errors.New("nobody listens")
	errEnded   = fmt.Errorf("%w: the gateway stops", session.ErrUnavailable)
	errBusy    = fmt.Errorf("%w: too many answers are awaited already", session.ErrUnavailable)
)

func newReplies(nc *nats.Conn, opts Options) *replies {
	return &replies{nc: nc, opts: opts, inbox: nc.NewInbox(), in: make(chan *nats.Msg, opts.Queue), waiting: make(map[uint64]waiter)}
}

// request publishes the message and returns. done is called once: with the first reply, or an error. It
// must not block, and is not called if request fails.
func (r *replies) request(msg *nats.Msg, timeout time.Duration, done func(*nats.Msg, error)) error {
	r.mu.Lock()
	if r.ended {
		r.mu.Unlock()
		return errEnded
	}
	if len(r.waiting) >= r.opts.MaxPending {
		r.mu.Unlock()
		r.opts.Metrics.Dropped("pending replies")
		return errBusy
	}
	r.next++
	id := r.next
	r.waiting[id] = waiter{until: time.Now().Add(timeout), done: done}
	r.mu.Unlock()
	msg.Reply = r.inbox + "." + strconv.FormatUint(id, 36)
	if err := r.nc.PublishMsg(msg); err != nil {
		if r.take(id) == nil {
			return nil // done was called meanwhile
		}
		return err
	}
	return nil
}

// take removes a waiter; nil if it is gone.
func (r *replies) take(id uint64) func(*nats.Msg, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	done := r.waiting[id].done
	delete(r.waiting, id)
	return done
}

func (r *replies) run(ctx context.Context) {
	r.serve(ctx)
	r.end()
}

// end gives up all that is awaited, and refuses what comes.
func (r *replies) end() {
	r.mu.Lock()
	r.ended = true
	r.mu.Unlock()
	r.expire(time.Time{})
}

func (r *replies) serve(ctx context.Context) {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			r.expire(now)
		case msg := <-r.in:
			r.dispatch(msg)
		}
	}
}

// lastReplies is how long runOn goes on.
const lastReplies = 2 * time.Second

// runOn is run, but when the context ends it waits for what is under way.
func (r *replies) runOn(ctx context.Context) {
	r.serve(ctx)
	defer r.end()
	end := time.After(lastReplies)
	for r.pending() > 0 {
		select {
		case <-end:
			r.expire(time.Time{})
		case msg := <-r.in:
			r.dispatch(msg)
		}
	}
}

func (r *replies) pending() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.waiting)
}

func (r *replies) dispatch(msg *nats.Msg) {
	id, err := strconv.ParseUint(msg.Subject[len(r.inbox)+1:], 36, 64)
	if err != nil {
		return
	}
	done := r.take(id)
	switch {
	case done == nil:
		r.opts.Metrics.LateReply()
	case len(msg.Data) == 0 && msg.Header.Get("Status") == "503":
		done(nil, errNobody)
	default:
		done(msg, nil)
	}
}

// expire gives up those whose time is over; all of them at the zero time.
func (r *replies) expire(now time.Time) {
	err := errNoReply
	if now.IsZero() {
		err = errEnding
	}
	r.mu.Lock()
	var late []func(*nats.Msg, error)
	for id, w := range r.waiting {
		if now.IsZero() || now.After(w.until) {
			late = append(late, w.done)
			delete(r.waiting, id)
		}
	}
	r.mu.Unlock()
	for _, done := range late {
		done(nil, err)
	}
}

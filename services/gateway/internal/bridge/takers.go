package bridge

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/time/rate"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/internal/session"
)

// taker is an instance of a service that takes sockets.
type taker struct{ service, instance string }

// takers knows which instances have taken sockets of this gateway, and sees to it that no socket outlives its own: one
// that was not heard of for the length of a lease, or of [minSilence], is gone, whoever else listens on its subjects, and one that wants
// to leave is let go. In both cases the connections of its sockets are closed, so that the clients come back and
// somebody else takes them. Its lock is never held while a socket is called.
type takers struct {
	nc       *nats.Conn
	opts     Options
	gateways func() int     // how many there are; 0 if that is not known yet
	words    chan *nats.Msg // what instances say on [contract.Alive]
	leaving  sync.WaitGroup
	lately   rate.Sometimes // warnings that many messages could cause at once

	mu    sync.Mutex
	known map[taker]*charge
	of    map[*session.Socket]taker
}

// charge is what an instance has taken.
type charge struct {
	sockets map[*session.Socket]struct{}
	heard   time.Time
	leaving bool
	going   bool        // letGo runs
	asked   []*nats.Msg // what it answers
}

// wordsQueue bounds what instances say and this gateway has not read; each says something every second or so.
const wordsQueue = 4096

// minSilence is how long an instance may be silent however short a lease is: it says something every second.
const minSilence = 3 * time.Second

func newTakers(nc *nats.Conn, opts Options, gateways func() int) *takers {
	return &takers{
		nc: nc, opts: opts, gateways: gateways, words: make(chan *nats.Msg, wordsQueue),
		lately: rate.Sometimes{First: 10, Interval: time.Second},
		known:  make(map[taker]*charge), of: make(map[*session.Socket]taker),
	}
}

// add notes that an instance has taken a socket; false if it is leaving.
func (t *takers) add(by taker, s *session.Socket) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.charge(by)
	if c.leaving {
		return false
	}
	c.sockets[s], c.heard = struct{}{}, time.Now()
	t.of[s] = by
	return true
}

// charge is what is known of an instance. The caller holds the lock.
func (t *takers) charge(by taker) *charge {
	c := t.known[by]
	if c == nil {
		c = &charge{sockets: make(map[*session.Socket]struct{}), heard: time.Now()}
		t.known[by] = c
	}
	return c
}

// remove forgets a socket, and an instance with its last one.
func (t *takers) remove(s *session.Socket) {
	t.mu.Lock()
	defer t.mu.Unlock()
	by, ok := t.of[s]
	if !ok {
		return
	}
	delete(t.of, s)
	c := t.known[by]
	if c == nil {
		return
	}
	delete(c.sockets, s)
	if len(c.sockets) == 0 && !c.leaving {
		delete(t.known, by)
	}
}

// sockets are those that an instance has taken.
func (t *takers) sockets(c *charge) []*session.Socket {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Keys(c.sockets))
}

// run hears instances until the context ends.
func (t *takers) run(ctx context.Context) {
	defer t.leaving.Wait()
	every := max(t.opts.Lease, minSilence) / 8
	tick := time.NewTicker(every)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case msg := <-t.words:
			t.hear(ctx, msg)
		case <-tick.C:
			for n := len(t.words); n > 0; n-- {
				t.hear(ctx, <-t.words)
			}
			// While NATS is away, or this process stood still, instances may have spoken unheard.
			unheard := !t.nc.IsConnected() || time.Since(last) > 4*every
			last = time.Now()
			t.expire(last, unheard)
		}
	}
}

func (t *takers) hear(ctx context.Context, msg *nats.Msg) {
	service, instance, err := t.opts.Subjects.ParseAlive(msg.Subject)
	var word contract.Vital
	if err == nil {
		word, err = contract.ParseVital(msg.Data)
	}
	var grace time.Duration
	if err == nil {
		grace, err = contract.ParseTimeout(contract.Header(msg.Header), defaultGrace, maxGrace)
	}
	if err != nil {
		t.opts.Metrics.Skipped(contract.Alive)
		t.lately.Do(func() {
			t.opts.Log.Warn("what an instance said of itself was skipped", "subject", msg.Subject, "reason", err)
		})
		return
	}
	by := taker{service, instance}
	t.mu.Lock()
	defer t.mu.Unlock()
	if word.Leaving {
		t.charge(by)
	}
	c := t.known[by]
	if c == nil {
		return
	}
	c.heard = time.Now()
	if !word.Leaving {
		return
	}
	if msg.Reply != "" {
		c.asked = append(c.asked, msg)
	}
	c.leaving = true
	if !c.going {
		c.going = true
		t.leaving.Go(func() { t.letGo(ctx, by, c, grace) })
	}
}

const (
	defaultGrace = 5 * time.Second // for the acks that clients of a leaving instance wait for
	maxGrace     = time.Minute     // of it
	graceLook    = 10 * time.Millisecond
	graceMore    = 2 * time.Second // for connections to end
)

// letGo closes the connections of the sockets of an instance that leaves, each once its client has the acks that it
// waits for, all of them when the grace is over; then it says so.
func (t *takers) letGo(ctx context.Context, by taker, c *charge, grace time.Duration) {
	sockets := t.sockets(c)
	if len(sockets) > 0 {
		t.opts.Log.Info("an instance leaves; its sockets' connections are closed, and the clients come back to others", "service", by.service, "instance", by.instance, "sockets", len(sockets))
	}
	for _, s := range sockets {
		s.Pause()
	}
	look := time.NewTicker(graceLook)
	defer look.Stop()
	for end := time.Now().Add(grace); len(sockets) > 0 && time.Until(end) > -graceMore; sockets = t.sockets(c) {
		for _, s := range sockets {
			if !s.Owed() || time.Now().After(end) {
				s.CloseTransport()
			}
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
	t.mu.Lock()
	asked := c.asked
	c.asked, c.going = nil, false
	t.mu.Unlock()
	gateways := t.gateways()
	if gateways == 0 {
		return // this one is just starting, and nobody waits for it
	}
	for _, msg := range asked {
		reply := &nats.Msg{Subject: msg.Reply, Data: []byte("{}"), Header: nats.Header{
			contract.HeaderGateway:  {t.opts.Gateway},
			contract.HeaderGateways: {strconv.Itoa(gateways)},
		}}
		if err := t.nc.PublishMsg(reply); err != nil {
			t.opts.Log.Warn("an instance that leaves was not told that it may go", "service", by.service, "instance", by.instance, "error", err)
		}
	}
}

// expire gives up the instances that were not heard of for a lease; what was unheard begins anew.
func (t *takers) expire(now time.Time, unheard bool) {
	t.mu.Lock()
	var lost []*session.Socket
	for by, c := range t.known {
		if unheard {
			c.heard = now
		}
		if now.Sub(c.heard) <= max(t.opts.Lease, minSilence) {
			continue
		}
		delete(t.known, by)
		if len(c.sockets) > 0 {
			t.opts.Log.Warn("an instance is gone; its sockets' connections are closed, and the clients come back to others", "service", by.service, "instance", by.instance, "sockets", len(c.sockets))
		}
		for s := range c.sockets {
			lost = append(lost, s)
		}
	}
	t.mu.Unlock()
	for _, s := range lost {
		s.Lose()
	}
}

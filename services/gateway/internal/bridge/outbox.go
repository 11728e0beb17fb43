package bridge

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/services/gateway/internal/session"
)

// outbox publishes what clients say to the main stream and waits until JetStream has confirmed it. What one client says
// is stored in the order in which it said it, and once, however often it must be published: each message has a
// Nats-Msg-Id, which JetStream knows again.
//
// Of each client one message is under way at a time, until it is confirmed or given up: an attempt that is not answered in
// time may still be stored, by a leader that was stopped and goes on, and must not find anything stored that the client
// said before it and JetStream has not yet. Clients do not wait for each other.
type outbox struct {
	bridge *Bridge

	mu      sync.Mutex
	senders map[string]*sender // who has something unconfirmed, by the socket's id
	stalled map[*sender]struct{}
	count   int // messages
	bytes   int
}

// sender is a client with messages that are not confirmed. The outbox's lock guards it.
type sender struct {
	id    string
	posts []*post // in the order in which they were said; the first is under way, if the sender is not stalled
	wait  time.Duration
	next  time.Time // when the first is published again, if the sender is stalled
}

// post is one message on its way. The outbox's lock guards it.
type post struct {
	sender  *sender
	msg     *nats.Msg
	said    time.Time
	until   time.Time // when it is given up
	done    func(id string, err error)
	attempt int  // the last one
	flying  bool // whether that may still be answered
	over    bool // confirmed or given up
}

const (
	// storeTimeout is how long JetStream may take to confirm, attempts together. A stream without a leader has a new one
	// after 4.7 to 7.3 seconds.
	storeTimeout = 12 * time.Second
	// attemptTimeout is how long one attempt may take.
	attemptTimeout = 3 * time.Second
	// maxOutboxBytes bounds what waits, in bytes; Options.MaxPending in messages.
	maxOutboxBytes = 256 << 20
	// storeTick is how often stalled clients are looked at, and the first pause between two attempts.
	storeTick = 50 * time.Millisecond
	// storePause is the longest pause between two attempts.
	storePause = 500 * time.Millisecond
)

var (
	errGivenUp = errors.New("not confirmed in time")
	errSlept   = errors.New("the gateway stood still, and the client may have said more elsewhere since")
)

func newOutbox(b *Bridge) *outbox {
	return &outbox{bridge: b, senders: make(map[string]*sender), stalled: make(map[*sender]struct{})}
}

// add takes a message, and publishes it at once if nothing of the same client is under way.
func (o *outbox) add(from string, p *post) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	size := len(p.msg.Data)
	if o.count >= o.bridge.opts.MaxPending || o.bytes+size > maxOutboxBytes {
		return errBusy
	}
	s := o.senders[from]
	if s == nil {
		s = &sender{id: from}
		o.senders[from] = s
	}
	p.sender = s
	s.posts = append(s.posts, p)
	o.count++
	o.bytes += size
	if len(s.posts) == 1 {
		o.publish(s)
	}
	return nil
}

// publish makes an attempt with the first message of a sender; if it fails right away the sender stalls. mu is held.
func (o *outbox) publish(s *sender) {
	p := s.posts[0]
	delete(o.stalled, s)
	if err := o.attempt(p); err != nil {
		o.stall(s)
	}
}

func (o *outbox) attempt(p *post) error {
	b := o.bridge
	epoch := b.epoch.get()
	if epoch == "" {
		return errNotReady
	}
	if b.copies.holds(p.msg.Subject) {
		return errNotCopied
	}
	if b.Slept(p.said) {
		return errSlept
	}
	if p.attempt > 0 {
		b.opts.Metrics.StoredAgain()
	}
	p.attempt++
	attempt, stream := p.attempt, b.opts.Subjects.Names().Stream
	err := b.stores.request(p.msg, attemptTimeout, func(reply *nats.Msg, err error) {
		id, err := pubAck(stream, epoch, reply, err)
		o.settle(p, attempt, id, err)
	})
	p.flying = err == nil
	return err
}

// stall has the sender's first message published again, after a pause. mu is held.
func (o *outbox) stall(s *sender) {
	s.wait = min(max(2*s.wait, storeTick), storePause)
	s.next = time.Now().Add(s.wait)
	o.stalled[s] = struct{}{}
}

// lost has everything that is not confirmed published again: the connection broke, and no answer will come.
func (o *outbox) lost() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range o.senders {
		s.posts[0].flying = false
		o.stall(s)
	}
}

// settle takes the outcome of an attempt. Any attempt that was confirmed will do; only the last one can have failed.
func (o *outbox) settle(p *post, attempt int, id string, err error) {
	o.mu.Lock()
	last := attempt == p.attempt && p.flying
	over := !p.over && (err == nil || errors.Is(err, session.ErrTooLarge))
	switch s := p.sender; {
	case over:
		o.remove(p)
		s.wait = 0
		if len(s.posts) > 0 {
			o.publish(s)
		}
	case last:
		p.flying = false
		o.stall(s)
	}
	o.mu.Unlock()
	if over {
		p.done(id, err)
	}
}

// remove forgets a message; mu is held.
func (o *outbox) remove(p *post) {
	s := p.sender
	p.over, p.flying = true, false
	o.count--
	o.bytes -= len(p.msg.Data)
	s.posts = slices.DeleteFunc(s.posts, func(other *post) bool { return other == p })
	if len(s.posts) == 0 {
		delete(o.senders, s.id)
		delete(o.stalled, s)
	}
}

// run sees to what is not confirmed until the context ends; then it gives everything up.
func (o *outbox) run(ctx context.Context) {
	tick := time.NewTicker(storeTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			o.lost()
			o.giveUp(func(*post) bool { return true }, context.Cause(ctx))
			return
		case now := <-tick.C:
			o.giveUp(func(p *post) bool { return now.After(p.until) || o.bridge.Slept(p.said) }, errGivenUp)
			o.repeat(now)
		}
	}
}

func (o *outbox) repeat(now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for s := range o.stalled {
		if now.After(s.next) {
			o.publish(s)
		}
	}
}

// giveUp forgets messages of stalled senders. These are not told anything: any answer would end their own attempts.
func (o *outbox) giveUp(which func(*post) bool, err error) {
	var given []*post
	o.mu.Lock()
	for s := range o.stalled {
		for _, p := range s.posts {
			if which(p) {
				given = append(given, p)
			}
		}
	}
	for _, p := range given {
		o.remove(p)
	}
	for _, p := range given { // what follows has not been tried yet
		if s := p.sender; len(s.posts) > 0 && s.posts[0].attempt == 0 {
			s.wait = 0
			o.publish(s)
		}
	}
	o.mu.Unlock()
	for _, p := range given {
		p.done("", err)
	}
}

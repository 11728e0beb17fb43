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
// As long as all goes well nothing waits for anything. When something that a client said is not confirmed (a leader was
// killed, NATS is away) this client stalls: nothing new of it is published before the rest is confirmed or given up,
// and that one by one. Other clients do not notice.
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
	id      string
	posts   []*post // in the order in which they were said
	stalled bool
	flying  int           // attempts that may still be answered
	next    time.Time     // when the first message is published again, if nothing flies
	wait    time.Duration // between the last attempt and the next
}

// post is one message on its way. The outbox's lock guards it.
type post struct {
	sender    *sender
	msg       *nats.Msg
	until     time.Time // when it is given up
	done      func(id string, err error)
	attempt   int  // the last one
	flying    bool // whether that may still be answered
	overtaken bool // what the same client said later is stored
	over      bool // confirmed or given up
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
	errOvertaken = errors.New("something that the client said later is stored already")
	errGivenUp   = errors.New("not confirmed in time")
)

func newOutbox(b *Bridge) *outbox {
	return &outbox{bridge: b, senders: make(map[string]*sender), stalled: make(map[*sender]struct{})}
}

// add takes a message, and publishes it at once if it can.
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
	if !s.stalled && !o.publish(p) {
		o.stall(s)
	}
	return nil
}

// publish makes an attempt; false if it fails right away. mu is held.
func (o *outbox) publish(p *post) bool {
	b := o.bridge
	epoch := b.epoch.get()
	if epoch == "" || b.copies.holds(p.msg.Subject) {
		return false
	}
	if p.attempt > 0 {
		b.opts.Metrics.StoredAgain()
	}
	p.attempt++
	attempt, stream := p.attempt, b.opts.Subjects.Names().Stream
	err := b.stores.request(p.msg, attemptTimeout, func(reply *nats.Msg, err error) {
		id, duplicate, err := pubAck(stream, epoch, reply, err)
		o.settle(p, attempt, id, duplicate, err)
	})
	if err == nil {
		p.flying = true
		p.sender.flying++
	}
	return err == nil
}

// stall has the sender's messages published again, from the first that is not confirmed. mu is held.
func (o *outbox) stall(s *sender) {
	if !s.stalled {
		s.wait = storeTick
	}
	s.stalled = true
	s.next = time.Now().Add(s.wait)
	s.wait = min(2*s.wait, storePause)
	o.stalled[s] = struct{}{}
}

// lost has everything that is not confirmed published again: the connection broke, and no answer will come.
func (o *outbox) lost() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range o.senders {
		for _, p := range s.posts {
			p.flying = false
		}
		s.flying = 0
		o.stall(s)
	}
}

// settle takes the outcome of an attempt. Any attempt that was confirmed will do; only the last one can have failed.
func (o *outbox) settle(p *post, attempt int, id string, duplicate bool, err error) {
	o.mu.Lock()
	var given []*post
	over := false
	if !p.over {
		last := o.landed(p, attempt)
		switch {
		case err == nil:
			over = true
			if !duplicate { // which was stored before what was said meanwhile
				given = o.overtake(p)
			}
		case errors.Is(err, session.ErrTooLarge), last && p.overtaken:
			over = true
		case last:
			o.stall(p.sender)
		}
	}
	if over {
		o.finish(p, err == nil)
	}
	o.mu.Unlock()
	for _, earlier := range given {
		earlier.done("", errOvertaken)
	}
	if over {
		p.done(id, err)
	}
}

// landed notes that an attempt was answered, or will not be, and says whether it was the last one. mu is held.
func (o *outbox) landed(p *post, attempt int) bool {
	last := attempt == p.attempt && p.flying
	if last {
		p.flying = false
		p.sender.flying--
	}
	return last
}

// overtake notes that what the sender said before this was not stored in time, and gives up what has failed already.
// What still flies may have been stored, and its answer be late. mu is held.
func (o *outbox) overtake(p *post) (given []*post) {
	for _, earlier := range p.sender.posts[:slices.Index(p.sender.posts, p)] {
		earlier.overtaken = true
		if !earlier.flying {
			given = append(given, earlier)
		}
	}
	for _, earlier := range given {
		o.remove(earlier)
	}
	return given
}

// finish forgets a message that is confirmed or refused; of a stalled sender the next one follows. mu is held.
func (o *outbox) finish(p *post, confirmed bool) {
	s := p.sender
	first := s.posts[0] == p
	o.remove(p)
	if confirmed && first && s.stalled && s.flying == 0 && len(s.posts) > 0 {
		o.repeat(s)
	}
}

// repeat publishes the first message of a stalled sender. mu is held.
func (o *outbox) repeat(s *sender) {
	if !o.publish(s.posts[0]) {
		o.stall(s)
	}
}

// remove forgets a message; mu is held.
func (o *outbox) remove(p *post) {
	s := p.sender
	if p.flying {
		p.flying = false
		s.flying--
	}
	p.over = true
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
			o.giveUp(func(p *post) bool { return now.After(p.until) }, errGivenUp)
			o.repeatAll(now)
		}
	}
}

func (o *outbox) repeatAll(now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for s := range o.stalled {
		if s.flying == 0 && now.After(s.next) {
			o.repeat(s)
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
	o.mu.Unlock()
	for _, p := range given {
		p.done("", err)
	}
}

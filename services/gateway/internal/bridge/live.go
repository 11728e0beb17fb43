package bridge

import (
	"context"
	"errors"
	"slices"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/internal/hub"
	"github.com/natter-io/natter/services/gateway/internal/session"
)

// readLive is the one reader of all that JetStream republishes. It encodes a message once and queues it at
// the hub's workers; commands take effect between what was said before and after them.
//
// While it is not known which incarnation of the stream messages come from, they wait: neither could they be
// given ids, nor told from those that were read before.
func (b *Bridge) readLive(ctx context.Context) {
	for {
		in, ok := b.next(ctx)
		if !ok {
			return
		}
		// Whoever looks after the connection hears of this too, but maybe later than of what came over the new one. It is in the
		// channel before that connection is made.
		if len(b.broke) > 0 {
			for len(b.broke) > 0 {
				<-b.broke
			}
			b.suspect("reconnected")
		}
		epoch := b.epoch.wait(ctx)
		if epoch == "" {
			return
		}
		if epoch != b.Epoch() {
			b.startOver(epoch, in)
			in = nil
		}
		if b.doubt.Load() && !b.certain(in) {
			b.doubt.Store(false)
			b.backlog = append(slices.Clip(in), b.backlog...)
			b.catchUp(ctx, epoch)
			continue
		}
		for _, in := range in {
			b.stored(ctx, epoch, in)
		}
	}
}

// startOver forgets what was read: the stream is another one, whose sequences begin again. Of what waits, in among it, nothing
// can be told by sequence any more. What is stored in the new stream by now is read back; the rest is gone with the old one.
func (b *Bridge) startOver(epoch string, in []incoming) {
	floor := b.epoch.start()
	b.rooms.startOver(floor)
	b.tail.startOver()
	b.packets.startOver()
	b.caught, b.beat = floor, beat{}
	b.backlog = slices.DeleteFunc(append(slices.Clone(in), b.waiting()...), func(in incoming) bool { return !isTurn(in.msg) })
	b.doubt.Store(true)
	b.handing.Lock()
	defer b.handing.Unlock()
	b.position.startOver(epoch)
	b.position.reach(floor)
	for _, namespace := range b.hub.Namespaces() {
		b.hub.Each(hub.Selection{Namespace: namespace}, (*session.Socket).StartOver)
	}
}

// incoming is a message for the reader of all that is stored: republished, fetched, or the place of those that wait for their turn.
type incoming struct {
	msg     *nats.Msg
	fetched bool // all that is before it was, too
}

// certain says whether nothing can be missing before what is about to be handed on, whatever is in doubt now: a gateway that catches up
// may drop messages again and again meanwhile, and hands on in between what it has.
func (b *Bridge) certain(in []incoming) bool {
	if len(in) == 0 {
		return false
	}
	sequence := sequenceOf(in[0].msg)
	return sequence > 0 && sequence <= b.caught
}

// next waits for a message, or for a doubt: then it returns none.
func (b *Bridge) next(ctx context.Context) (in []incoming, ok bool) {
	if ctx.Err() != nil {
		return nil, false
	}
	if len(b.backlog) > 0 {
		in = b.backlog[:1:1]
		b.backlog = b.backlog[1:]
		return in, true
	}
	if b.doubt.Load() {
		return nil, true
	}
	select {
	case <-ctx.Done():
		return nil, false
	case msg := <-b.live:
		b.first[0] = incoming{msg: msg}
		return b.first[:], true
	case <-b.doubted:
		return nil, true
	}
}

// stored handles one message of the main stream, live or fetched.
func (b *Bridge) stored(ctx context.Context, epoch string, in incoming) {
	msg := in.msg
	if isTurn(msg) {
		if b.recallUpTo(ctx, epoch, in, b.turns.upTo(msg, epoch)) {
			return
		}
		held := b.turns.take(msg)
		b.hub.Barrier()
		b.turns.release(held, nil)
		return
	}
	if b.isElection(msg) {
		b.suspect("leader elected")
		return
	}
	h := contract.Header(msg.Header)
	s, err := contract.ParseStored(h)
	if err != nil {
		b.skip(contract.Live, msg.Subject, 0, err)
		return
	}
	p, err := b.opts.Subjects.Parse(s.Subject)
	if err == nil && p.Kind != contract.Emit && p.Kind != contract.Post && p.Kind != contract.Do {
		err = contract.ErrBadSubject
	}
	if err != nil {
		b.skip(contract.Live, s.Subject, s.Sequence, err)
		return
	}
	path := pathOf(b.opts.Subjects, p.Kind, s.Subject)
	before, after, silent := s.Last, s.Sequence, false
	if in.fetched {
		before = 0
	} else if after, silent = b.silent(s); silent {
		b.opts.Metrics.Doubted("silence")
	}
	verdict := b.rooms.judge(path, p.Kind, s.Sequence, before)
	if verdict == gap { // what else was lost on the way was so from there on
		after = min(after, b.rooms.position(path).read(p.Kind))
	}
	if (silent || verdict == gap) && b.recall(ctx, epoch, in, s, after, verdict == gap) {
		return
	}
	if verdict == twice {
		b.opts.Metrics.Duplicate()
		return
	}
	sel, here, err := b.selection(p, h)
	switch {
	case err != nil || !here:
	case p.Kind == contract.Do:
		if err = b.command(ctx, epoch, sel, s.Sequence, msg.Data); errors.Is(err, errLater) {
			in.fetched = true // when NATS is back, what is missing is looked for first
			b.putFirst(nil, in)
			return
		}
	default:
		err = b.event(sel, p.Kind, s, epoch, h, msg.Data)
	}
	if err != nil {
		b.skip(p.Kind, s.Subject, s.Sequence, err)
	}
	b.rooms.note(path, p.Kind, s.Sequence)
	b.position.reach(s.Sequence)
	b.heard.note(sight{epoch, s.Sequence, s.Time})
}

// skip notes a message that nobody can make sense of. JetStream acked it before anyone could object.
func (b *Bridge) skip(kind contract.Kind, subject string, sequence uint64, reason error) {
	b.opts.Metrics.Skipped(kind)
	b.often(&b.lately.skip, "skipped a message that clients cannot be told", "subject", subject, "sequence", sequence, "reason", reason)
}

// merge puts fetched messages among those that wait in the channel, by sequence. When a fence has
// answered, all that was stored before it has arrived there. Turns come after all that was fetched, since it may be what they
// wait for.
func (b *Bridge) merge(fetched []stored) {
	if len(fetched) == 0 {
		return
	}
	waiting := b.waiting()
	merged := make([]incoming, 0, len(waiting)+len(fetched))
	var turns []incoming
	for _, in := range waiting {
		if isTurn(in.msg) {
			turns = append(turns, in)
			continue
		}
		sequence := sequenceOf(in.msg)
		for len(fetched) > 0 && sequence != 0 && fetched[0].sequence < sequence {
			merged = append(merged, incoming{fetched[0].msg, true})
			fetched = fetched[1:]
		}
		merged = append(merged, in)
	}
	for _, m := range fetched {
		merged = append(merged, incoming{m.msg, true})
	}
	b.backlog = append(merged, turns...)
}

// waiting takes all that waits for the reader, in its order.
func (b *Bridge) waiting() []incoming {
	all := b.backlog
	b.backlog = nil
	for n := len(b.live); n > 0; n-- {
		all = append(all, incoming{msg: <-b.live})
	}
	return all
}

func sequenceOf(msg *nats.Msg) uint64 {
	s, err := contract.ParseStored(contract.Header(msg.Header))
	if err != nil {
		return 0
	}
	return s.Sequence
}

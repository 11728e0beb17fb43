package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/internal/hub"
)

// The stream is the truth, live delivery its echo: JetStream republishes at most once. What was stored but not heard is
// found in three ways, and read back before anything that was stored after it in its room is handed on:
//
//   - a message names its predecessor, which was not heard: fill;
//   - something happened that may have cost messages, such as another leader of the stream: suspect, catchUp;
//   - nothing of that, and still the stream has more than was heard: sweep.

const (
	sweepEvery  = 2 * time.Second
	repairWait  = 50 * time.Millisecond // after the first failure
	repairLimit = 2 * time.Second       // between two
)

// electedSubject with the stream's name is where JetStream says that a stream has another leader. What the one
// before it had stored may never be republished.
const electedSubject = "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED."

func (b *Bridge) isElection(msg *nats.Msg) bool {
	return strings.HasPrefix(msg.Subject, electedSubject)
}

// suspect has the reader look for what was missed before it goes on.
func (b *Bridge) suspect(reason string) {
	b.opts.Metrics.Doubted(reason)
	b.doubt.Store(true)
	select {
	case b.doubted <- struct{}{}:
	default:
	}
}

// hearOfDrops suspects when the connection dropped messages since a queue was full. The result undoes it.
func (b *Bridge) hearOfDrops() func() {
	before := b.nc.ErrorHandler()
	b.nc.SetErrorHandler(func(nc *nats.Conn, sub *nats.Subscription, err error) {
		if errors.Is(err, nats.ErrSlowConsumer) {
			b.suspect("slow consumer")
		}
		if before != nil {
			before(nc, sub, err)
		}
	})
	return func() { b.nc.SetErrorHandler(before) }
}

// fill reads back what was missed before a message, and puts both first in line.
func (b *Bridge) fill(ctx context.Context, epoch string, in incoming, path string, kind contract.Kind, known, sequence uint64) {
	missing := everything(path, sequence)
	missing.after[link(kind)] = known
	var missed []*nats.Msg
	b.persist(ctx, epoch, func() (err error) {
		missed, err = b.tail.read(ctx, []want{missing}, sequence-1)
		return err
	})
	b.opts.Metrics.Repaired(len(missed))
	first := make([]incoming, 0, len(missed)+1+len(b.backlog))
	for _, msg := range missed {
		first = append(first, incoming{msg, true})
	}
	in.fetched = true
	b.backlog = append(append(first, in), b.backlog...)
}

// catchUp reads back all that was stored and not heard, and puts it in its place among what waits. Nothing is
// delivered meanwhile, so that no later message passes an earlier one.
func (b *Bridge) catchUp(ctx context.Context, epoch string) {
	b.persist(ctx, epoch, func() error {
		last, err := b.fence.wait(ctx)
		if err != nil {
			return err
		}
		var wants []want
		for path, c := range b.positions() {
			w := want{path: path}
			for i := range w.after {
				w.after[i] = max(c.last[i], c.floor)
			}
			wants = append(wants, w)
		}
		if len(wants) == 0 {
			return nil
		}
		missed, err := b.tail.read(ctx, wants, last)
		if err != nil {
			return err
		}
		b.merge(missed)
		return nil
	})
}

// persist tries until it works, NATS is away or another stream is there: then all is looked at anew.
func (b *Bridge) persist(ctx context.Context, epoch string, attempt func() error) {
	for wait := repairWait; b.epoch.get() == epoch; wait = min(2*wait, repairLimit) {
		err := attempt()
		if err == nil || ctx.Err() != nil {
			return
		}
		b.often(&b.lately.repair, "delivery waits for what may have been missed, which cannot be read now; trying again", "error", err, "in", wait)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// positions is how far each path has been read, on which something for a socket here may be stored.
func (b *Bridge) positions() map[string]chain {
	all := b.rooms.positions()
	for _, namespace := range b.hub.Namespaces() {
		token, err := contract.EncodeNamespace(namespace)
		if err != nil {
			continue
		}
		for _, s := range b.hub.Select(hub.Selection{Namespace: namespace}) {
			path := token + "." + contract.TargetSocket + "." + s.ID()
			if c := b.rooms.position(path); c.whole {
				all[path] = c
			}
		}
		if pattern, err := contract.EncodeNamespace(b.spaces.pattern(namespace)); err == nil && b.spaces.pattern(namespace) != "" {
			for path := range all {
				if rest, ok := strings.CutPrefix(path, token+"."); ok && !strings.HasPrefix(rest, contract.TargetSocket) {
					if c := b.rooms.position(pattern + "." + rest); c.whole {
						all[pattern+"."+rest] = c
					}
				}
			}
		}
	}
	return all
}

// sweep looks now and then whether the stream has more than was heard. What is still missing at the second look is
// not merely under way.
func (b *Bridge) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	anchor := time.NewTicker(b.opts.StreamAge / 3)
	defer anchor.Stop()
	s := sweeper{bridge: b}
	for {
		select {
		case <-ctx.Done():
			return
		case <-anchor.C:
			if err := b.tail.anchor(ctx, b.js); err != nil {
				b.opts.Log.Debug("the anchor was not stored", "error", err)
			}
		case <-tick.C:
			s.look(ctx)
		}
	}
}

type sweeper struct {
	bridge *Bridge
	epoch  string
	seen   uint64            // the stream was looked at up to here
	late   map[string]uint64 // by subject: what was stored and not heard at the last look
}

func (s *sweeper) look(ctx context.Context) {
	b := s.bridge
	epoch := b.epoch.get()
	if epoch == "" {
		return
	}
	if epoch != s.epoch {
		s.epoch, s.seen, s.late = epoch, b.rooms.start(), nil
	}
	known := b.positions()
	for subject, sequence := range s.late {
		if s.unheard(known, subject, sequence) {
			b.suspect("sweep")
			break
		}
	}
	s.late = nil
	ctx, cancel := context.WithTimeout(ctx, tailTimeout)
	defer cancel()
	lasts, reached, err := b.tail.changes(ctx, s.seen)
	if errors.Is(err, errTooMuch) {
		lasts = make(map[string]uint64)
		err = b.tail.each(ctx, known, lasts)
	}
	if err != nil {
		b.opts.Log.Debug("looking for missed messages", "error", err)
		return
	}
	if reached != math.MaxInt64 {
		s.seen = max(s.seen, reached)
	}
	for subject, sequence := range lasts {
		if s.unheard(known, subject, sequence) {
			if s.late == nil {
				s.late = make(map[string]uint64)
			}
			s.late[subject] = sequence
		}
	}
}

// unheard says whether a message is for somebody here, and was not read.
func (s *sweeper) unheard(known map[string]chain, subject string, sequence uint64) bool {
	path, kind, err := s.bridge.tail.path(subject)
	if err != nil {
		return false
	}
	c, ok := known[path]
	return ok && sequence > max(c.last[link(kind)], c.floor)
}

// changes returns the last sequence on each subject that has messages after a sequence, and how far the stream was.
func (t *tail) changes(ctx context.Context, after uint64) (lasts map[string]uint64, reached uint64, err error) {
	subjects := []string{t.opts.Subjects.AllOf(contract.Emit), t.opts.Subjects.AllOf(contract.Post), t.opts.Subjects.AllOf(contract.Do)}
	request, err := json.Marshal(map[string]any{"multi_last": subjects, "seq": after + 1})
	if err != nil {
		return nil, 0, err
	}
	return t.lastOf(ctx, request)
}

// each adds the last sequences on all subjects of the paths.
func (t *tail) each(ctx context.Context, paths map[string]chain, lasts map[string]uint64) error {
	for chunk := range slices.Chunk(slices.Collect(maps.Keys(paths)), pathsAtOnce) {
		some, err := t.lasts(ctx, chunk, 0)
		if err != nil {
			return err
		}
		maps.Copy(lasts, some)
	}
	return nil
}

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
	lookAtAll   = 5                     // of so many sweeps that find too many changes, one looks at every path
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
func (b *Bridge) fill(ctx context.Context, epoch string, in incoming, path string, sequence uint64) {
	missing := b.rooms.position(path).rest(path) // of all kinds, which have one order
	var missed []stored
	b.persist(ctx, epoch, func() (err error) {
		missed, err = b.tail.read(ctx, []want{missing}, sequence-1)
		return err
	})
	b.opts.Metrics.Repaired(len(missed))
	first := make([]incoming, 0, len(missed)+1+len(b.backlog))
	for _, msg := range missed {
		first = append(first, incoming{msg.msg, true})
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
		wants, err := b.unread(ctx, last)
		if err != nil {
			return err
		}
		if len(wants) > 0 {
			missed, err := b.tail.read(ctx, wants, last)
			if err != nil {
				return err
			}
			b.merge(missed)
		}
		b.caught = last
		return nil
	})
}

// unread is what was stored since the reader caught up last, and was not heard: on the paths that the stream says have
// changed, or on all if these are too many for an answer.
func (b *Bridge) unread(ctx context.Context, last uint64) (wants []want, err error) {
	lasts, reached, err := b.tail.changes(ctx, max(b.caught, b.rooms.start()))
	switch {
	case errors.Is(err, errTooMuch):
		for path, c := range b.positions() {
			wants = append(wants, c.rest(path))
		}
		return wants, nil
	case err != nil:
		return nil, err
	case reached < last:
		return nil, errBehind
	}
	found := make(map[string]chain)
	for subject, sequence := range lasts {
		if path, c, ok := b.unheard(subject, sequence); ok {
			found[path] = c
		}
	}
	for path, c := range found {
		wants = append(wants, c.rest(path))
	}
	return wants, nil
}

// unheard says whether a stored message is for somebody here and was not read, and how far its path was.
func (b *Bridge) unheard(subject string, sequence uint64) (path string, c chain, ok bool) {
	path, kind, err := b.tail.path(subject)
	if err != nil {
		return "", chain{}, false
	}
	if c, ok = b.followed(path); !ok || sequence <= max(c.last[link(kind)], c.floor) {
		return "", chain{}, false
	}
	return path, c, true
}

// followed is what positions has of one path, without looking at the others.
func (b *Bridge) followed(path string) (chain, bool) {
	if c, known := b.rooms.followed(path); known {
		return c, c.whole
	}
	p, err := b.opts.Subjects.Parse(b.opts.Subjects.Prefix() + "." + string(contract.Emit) + "." + path)
	if err != nil {
		return chain{}, false
	}
	token, rest, _ := strings.Cut(path, ".")
	here := false
	if strings.HasPrefix(rest, contract.TargetSocket+".") {
		here = len(b.hub.Select(hub.Selection{Namespace: p.Namespace, Rooms: p.Target.Rooms()})) > 0
	} else if b.rooms.isWide(token) {
		for _, namespace := range b.hub.Namespaces() {
			own, err := contract.EncodeNamespace(namespace)
			if err != nil || b.spaces.pattern(namespace) != p.Namespace {
				continue
			}
			c, _ := b.rooms.followed(own + "." + rest)
			here = here || c.whole
		}
	}
	c := b.rooms.position(path)
	return c, here && c.whole
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
			b.widen(ctx)
			s.look(ctx)
		}
	}
}

// widen has the chains of patterns begin, whose subscriptions are there for as long as the pattern is.
func (b *Bridge) widen(ctx context.Context) {
	for _, pattern := range b.spaces.patternNames() {
		token, err := contract.EncodeNamespace(pattern)
		if err != nil || b.rooms.isWide(token) {
			continue
		}
		last, err := b.fence.wait(ctx)
		if err != nil {
			return
		}
		b.rooms.widen(token, last)
	}
}

type sweeper struct {
	bridge *Bridge
	epoch  string
	seen   uint64            // the stream was looked at up to here
	late   map[string]uint64 // by subject: what was stored and not heard at the last look
	all    int               // how often more had changed than one answer says
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
	for subject, sequence := range s.late {
		if _, _, ok := b.unheard(subject, sequence); ok {
			b.suspect("sweep")
			break
		}
	}
	s.late = nil
	ctx, cancel := context.WithTimeout(ctx, tailTimeout)
	defer cancel()
	lasts, reached, err := b.tail.changes(ctx, s.seen)
	if errors.Is(err, errTooMuch) {
		if s.all++; s.all%lookAtAll != 1 {
			return
		}
		lasts = make(map[string]uint64)
		err = b.tail.each(ctx, b.positions(), lasts)
	}
	if err != nil {
		b.opts.Log.Debug("looking for missed messages", "error", err)
		return
	}
	if reached != math.MaxInt64 {
		s.seen = max(s.seen, reached)
	}
	for subject, sequence := range lasts {
		if _, _, ok := b.unheard(subject, sequence); ok {
			if s.late == nil {
				s.late = make(map[string]uint64)
			}
			s.late[subject] = sequence
		}
	}
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

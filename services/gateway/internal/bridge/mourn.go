package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/services/gateway/internal/hub"
	"github.com/natter-io/natter/services/gateway/internal/session"
)

// run hears of claims, renews this gateway's own sign of life, and looks after the sessions of gateways that are gone, and after
// its own when it may have been taken for gone.
func (s *sessions) run(ctx context.Context) {
	if !s.bridge.opts.Recovery {
		return
	}
	tick := time.NewTicker(s.bridge.opts.Lease / 3)
	defer tick.Stop()
	var known []string // gateways that were alive at the last look
	var looking sync.WaitGroup
	defer looking.Wait()
	looked := make(chan look, 1)
	due, busy := look{others: true}, false
	var again time.Time // when to look at the own once more, as others may still be at it
	for {
		select {
		case <-ctx.Done():
			s.giveUpUnkept()
			return
		case msg := <-s.claims:
			s.claimed(msg)
		case failed := <-looked:
			busy, due = false, look{due.others || failed.others, due.own || failed.own}
		case <-tick.C:
			if s.bridge.Ready(ctx) != nil {
				continue
			}
			if _, err := s.beat(ctx); err != nil {
				s.bridge.opts.Log.Debug("the sign of life was not stored", "error", err)
			}
			alive := s.bridge.gateways.list()
			due.others = due.others || lost(known, alive) || s.unheard.Swap(false)
			known = alive
			switch now := time.Now(); {
			case s.bridge.gateways.lapsed.Swap(false):
				due.own, again = true, now.Add(s.bridge.opts.Lease)
			case !again.IsZero() && now.After(again):
				due.own, again = true, time.Time{}
			}
			due.own = due.own || !busy && s.anew.Load() != nil
			if due != (look{}) && !busy {
				now := due
				due, busy = look{}, true
				looking.Go(func() { looked <- look{now.others && !s.mourn(ctx), now.own && !s.storeAgain(ctx)} })
			}
			s.keepUnkept()
			s.forget(time.Now())
			s.bridge.packets.trim(time.Now())
		}
	}
}

// look is which sessions are to be looked after: those of gateways that are gone, those of sockets here.
type look struct{ others, own bool }

// lost says whether one of the gateways is not among those alive.
func lost(known, alive []string) bool {
	return slices.ContainsFunc(known, func(id string) bool { return !slices.Contains(alive, id) })
}

// storeAgain stores the sessions of all sockets here once more, as the bucket is a new one, or this gateway's lease had ended and others
// may have taken it for gone. Where somebody has noted that the client is away, or that was so long ago that the session is gone, the write fails for
// certain, and the connection is closed: services were told so. It returns whether it got through.
func (s *sessions) storeAgain(ctx context.Context) (all bool) {
	outage, anew := s.bridge.gateways.outage(), s.anew.Load()
	var failed atomic.Bool
	places := make(chan struct{}, burials)
	for _, namespace := range s.bridge.hub.Namespaces() {
		for _, socket := range s.bridge.hub.Select(hub.Selection{Namespace: namespace}) {
			places <- struct{}{}
			socket.StoreAgain(func(err error) {
				if err != nil && !errors.Is(err, session.ErrClaimed) {
					failed.Store(true)
				}
				<-places
			})
		}
	}
	for range cap(places) { // each write has its own deadline
		places <- struct{}{}
	}
	if failed.Load() || ctx.Err() != nil {
		return false
	}
	s.bridge.gateways.settle(outage)
	s.anew.CompareAndSwap(anew, nil) // unless there is yet another one
	return true
}

// mourn notes for all sessions of gateways that are gone that their clients are away, and tells services. Several
// gateways may do so at a time: the first write counts. It returns whether it got through.
func (s *sessions) mourn(ctx context.Context) (all bool) {
	gone := s.gone(ctx)
	all = true
	places := make(chan struct{}, burials)
	defer func() {
		for range cap(places) { // each write has its own deadline
			places <- struct{}{}
		}
	}()
	err := s.each(ctx, func(entry jetstream.KeyValueEntry, r record) {
		all = s.bury(ctx, entry, r, gone, places) && all
	})
	if err != nil {
		s.bridge.opts.Log.Debug("looking for sessions of gateways that are gone", "error", err)
	}
	return all && err == nil
}

// each reads all sessions that were stored before it began, but for those that change meanwhile. A copy that is behind shows by this
// gateway's sign of life, which is stored first: then it fails with [errBehind].
func (s *sessions) each(ctx context.Context, take func(jetstream.KeyValueEntry, record)) error {
	beat, err := s.beat(ctx)
	if err != nil {
		return fmt.Errorf("a sign of life: %w", err)
	}
	own, whole := beatKey(s.bridge.opts.Gateway), false
	watcher, err := (*s.bucket.Load()).WatchFiltered(ctx, []string{"session.*", own}, jetstream.IgnoreDeletes())
	if err != nil {
		return fmt.Errorf("reading sessions: %w", err)
	}
	defer watcher.Stop() //nolint:errcheck // fails only on a closed connection
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("reading sessions: %w", context.Cause(ctx))
		case entry, ok := <-watcher.Updates():
			switch {
			case !ok:
				return fmt.Errorf("reading sessions: %w", nats.ErrConnectionClosed)
			case entry == nil && !whole:
				return errBehind
			case entry == nil: // those were all
				return nil
			case entry.Key() == own:
				whole = entry.Revision() >= beat
				continue
			}
			var r record
			if json.Unmarshal(entry.Value(), &r) == nil {
				take(entry, r)
			}
		}
	}
}

// lookForOwn finds out, once, which sockets with ids of a gateway that had this one's id before have gone on at others: those
// answer for them. Until then this one answers for none that it does not have.
func (s *sessions) lookForOwn(ctx context.Context) error {
	if s.looked.Load() {
		return nil
	}
	if !s.bridge.opts.FreshID {
		if err := s.each(ctx, func(_ jetstream.KeyValueEntry, r record) {
			if !r.Ended {
				s.rememberMoved(&r)
			}
		}); err != nil {
			return err
		}
	}
	s.looked.Store(true)
	return nil
}

// rememberMoved remembers a socket that has gone on at another gateway if its id is of this one's.
func (s *sessions) rememberMoved(r *record) {
	own := s.bridge.opts.Gateway
	if owner, _, _ := strings.Cut(r.ID, "."); owner == own && r.Gateway != owner {
		s.remember(r.ID)
	}
}

// gone returns what says whether a gateway is gone. One whose lease was not heard of may live, while the bucket of leases
// has no leader or whoever delivers from it was killed: it is asked.
func (s *sessions) gone(ctx context.Context) func(gateway string) (gone, sure bool) {
	known := make(map[string]bool)
	return func(gateway string) (gone, sure bool) {
		if gateway == s.bridge.opts.Gateway || s.bridge.gateways.alive(gateway) {
			return false, true
		}
		gone, ok := known[gateway]
		if !ok {
			gone = s.bridge.inquire(ctx, gateway) != living && !s.bridge.gateways.holds(ctx, gateway)
			known[gateway] = gone
		}
		return gone, gone
	}
}

// bury notes that a client is away if its gateway is gone, and tells services; false if that is to be looked at again. It closes
// connections here of a socket that has gone on elsewhere.
func (s *sessions) bury(ctx context.Context, entry jetstream.KeyValueEntry, r record, isGone func(string) (gone, sure bool), places chan struct{}) (sure bool) {
	s.close(r.Namespace, r.ID, r.Claim) // that there is a later claim may have gone unheard
	if r.Ended {
		return true
	}
	s.rememberMoved(&r)
	if !r.Left.IsZero() {
		return true
	}
	if !s.stale(&r, entry.Revision()) {
		if gone, sure := isGone(r.Gateway); !gone {
			return sure
		}
	}
	away, err := s.bridge.away(ctx, &r, entry.Revision())
	if err != nil {
		return false
	}
	r.Left, r.Told = s.clock.now().UTC().Add(-min(away, s.bridge.opts.Window+time.Second)), true
	places <- struct{}{}
	s.write(strings.TrimPrefix(entry.Key(), "session."), r, entry.Revision(), func(_ uint64, err error) {
		if err == nil {
			s.bridge.tellGone(r.Saved, "transport error")
		}
		<-places
	})
	return true
}

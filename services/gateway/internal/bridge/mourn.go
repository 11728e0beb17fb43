package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/services/gateway/internal/hub"
	"github.com/natter-io/natter/services/gateway/internal/session"
)

// run hears of claims, renews this gateway's own sign of life, and looks after the sessions of gateways that are gone.
func (s *sessions) run(ctx context.Context) {
	if !s.bridge.opts.Recovery {
		return
	}
	tick := time.NewTicker(s.bridge.opts.Lease / 3)
	defer tick.Stop()
	var known []string // gateways that were alive at the last look
	var mourning sync.WaitGroup
	defer mourning.Wait()
	mourned := make(chan bool, 1)
	due, busy := true, false
	var again time.Time // when to look once more, as others may still be at it
	for {
		select {
		case <-ctx.Done():
			return
		case msg := <-s.claims:
			s.claimed(msg)
		case all := <-mourned:
			busy, due = false, due || !all
		case <-tick.C:
			if s.bridge.Ready(ctx) != nil {
				continue
			}
			if err := s.beat(ctx); err != nil {
				s.bridge.opts.Log.Debug("the sign of life was not stored", "error", err)
			}
			alive := s.bridge.gateways.list()
			due = due || lost(known, alive) || s.unheard.Swap(false)
			known = alive
			switch now := time.Now(); {
			case s.bridge.gateways.lapsed.Swap(false):
				due, again = true, now.Add(s.bridge.opts.Lease)
				s.returned.Store(true)
			case !again.IsZero() && now.After(again):
				due, again = true, time.Time{}
			}
			if due && !busy {
				due, busy = false, true
				mourning.Go(func() { mourned <- s.mourn(ctx) })
			}
			s.keepUnkept()
			s.forget(time.Now())
			s.bridge.packets.trim(time.Now())
		}
	}
}

// lost says whether one of the gateways is not among those alive.
func lost(known, alive []string) bool {
	return slices.ContainsFunc(known, func(id string) bool { return !slices.Contains(alive, id) })
}

// mourn notes for all sessions of gateways that are gone that their clients are away, and tells services. Several
// gateways may do so at a time: the first write counts. It returns whether it got through.
//
// If this gateway's own lease had ended it may be taken for gone, too. Then it closes the connections of sockets whose sessions are
// not there any more, as they were kept for less than that; of others, see outlived.
func (s *sessions) mourn(ctx context.Context) (all bool) {
	returned := s.returned.Swap(false)
	through := false
	defer func() {
		if returned && !through {
			s.returned.Store(true)
		}
	}()
	var unseen map[place]*session.Socket
	if returned && !s.anew.Load() {
		unseen = s.stored()
	}
	kv := *s.bucket.Load()
	watcher, err := kv.WatchFiltered(ctx, []string{"session.*"}, jetstream.IgnoreDeletes())
	if err != nil {
		s.bridge.opts.Log.Debug("reading the sessions of gateways that are gone", "error", err)
		return false
	}
	defer watcher.Stop() //nolint:errcheck // fails only on a closed connection
	gone := s.gone(ctx)
	all = true
	places := make(chan struct{}, burials)
	defer func() {
		for range cap(places) { // each write has its own deadline
			places <- struct{}{}
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return false
		case entry, ok := <-watcher.Updates():
			if !ok {
				return false
			}
			if entry == nil { // those were all
				through = true
				for _, socket := range unseen {
					socket.MovedOn()
				}
				return all
			}
			var r record
			if json.Unmarshal(entry.Value(), &r) == nil {
				delete(unseen, place{r.Namespace, r.ID})
				all = s.bury(ctx, entry, r, gone, places) && all
			}
		}
	}
}

// place is where a socket is.
type place struct{ namespace, id string }

// stored are the sockets here whose sessions this gateway has stored.
func (s *sessions) stored() map[place]*session.Socket {
	all := make(map[place]*session.Socket)
	for _, namespace := range s.bridge.hub.Namespaces() {
		for _, socket := range s.bridge.hub.Select(hub.Selection{Namespace: namespace}) {
			if socket.Stored() {
				all[place{namespace, socket.ID()}] = socket
			}
		}
	}
	return all
}

// lookForOwn finds out, once, which sockets with ids of a gateway that had this one's id before have gone on at others: those
// answer for them. Until then this one answers for none that it does not have.
func (s *sessions) lookForOwn(ctx context.Context) error {
	if s.looked.Load() {
		return nil
	}
	if s.bridge.opts.FreshID {
		s.looked.Store(true)
		return nil
	}
	watcher, err := (*s.bucket.Load()).WatchFiltered(ctx, []string{"session.*"}, jetstream.IgnoreDeletes())
	if err != nil {
		return fmt.Errorf("reading sessions: %w", err)
	}
	defer watcher.Stop() //nolint:errcheck // fails only on a closed connection
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("reading sessions: %w", context.Cause(ctx))
		case entry, ok := <-watcher.Updates():
			if !ok {
				return fmt.Errorf("reading sessions: %w", nats.ErrConnectionClosed)
			}
			if entry == nil { // those were all
				s.looked.Store(true)
				return nil
			}
			var r record
			if json.Unmarshal(entry.Value(), &r) == nil && !r.Ended {
				s.rememberMoved(&r)
			}
		}
	}
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
	own := s.bridge.opts.Gateway
	s.rememberMoved(&r)
	stale := s.stale(&r, entry.Revision())
	if !r.Left.IsZero() {
		if r.Gateway == own && !stale {
			s.outlived(&r)
		}
		return true
	}
	if !stale {
		if gone, sure := isGone(r.Gateway); !gone {
			return sure
		}
	}
	away, err := s.bridge.away(ctx, &r, entry.Revision())
	if err != nil {
		return false
	}
	r.Left = time.Now().UTC().Add(-min(away, s.bridge.opts.Window+time.Second))
	places <- struct{}{}
	s.write(strings.TrimPrefix(entry.Key(), "session."), r, entry.Revision(), func(_ uint64, err error) {
		if err == nil {
			s.bridge.tellGone(r.Saved, "transport error")
		}
		<-places
	})
	return true
}

// outlived closes the connection of a socket whose client another gateway took to be away, as this one's lease had ended:
// services were told so. The client comes back, and goes on.
func (s *sessions) outlived(r *record) {
	for _, socket := range s.bridge.hub.Select(hub.Selection{Namespace: r.Namespace, Rooms: []string{r.ID}}) {
		if socket.Claimed() == r.Claim {
			socket.MovedOn()
		}
	}
}

package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/services/gateway/internal/session"
)

// errNotKept says that nobody knows whether the end of a session was stored.
var errNotKept = fmt.Errorf("%w: the end of a session could not be stored", session.ErrUnavailable)

// Keep stores a session. A write whose acknowledgement was lost makes the next one fail; then what is stored tells
// whose the session is.
func (b *Bridge) Keep(c session.Claim, saved session.Saved, fate session.Fate, done func(uint64, error)) {
	if fate == session.Ended { // nobody goes on with it, and the rest may be what is too large
		saved = session.Saved{ID: saved.ID, Namespace: saved.Namespace, Epoch: saved.Epoch}
	}
	r := record{Saved: saved, Gateway: b.opts.Gateway, Claim: c.Number, Ended: fate == session.Ended}
	if fate == session.Left {
		r.Left = b.sessions.clock.now().UTC()
		if beyond := b.gateways.outage() - (b.opts.StreamAge-b.opts.Window)/2; beyond > 0 && r.Since.IsZero() {
			r.Since = r.Left.Add(-beyond) // it was told nothing, for longer than the stream makes up for
		}
	}
	if fate == session.Here {
		b.keepRecord(c, r, done)
		return
	}
	b.sessions.keepEnd(unkept{claim: c, record: r, since: time.Now(), done: done})
}

func (b *Bridge) keepRecord(c session.Claim, r record, done func(uint64, error)) {
	b.sessions.write(c.PID, r, c.Revision, func(revision uint64, err error) {
		if !errors.Is(err, session.ErrClaimed) {
			done(revision, err)
			return
		}
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), findTimeout)
			defer cancel()
			done(b.keepAgain(ctx, c, r))
		}()
	})
}

func (b *Bridge) keepAgain(ctx context.Context, c session.Claim, r record) (uint64, error) {
	here := r.Left.IsZero() && !r.Ended
	for range claimTries {
		now, revision, err := b.sessions.readLatest(ctx, c.PID)
		if err != nil {
			return 0, fmt.Errorf("%w: %w", session.ErrUnavailable, err)
		}
		if now != nil && revision >= c.Revision { // else the bucket went back
			if now.Gateway != r.Gateway || now.Claim != r.Claim || r.Try != "" && r.Try != now.Try {
				return 0, session.ErrClaimed
			}
			if here && (now.Ended || !now.Left.IsZero()) { // this gateway was taken for gone: see storeAgain
				return 0, session.ErrClaimed
			}
			r.Told = now.Told
		}
		absent := now == nil && here && c.Revision > 0
		if now == nil {
			revision = 0
		}
		if !absent || !b.sessions.mayBeOver() {
			revision, err = b.sessions.writeNow(ctx, c.PID, r, revision)
			switch {
			case err == nil && r.Told:
				return 0, session.ErrClaimed
			case !errors.Is(err, session.ErrClaimed):
				return revision, err
			}
		}
		if absent {
			switch err := b.sessions.end(ctx, c.PID, r); {
			case err == nil:
				return 0, session.ErrClaimed
			case !errors.Is(err, jetstream.ErrKeyExists):
				return 0, fmt.Errorf("%w: %w", session.ErrUnavailable, err)
			}
		}
	}
	return 0, fmt.Errorf("%w: the session's bucket contradicts itself", session.ErrUnavailable)
}

// end ends a session for good that is not there, or was deleted, or has expired; it fails with [jetstream.ErrKeyExists] if it is there.
func (s *sessions) end(ctx context.Context, pid string, r record) error {
	k, _ := key(pid)
	value, err := json.Marshal(record{Saved: session.Saved{ID: r.ID, Namespace: r.Namespace, Epoch: r.Epoch}, Gateway: r.Gateway, Claim: r.Claim, Ended: true})
	if err != nil {
		return err
	}
	_, err = (*s.bucket.Load()).Create(ctx, k, value, jetstream.KeyTTL(keepMargin))
	return err
}

// mayBeOver says whether sessions of clients that are here may be gone and leave no trace, since this gateway had no lease for longer than
// a client may be away. Else what is not there was lost with a server.
func (s *sessions) mayBeOver() bool {
	return s.bridge.gateways.outage() > max(s.bridge.opts.Window, s.bridge.opts.Lease) && s.anew.Load() == nil
}

// keepEnd stores the end of a session. As long as nobody knows whether it is stored that is tried again, and services are not told:
// without the bucket the client cannot come back, and if it is the link to NATS that fails it may be elsewhere already.
func (s *sessions) keepEnd(u unkept) {
	s.bridge.keepRecord(u.claim, u.record, func(revision uint64, err error) {
		switch {
		case err != nil && !errors.Is(err, session.ErrClaimed) && !errors.Is(err, session.ErrUnstorable):
			s.keepLater(u)
		case err == nil && s.bridge.Slept(u.since): // the client may have come back since, elsewhere: it is too late to tell of its end
			u.claim.Revision, u.since = revision, time.Now()
			s.keepEnd(u)
		default:
			u.tell(revision, err)
		}
	})
}

func (u unkept) tell(revision uint64, err error) {
	if u.done != nil {
		u.done(revision, err)
	}
}

// keepLater notes the end of a session that could not be stored: without it the client could come back for ever.
func (s *sessions) keepLater(u unkept) {
	s.mu.Lock()
	again := !s.over && len(s.unkept) < maxUnkept
	waits := again && time.Since(u.since) <= endPatience
	done := u.done
	if !waits {
		u.done = nil
	}
	if again {
		s.unkept = append(s.unkept, u)
	}
	s.mu.Unlock()
	if !waits && done != nil {
		done(0, errNotKept)
	}
}

// endUnkept has the clients whose sessions could not be stored start afresh.
func (s *sessions) endUnkept() {
	s.mu.Lock()
	for i := range s.unkept {
		s.unkept[i].Ended = true
	}
	s.mu.Unlock()
	s.keepUnkept()
}

// keepUnkept tries again to store what could not be.
func (s *sessions) keepUnkept() {
	for _, u := range s.takeUnkept() {
		s.keepEnd(u)
	}
}

func (s *sessions) takeUnkept() []unkept {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.unkept
	s.unkept = nil
	return all
}

// giveUpUnkept has all be told who wait for an end to be stored, as the gateway stops.
func (s *sessions) giveUpUnkept() {
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
	for _, u := range s.takeUnkept() {
		u.tell(0, errNotKept)
	}
}

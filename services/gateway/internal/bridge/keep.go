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

// Keep stores a session. A write whose acknowledgement was lost makes the next one fail; then what is stored tells
// whose the session is.
func (b *Bridge) Keep(c session.Claim, saved session.Saved, fate session.Fate, done func(uint64, error)) {
	if fate == session.Ended { // nobody goes on with it, and the rest may be what is too large
		saved = session.Saved{ID: saved.ID, Namespace: saved.Namespace, Epoch: saved.Epoch}
	}
	r := record{Saved: saved, Gateway: b.opts.Gateway, Claim: c.Number, Ended: fate == session.Ended}
	if fate == session.Left {
		r.Left = time.Now().UTC()
	}
	b.keepRecord(c, r, func(revision uint64, err error) {
		if err != nil && fate != session.Here && !errors.Is(err, session.ErrClaimed) && !errors.Is(err, session.ErrUnstorable) {
			b.sessions.keepLater(c, r)
		}
		done(revision, err)
	})
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
		now, revision, err := b.sessions.read(ctx, c.PID)
		if err != nil {
			return 0, fmt.Errorf("%w: %w", session.ErrUnavailable, err)
		}
		if now != nil && revision >= c.Revision { // else who was asked is behind, and the write is refused; or the bucket went back
			if now.Gateway != r.Gateway || now.Claim != r.Claim || r.Try != "" && r.Try != now.Try {
				return 0, session.ErrClaimed
			}
			if here && (now.Ended || !now.Left.IsZero()) { // this gateway was taken for gone: see storeAgain
				return 0, session.ErrClaimed
			}
		}
		absent := now == nil && here && c.Revision > 0
		if now == nil {
			revision = 0
		}
		if !absent || !b.sessions.mayBeOver() {
			if revision, err = b.sessions.writeNow(ctx, c.PID, r, revision); !errors.Is(err, session.ErrClaimed) {
				return revision, err
			}
		}
		if absent {
			switch err := b.sessions.end(ctx, c.PID, r); {
			case err == nil:
				return 0, session.ErrClaimed
			case !errors.Is(err, jetstream.ErrKeyExists): // else who was asked was behind
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
	return s.bridge.gateways.outage() > max(s.bridge.opts.Window, s.bridge.opts.Lease) && !s.anew.Load()
}

// keepLater notes a session that could not be stored: without it the client could come back for ever.
func (s *sessions) keepLater(c session.Claim, r record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.unkept) < maxUnkept {
		s.unkept = append(s.unkept, unkept{c, r})
	}
}

// keepUnkept tries again to store what could not be.
func (s *sessions) keepUnkept() {
	s.mu.Lock()
	again := s.unkept
	s.unkept = nil
	s.mu.Unlock()
	for _, u := range again {
		s.bridge.keepRecord(u.claim, u.record, func(_ uint64, err error) {
			if err != nil && !errors.Is(err, session.ErrClaimed) {
				s.keepLater(u.claim, u.record)
			}
		})
	}
}

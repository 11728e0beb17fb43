package bridge

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/internal/hub"
	"github.com/natter-io/natter/services/gateway/internal/session"
)

// claimed tells a gateway that another one has a socket of its.
type claimed struct {
	Namespace string `json:"namespace"`
	ID        string `json:"id"`
	Claim     int    `json:"claim"`
}

// ClaimSession takes a session over. Who comes later takes it from who came before, also if both found it at the same time:
// a client whose connection broke while it was coming back may come again before a gateway has noticed. It goes on when ctx
// ends: a claim of which nobody knows whether it was stored would keep the session from ending.
func (b *Bridge) ClaimSession(ctx context.Context, f *session.Found) (session.Claim, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), findTimeout)
	defer cancel()
	revision, number, try := f.Revision, f.Number, rand.Text()
	for range claimTries {
		r := record{Saved: f.Saved, Gateway: b.opts.Gateway, Claim: number + 1, Try: try, Left: f.Left}
		claim, err := b.sessions.writeNow(ctx, f.PID, r, revision)
		if err == nil {
			b.took(f, number+1)
			return session.Claim{PID: f.PID, Number: number + 1, Revision: claim}, nil
		}
		if !errors.Is(err, session.ErrClaimed) {
			b.unclaim(session.Claim{PID: f.PID, Number: number + 1}, r)
			return session.Claim{}, err
		}
		// Its holder may have written since; or the copy that was read was old.
		now, at, err := b.sessions.readLatest(ctx, f.PID)
		if err != nil {
			return session.Claim{}, fmt.Errorf("%w: %w", session.ErrUnavailable, err)
		}
		if now == nil || now.Ended {
			return session.Claim{}, session.ErrClaimed
		}
		now.Since = now.unheard(f.Since)
		f.Saved, f.Holder, f.Left, number, revision = now.Saved, now.Gateway, now.Left, now.Claim, at
	}
	return session.Claim{}, fmt.Errorf("%w: the session changes all the time", session.ErrUnavailable)
}

// unclaim undoes a claim that failed, if it was stored all the same.
func (b *Bridge) unclaim(c session.Claim, r record) {
	told := !r.Left.IsZero()
	r.Left = b.sessions.clock.now().UTC()
	b.sessions.keepLater(unkept{claim: c, record: r, since: time.Now(), done: func(_ uint64, err error) {
		if err == nil && !told {
			b.TellGone(r.Saved)
		}
	}})
}

// TellGone tells services of the end of a socket whose client has left its gateway unnoticed.
func (b *Bridge) TellGone(saved session.Saved) { b.tellGone(saved, "transport close") }

// took tells the gateway that had the session.
func (b *Bridge) took(f *session.Found, number int) {
	b.sessions.note(f.ID, number)
	b.sessions.close(f.Namespace, f.ID, number)
	notice, err := json.Marshal(claimed{Namespace: f.Namespace, ID: f.ID, Claim: number})
	if err != nil {
		return
	}
	owner, _, _ := strings.Cut(f.ID, ".")
	for _, gateway := range []string{f.Holder, owner} {
		if subject, err := b.opts.Subjects.Claim(gateway, b.opts.Gateway); err == nil && b.nc.Publish(subject, notice) != nil {
			return // it learns of it by its next write
		}
		if owner == f.Holder {
			return
		}
	}
}

// tellGone tells services of the end of a socket whose gateway cannot.
func (b *Bridge) tellGone(saved session.Saved, reason string) {
	rooms := make([]string, 0, len(saved.Rooms))
	for room := range saved.Rooms {
		rooms = append(rooms, room)
	}
	for _, args := range [][]any{{contract.EventDisconnecting, reason, rooms}, {contract.EventDisconnect, reason}} {
		subject, err := b.opts.Subjects.On(saved.Namespace, args[0].(string), saved.ID)
		if err != nil {
			return
		}
		array, err := json.Marshal(args)
		if err != nil {
			return
		}
		msg := &nats.Msg{Subject: subject, Data: array, Header: nats.Header{contract.HeaderSocket: {saved.ID}}}
		if saved.User != "" {
			msg.Header.Set(contract.HeaderUser, saved.User)
		}
		if saved.Name != "" {
			msg.Header.Set(contract.HeaderName, saved.Name)
		}
		b.signPattern(msg, saved.Namespace)
		header, value := contract.FormatData(saved.Data)
		b.attachData(msg, header, value)
		if err := b.nc.PublishMsg(msg); err != nil {
			b.opts.Log.Warn("services were not told of a socket's end", "socket", saved.ID, "error", err)
		}
	}
}

// claimed closes the connection of a socket that another gateway has now.
func (s *sessions) claimed(msg *nats.Msg) {
	var c claimed
	if json.Unmarshal(msg.Data, &c) != nil {
		return
	}
	if owner, _, _ := strings.Cut(c.ID, "."); owner == s.bridge.opts.Gateway && !strings.HasSuffix(msg.Subject, "."+s.bridge.opts.Gateway) {
		s.remember(c.ID)
	}
	s.note(c.ID, c.Claim)
	s.close(c.Namespace, c.ID, c.Claim)
}

// note remembers a claim, which may come while the socket of an earlier one is still on its way into the hub.
func (s *sessions) note(id string, claim int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if claim >= s.newest[id].number {
		s.newest[id] = newest{claim, time.Now()}
	}
}

// superseded says whether there was a later claim to a socket.
func (s *sessions) superseded(id string, claim int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.newest[id].number > claim
}

// close closes connections of a socket that were there before a claim.
func (s *sessions) close(namespace, id string, claim int) {
	for _, socket := range s.bridge.hub.Select(hub.Selection{Namespace: namespace, Rooms: []string{id}}) {
		if n := socket.Claimed(); n > 0 && n < claim {
			socket.MovedOn()
		}
	}
}

// remember notes that an id of this gateway's is another one's socket, so that this one does not answer for it.
func (s *sessions) remember(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moved[id] = time.Now().Add(24 * time.Hour)
}

// elsewhere says whether another gateway has the socket with an id of this one's, or may have it.
func (s *sessions) elsewhere(id string) bool {
	if s.bridge.opts.Recovery && !s.looked.Load() {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.moved[id]
	return ok
}

func (s *sessions) forget(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.moved, func(_ string, until time.Time) bool { return now.After(until) })
	maps.DeleteFunc(s.newest, func(_ string, n newest) bool { return now.Sub(n.heard) > claimsFor })
	maps.DeleteFunc(s.beats, func(_ string, b lastBeat) bool { return now.Sub(b.read) > beatFor })
}

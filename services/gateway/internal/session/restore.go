package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// errPutOut says that services put the socket out while its client was away, or that it cannot be told all it missed.
// The client starts afresh.
var errPutOut = errors.New("the client's session is over")

// findSession looks for the session with which the socket may go on, and takes its id.
func (s *Socket) findSession(ctx context.Context) error {
	if s.back.pid == "" {
		return nil
	}
	found, err := s.client.srv.backend.FindSession(ctx, s.namespace, s.back.pid, s.back.offset)
	if err != nil {
		return fmt.Errorf("looking for the client's session: %w", err)
	}
	if found != nil {
		s.found, s.id = found, found.ID
	}
	return nil
}

// afresh gives up the session that was found.
func (s *Socket) afresh(ctx context.Context) error {
	s.untake() // by its id
	s.found = nil
	s.id = s.client.srv.opts.Gateway + "." + newID()
	return s.take(ctx)
}

// claimSession takes over the session that was found, if it is this user's and nobody else was quicker; else the socket
// starts afresh.
func (s *Socket) claimSession(ctx context.Context) error {
	f := s.found
	if f == nil {
		return nil
	}
	if f.User != s.user {
		return s.afresh(ctx)
	}
	claim, err := s.client.srv.backend.ClaimSession(ctx, f)
	switch {
	case err == nil:
		s.resume(f, claim)
	case errors.Is(err, ErrClaimed):
		return s.afresh(ctx)
	default:
		return fmt.Errorf("claiming the client's session: %w", err)
	}
	return nil
}

// restore goes on with the session that was claimed. The socket is a member then, and what is said to it is held.
func (s *Socket) restore(ctx context.Context) (Missed, error) {
	if s.found == nil {
		return Missed{}, nil
	}
	missed, err := s.rejoin(ctx)
	if err != nil {
		return missed, err
	}
	if !missed.Ended && s.canTake(missed) {
		return missed, nil
	}
	s.undo()
	s.mu.Lock()
	s.kept.fate = Ended
	s.mu.Unlock()
	if err := s.keepNow(ctx, s.owed); err != nil {
		return Missed{}, fmt.Errorf("ending the client's session: %w", err)
	}
	return Missed{}, errPutOut
}

// canTake says whether what was missed fits into the connection's queue. A client that is sent more is disconnected as
// one that is too slow, and would come back for the same again and again.
func (s *Socket) canTake(missed Missed) bool {
	size := 0
	for _, m := range missed.Packets {
		size += m.Size()
	}
	opts := s.client.srv.opts
	return len(missed.Packets) <= opts.MaxHeld/2 && size <= opts.MaxHeldBytes/2
}

// resume takes over what was saved. Rooms that middlewares gave and do not give any more are left; data stays as it is
// unless middlewares say something else than before.
func (s *Socket) resume(f *Found, claim Claim) {
	stored := encode(f.Saved)
	rooms, granted, were := maps.Clone(f.Rooms), []string(nil), slices.Clone(f.Stays)
	for _, room := range f.Granted {
		if slices.Contains(s.rooms, room) {
			granted = append(granted, room)
			continue
		}
		delete(rooms, room)
		were = slices.DeleteFunc(were, func(stay Stay) bool { return stay.Room == room })
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.origin = originOf(claim.PID)
	s.kept = kept{claim: claim, epoch: f.Epoch, start: f.Start, at: f.At, joined: rooms, stays: stays(nil).add(s.client.srv.opts.StreamAge, were...), granted: granted, admitted: s.data, since: f.Since, stored: stored}
	if bytes.Equal(s.data, f.Admitted) {
		s.setData(f.Data)
	}
	if s.name == "" {
		s.name = f.Name
	}
	s.held = &held{}
	s.orders = orders{replaying: true}
}

// rejoin subscribes to all that is said to the socket, and reads what it missed.
func (s *Socket) rejoin(ctx context.Context) (Missed, error) {
	srv := s.client.srv
	if _, err := srv.backend.Enter(ctx, s.namespace); err != nil {
		return Missed{}, fmt.Errorf("subscribing to the namespace: %w", err)
	}
	if s.foreign() {
		if err := srv.backend.Adopt(ctx, s.namespace, s.id); err != nil {
			srv.backend.Exit(s.namespace)
			return Missed{}, fmt.Errorf("subscribing to what is said to the socket: %w", err)
		}
	}
	s.mu.Lock()
	s.added = true
	was := s.saved()
	s.mu.Unlock()
	if !s.enterHub() {
		s.undo()
		return Missed{}, ErrClaimed
	}
	for room, sequence := range was.Rooms {
		if _, err := srv.backend.Acquire(ctx, s.namespace, room); err != nil {
			s.undo()
			return Missed{}, fmt.Errorf("joining the room %q: %w", room, err)
		}
		s.joinAt(room, sequence)
	}
	// Each round reads what was stored in the course of the one before it, so each is shorter, whatever is stored meanwhile.
	missed := Missed{UpTo: max(s.found.Offset, s.found.Start), More: true}
	for !missed.Ended && (missed.More || !s.replayed(missed)) {
		next, err := srv.backend.Missed(ctx, s, missed.UpTo, was)
		if err != nil {
			s.undo()
			return Missed{}, fmt.Errorf("reading what the client missed: %w", err)
		}
		missed.add(next)
		s.mu.Lock()
		was = s.saved()
		s.mu.Unlock()
		was.At = missed.UpTo
	}
	for _, room := range s.rooms { // those that middlewares give, and did not before: else it is there, or has left
		if slices.Contains(s.found.Granted, room) {
			continue
		}
		if err := s.Join(ctx, room); err != nil {
			s.undo()
			return Missed{}, fmt.Errorf("joining the room %q: %w", room, err)
		}
	}
	s.mu.Lock()
	s.kept.granted = s.rooms
	s.mu.Unlock()
	return missed, nil
}

// foreign says whether the socket has its id from another gateway.
func (s *Socket) foreign() bool { return !strings.HasPrefix(s.id, s.client.srv.opts.Gateway+".") }

// abandonID undoes Adopt.
func (s *Socket) abandonID() {
	if s.foreign() {
		s.client.srv.backend.Abandon(s.namespace, s.id)
	}
}

// keepNow stores the socket's session and waits for it, until then has been called.
func (s *Socket) keepNow(ctx context.Context, then func(error)) error {
	done := make(chan error, 1)
	s.keep(func(err error) {
		then(err)
		done <- err
	})
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

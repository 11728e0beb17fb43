package session

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/natter-io/natter/services/gateway/internal/hub"
)

// refused is a backend in which another gateway has the session.
type refused struct {
	Backend
	writes int
}

func (b *refused) Position() uint64 { return 0 }

func (b *refused) Keep(_ Claim, _ Saved, _ Fate, done func(uint64, error)) {
	b.writes++
	done(0, ErrClaimed)
}

// What a client says just before its connection is closed, since another gateway has its session, is not stored: it comes back
// as it was before.
func TestNothingIsSettledOfASocketThatHasMovedOn(t *testing.T) {
	for name, move := range map[string]func(*Socket){
		"it is told by the other gateway": (*Socket).MovedOn,
		"its write is refused":            func(s *Socket) { s.keep(nil) },
	} {
		h := hub.New[*Socket](1, 1)
		backend := &refused{}
		srv := NewServer(Options{Log: slog.New(slog.DiscardHandler)}, h, backend)
		s := &Socket{client: &Client{srv: srv}, id: "g1.x", namespace: "/", state: connected}
		s.kept.claim = Claim{PID: "p", Number: 1}
		move(s)
		writes := backend.writes
		for what, say := range map[string]func(func(error)){"keep": s.keep, "settled": s.settled} {
			called := false
			say(func(err error) {
				called = true
				if !errors.Is(err, ErrClaimed) {
					t.Errorf("%s: %s says %v", name, what, err)
				}
			})
			if !called || backend.writes != writes {
				t.Errorf("%s: %s has not answered, or written", name, what)
			}
		}
		h.Close()
	}
}

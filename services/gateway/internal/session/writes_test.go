package session

import (
	"errors"
	"log/slog"
	"slices"
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

// narrow is a backend that can only store the ends of sessions, and takes its time.
type narrow struct {
	Backend
	fates  []Fate
	stored func(uint64, error)
}

func (b *narrow) Position() uint64 { return 0 }

func (b *narrow) Keep(_ Claim, _ Saved, fate Fate, done func(uint64, error)) {
	if b.fates = append(b.fates, fate); fate != Ended {
		done(0, ErrUnstorable)
		return
	}
	b.stored = done
}

// A client whose session has become too large begins anew when it comes back. Until that is stored it would come back as it was
// before, so nothing that it does is acknowledged.
func TestWhatMakesASessionTooLargeIsSettledOnceItIsEnded(t *testing.T) {
	h := hub.New[*Socket](1, 1)
	defer h.Close()
	backend := &narrow{}
	srv := NewServer(Options{Log: slog.New(slog.DiscardHandler)}, h, backend)
	s := &Socket{client: &Client{srv: srv}, id: "g1.x", namespace: "/", state: connected}
	s.kept.claim = Claim{PID: "p", Number: 1}
	var answers []error
	answer := func(err error) { answers = append(answers, err) }
	s.keep(answer)
	s.settled(answer)
	if len(answers) != 0 || !slices.Equal(backend.fates, []Fate{Here, Ended}) {
		t.Fatalf("answered %v after the writes %v", answers, backend.fates)
	}
	backend.stored(0, ErrUnavailable)
	if len(answers) != 2 || answers[0] == nil || answers[1] == nil {
		t.Fatalf("answered %v when the end was not stored", answers)
	}
	answers = nil
	s.settled(answer)
	s.keep(answer)
	if len(answers) != 0 {
		t.Fatalf("answered %v while the end is not stored", answers)
	}
	backend.stored(1, nil)
	s.settled(answer)
	if len(answers) != 3 || answers[0] != nil || answers[1] != nil || answers[2] != nil {
		t.Fatalf("answered %v when the end was stored", answers)
	}
	if !slices.Equal(backend.fates, []Fate{Here, Ended, Ended}) {
		t.Fatalf("wrote %v", backend.fates)
	}
}

// stores is a backend that stores everything.
type stores struct{ Backend }

func (stores) Keep(_ Claim, _ Saved, _ Fate, done func(uint64, error)) { done(2, nil) }

// While a client is restored its session may be stored as it is halfway. That it ends as it was claimed says nothing then.
func TestSessionThatWasStoredWhileItWasRestoredIsStoredAgain(t *testing.T) {
	h := hub.New[*Socket](1, 1)
	defer h.Close()
	s := &Socket{client: &Client{srv: NewServer(Options{}, h, stores{})}, id: "g1.x", namespace: "/"}
	s.kept.claim = Claim{PID: "p", Number: 2, Revision: 1}
	s.kept.stored = encode(s.saved())
	if s.changed() {
		t.Fatal("changed, and nothing has happened")
	}
	s.kept.joined = map[string]uint64{"red": 1} // and it was taken out again, all while it was away
	s.SetData(nil, 0)
	s.kept.joined = nil
	if !s.changed() {
		t.Fatal("not changed, and what is stored has a room more")
	}
}

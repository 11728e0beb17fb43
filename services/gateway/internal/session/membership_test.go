package session

import (
	"context"
	"testing"

	"github.com/natter-io/natter/services/gateway/internal/hub"
)

// slowRelease is a backend that takes its time to release a room.
type slowRelease struct {
	Backend
	released, goOn chan struct{}
}

func (b *slowRelease) Acquire(context.Context, string, string) (uint64, error) { return 7, nil }
func (b *slowRelease) Position() uint64                                        { return 8 }
func (b *slowRelease) Joined(*Socket, string)                                  {}
func (b *slowRelease) Left(*Socket, string)                                    {}
func (b *slowRelease) Release(string, string)                                  { close(b.released); <-b.goOn }

// Services may take a socket out of a room while its client joins it again. What is stored of it must say the same as the hub:
// the client is told that it is in.
func TestRoomIsStoredOfAClientThatIsTakenOutAndJoins(t *testing.T) {
	h := hub.New[*Socket](1, 1)
	defer h.Close()
	backend := &slowRelease{released: make(chan struct{}), goOn: make(chan struct{})}
	s := &Socket{client: &Client{srv: NewServer(Options{}, h, backend)}, id: "g1.x", namespace: "/"}
	h.Add(s)
	if err := s.Join(t.Context(), "red"); err != nil {
		t.Fatal(err)
	}
	ordered := make(chan struct{})
	go func() {
		defer close(ordered)
		s.Leave("red")
	}()
	<-backend.released
	if err := s.Join(t.Context(), "red"); err != nil {
		t.Fatal(err)
	}
	close(backend.goOn)
	<-ordered
	s.mu.Lock()
	defer s.mu.Unlock()
	if in, stored := h.In(s, "red"), s.saved().Rooms; !in || len(stored) != 1 {
		t.Fatalf("in the room: %t; stored of it: %v", in, stored)
	}
}

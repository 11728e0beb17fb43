package session

import (
	"testing"

	"github.com/natter-io/natter/services/gateway/internal/hub"
)

// behind is a backend whose reader is about an order that has not taken effect on all sockets yet.
type behind struct{ Backend }

func (behind) Position() uint64 { return 6 }

// What a client does after an order has taken effect on it is stored as being after the order, which would be repeated else when it
// comes back elsewhere: the client may be in a room again that the order took it out of.
func TestAnOrderUnderWayIsNotRepeatedOnWhomItHasReached(t *testing.T) {
	h := hub.New[*Socket](1, 1)
	defer h.Close()
	s := &Socket{client: &Client{srv: NewServer(Options{}, h, behind{})}, id: "g1.x", namespace: "/", state: connected}
	for _, want := range []uint64{6, 7} {
		s.mu.Lock()
		at := s.saved().At
		s.mu.Unlock()
		if at != want {
			t.Fatalf("stored as being at %d, want %d", at, want)
		}
		if s.Obeys(7) != (want < 7) {
			t.Fatalf("at %d, it obeys: %t", at, s.Obeys(7))
		}
		s.Obeyed(7)
	}
	if !s.Obeys(5) {
		t.Error("an order that was lost at first, and is found now, does not take effect")
	}
}

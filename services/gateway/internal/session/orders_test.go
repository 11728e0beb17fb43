package session

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"testing"

	"github.com/natter-io/natter/services/gateway/internal/hub"
	"github.com/natter-io/natter/services/gateway/internal/transport"
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

// busy is a backend in which an order takes effect in the course of each of the first rounds in which is read what a client missed.
type busy struct {
	Backend
	rounds []uint64 // after which sequence each read
}

func (*busy) Position() uint64                              { return 0 }
func (*busy) Enter(context.Context, string) (uint64, error) { return 0, nil }
func (b *busy) Missed(_ context.Context, s *Socket, from uint64, _ Saved) (Missed, error) {
	b.rounds = append(b.rounds, from)
	if upTo := from + 10; len(b.rounds) < 4 {
		s.Obeys(upTo + 1)
	}
	data := json.RawMessage(strconv.Itoa(len(b.rounds)))
	return Missed{Packets: []*transport.Message{transport.NewMessage([]byte("x"))}, UpTo: from + 10, Data: &data, More: len(b.rounds) == 1}, nil
}

// However much a client missed, and however often services order something for it, what it missed is read once: each round reads
// what came in the course of the one before it.
func TestEachRoundOfAComebackReadsWhatCameMeanwhile(t *testing.T) {
	h := hub.New[*Socket](1, 1)
	defer h.Close()
	b := &busy{}
	s := &Socket{client: &Client{srv: NewServer(Options{Gateway: "g1"}, h, b)}, id: "g1.x", namespace: "/", found: &Found{Offset: 7}}
	s.orders.replaying = true
	missed, err := s.rejoin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(b.rounds); got != "[7 17 27 37]" || len(missed.Packets) != 4 || missed.UpTo != 47 || string(s.data) != "4" {
		t.Errorf("rounds after %s, %d packets up to %d, data %s", got, len(missed.Packets), missed.UpTo, s.data)
	}
	if s.Obeys(47) || !s.Obeys(48) {
		t.Error("an order takes effect twice, or never")
	}
}

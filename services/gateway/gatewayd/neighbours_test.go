package gatewayd_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/natter-io/natter/pkg/contract"
)

// neighbours talk to each other in a room of their own, each counting; nobody may miss a number, hear it
// twice, or out of order, whatever else happens at the gateways.
type neighbours struct {
	d       *deployment
	sockets []*socket
	said    []atomic.Int64 // by each, and by a service
	stop    chan struct{}
	talking sync.WaitGroup
}

const neighbourhood = "a quiet street"

// moveIn connects a neighbour over each transport to each gateway.
func moveIn(d *deployment, gws []*gateway) *neighbours {
	n := &neighbours{d: d, stop: make(chan struct{})}
	for _, g := range gws {
		n.sockets = append(n.sockets, g.connect(), g.poll().enter("/", ""))
	}
	for _, s := range n.sockets {
		s.join(neighbourhood)
	}
	n.said = make([]atomic.Int64, len(n.sockets)+1)
	return n
}

// talk begins the conversation, in which nobody waits for another.
func (n *neighbours) talk() {
	for i, s := range n.sockets {
		n.talking.Go(func() {
			for n.goesOn() && s.acked(`"room message"`, quote(neighbourhood), quote(fmt.Sprintf("%d %d", i, n.said[i].Load()))) {
				n.said[i].Add(1)
			}
		})
	}
	n.talking.Go(func() {
		for i := len(n.sockets); n.goesOn(); n.said[i].Add(1) {
			msg := n.d.message(contract.Emit, "/", []string{neighbourhood}, fmt.Sprintf(`["room message",%q,"%d %d"]`, neighbourhood, i, n.said[i].Load()))
			if _, err := n.d.js.PublishMsg(n.d.t.Context(), msg); err != nil {
				n.d.t.Errorf("a service cannot speak: %v", err)
				return
			}
		}
	})
}

// goesOn leaves a moment between two messages, and says whether there shall be another.
func (n *neighbours) goesOn() bool {
	select {
	case <-n.stop:
		return false
	case <-time.After(20 * time.Millisecond):
		return true
	}
}

// wantAllHeard ends the conversation and makes sure that everybody heard all of it.
func (n *neighbours) wantAllHeard(t testing.TB) {
	t.Helper()
	close(n.stop)
	n.talking.Wait()
	for i, s := range n.sockets {
		heard := make([]int64, len(n.said))
		for !n.complete(heard) {
			event := s.event() // fails the test if none comes
			var args []json.RawMessage
			var room, text string
			var from int
			var number int64
			if json.Unmarshal([]byte(event), &args) != nil || len(args) < 3 || json.Unmarshal(args[1], &room) != nil || room != neighbourhood {
				continue // of what others said to all
			}
			if err := json.Unmarshal(args[2], &text); err != nil {
				t.Fatal(err)
			}
			if _, err := fmt.Sscanf(text, "%d %d", &from, &number); err != nil {
				t.Fatalf("neighbour %d heard %s: %v", i, event, err)
			}
			if number != heard[from] {
				t.Fatalf("neighbour %d heard %d from %d, want %d", i, number, from, heard[from])
			}
			heard[from]++
		}
		for _, event := range s.heard() {
			if strings.Contains(event, neighbourhood) {
				t.Fatalf("neighbour %d heard %s more", i, event)
			}
		}
	}
}

func (n *neighbours) complete(heard []int64) bool {
	for i := range n.said {
		if heard[i] < n.said[i].Load() {
			return false
		}
	}
	return true
}

// total is how much was said.
func (n *neighbours) total() (sum int64) {
	for i := range n.said {
		sum += n.said[i].Load()
	}
	return sum
}

package bridge

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
)

// TestTurns plays the reader of live messages, and has no stream that would answer a fence.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &Bridge{live: make(chan *nats.Msg, 1)}
		turns := newTurns(b)
		b.position.reach(10)
		var mu sync.Mutex
		var went []string
		wait := func(sequence uint64, name string) {
			turns.wait(sequence, func(error) {
				mu.Lock()
				defer mu.Unlock()
				went = append(went, name)
			})
		}
		want := func(names ...string) {
			t.Helper()
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(went, names) {
				t.Fatalf("%v went, want %v", went, names)
			}
		}
		// What was handed on: one place for all, until its turn.
		wait(10, "a")
		wait(3, "b")
		want()
		place := <-b.live
		if !isTurn(place) || len(b.live) != 0 {
			t.Fatalf("%d places beside %+v", len(b.live), place)
		}
		held := turns.take(place)
		wait(10, "c") // comes while the barrier is waited for: not of this turn
		turns.release(held, nil)
		want("a", "b")
		turns.release(turns.take(<-b.live), nil)
		want("a", "b", "c")
		// What may not have come, and what finds no place, wait for a fence; at the latest, their time is over.
		wait(11, "d")
		b.live <- &nats.Msg{Subject: "live"}
		wait(10, "e")
		if len(turns.wake) != 1 {
			t.Fatal("nobody sees to a fence")
		}
		time.Sleep(holdFor - time.Nanosecond)
		want("a", "b", "c")
		time.Sleep(2 * time.Nanosecond)
		synctest.Wait()
		want("a", "b", "c", "d", "e")
		<-b.live
		// The time of one whose place is among the live messages is over before its turn.
		wait(10, "f")
		time.Sleep(holdFor + time.Nanosecond)
		synctest.Wait()
		turns.release(turns.take(<-b.live), nil)
		// At the end everything goes, and nothing waits any more.
		wait(10, "g")
		wait(11, "h")
		turns.close()
		wait(11, "i")
		mu.Lock()
		slices.Sort(went)
		mu.Unlock()
		want("a", "b", "c", "d", "e", "f", "g", "h", "i")
		if turns.held != 0 || len(turns.open) != 0 {
			t.Fatalf("%d are held", turns.held)
		}
	})
}

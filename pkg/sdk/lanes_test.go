package sdk

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
)

type step struct {
	key string
	n   int
}

// A key whose job takes long holds up nobody else, and its own jobs stay in order.
func TestLanesKeepApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var done []step
		slow := make(chan struct{})
		l := newLanes(2, 64, func(s step) {
			if s.key == "slow" {
				<-slow
			}
			mu.Lock()
			defer mu.Unlock()
			done = append(done, s)
		})
		for n := range 3 {
			l.add("slow", step{"slow", n}, false)
			l.add("fast", step{"fast", n}, false)
		}
		synctest.Wait()
		mu.Lock()
		if want := []step{{"fast", 0}, {"fast", 1}, {"fast", 2}}; !slices.Equal(done, want) {
			t.Errorf("done while one key is slow: %v, want %v", done, want)
		}
		mu.Unlock()
		close(slow)
		l.close()
		l.wait()
		if want := []step{{"slow", 0}, {"slow", 1}, {"slow", 2}}; !slices.Equal(done[3:], want) {
			t.Errorf("then: %v, want %v", done[3:], want)
		}
	})
}

// One key cannot take the room of all, except for what must be taken; a full backlog makes add wait.
func TestLanesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		l := newLanes(1, 16, func(step) { <-hold })
		l.add("a", step{}, false)
		synctest.Wait() // it runs
		for n := range 2 {
			if !l.add("a", step{"a", n}, false) {
				t.Errorf("job %d was refused", n)
			}
		}
		if l.add("a", step{}, false) {
			t.Error("a third waiting job was taken, an eighth of 16 is 2")
		}
		if !l.add("a", step{}, true) {
			t.Error("a job that must be taken was refused")
		}
		for n := range 12 {
			l.add(string(rune('b'+n)), step{}, false)
		}
		added := false
		go func() {
			l.add("z", step{}, false)
			added = true
		}()
		synctest.Wait()
		if added {
			t.Error("the 17th job did not wait")
		}
		hold <- struct{}{}
		synctest.Wait()
		if !added {
			t.Error("a job's end made no room")
		}
		close(hold)
		l.close()
		l.wait()
	})
}

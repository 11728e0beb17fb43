package gatewayd_test

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// natsServer is in the names of the embedded nats-server's functions. What it has in this process says nothing of gateways.
const natsServer = "/nats-server/"

// remains are what is left when sessions have ended, but for what nats-server has.
type remains struct {
	goroutines map[string]int // by who started them
	heap       int64          // in bytes
}

// settle waits until the gateways have n clients, and no more goroutines and heap than before; without before, until
// both are as they are at rest.
func settle(t testing.TB, gws []*gateway, n int, before *remains) *remains {
	t.Helper()
	connections, sockets := 0.0, 0.0
	defer func() {
		if t.Failed() {
			t.Logf("there are %v connections and %v sockets, want %d", connections, sockets, n)
		}
	}()
	wait(t, "the end of all sessions", func() bool {
		connections, sockets = 0, 0
		for _, g := range gws {
			connections += g.metric("natter_gateway_connections")
			sockets += g.metric("natter_gateway_sockets")
		}
		return connections == float64(n) && sockets == float64(n)
	})
	if before == nil {
		return atRest()
	}
	var left remains
	// Gateways keep what they read back for clients that came back for half a minute.
	for end := time.Now().Add(4 * patience); ; time.Sleep(20 * time.Millisecond) {
		left.goroutines = goroutines()
		more := moreThan(left.goroutines, before.goroutines)
		if more == "" {
			if left.heap = held(); left.heap <= before.heap+leftover {
				return &left
			}
		}
		if time.Now().After(end) {
			t.Fatalf("on the heap are %d bytes, want at most %d; more goroutines than before:\n%s", left.heap, before.heap+leftover, more)
		}
	}
}

// atRest looks for a while, since a client that polls does not have the same goroutines at every moment.
func atRest() *remains {
	most := map[string]int{}
	for steady := 0; steady < 20; steady++ {
		now := goroutines()
		for by, n := range now {
			if n > most[by] {
				most[by], steady = n, 0
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	return &remains{goroutines: most, heap: held()}
}

// goroutines counts them by the function that started them.
func goroutines() map[string]int {
	stacks := make([]byte, 1<<20)
	for n := runtime.Stack(stacks, true); ; n = runtime.Stack(stacks, true) {
		if n < len(stacks) {
			stacks = stacks[:n]
			break
		}
		stacks = make([]byte, 2*len(stacks))
	}
	count := map[string]int{}
	for stack := range strings.SplitSeq(string(stacks), "\n\n") {
		_, by, _ := strings.Cut(stack, "created by ")
		by, _, _ = strings.Cut(by, " in goroutine")
		if !strings.Contains(by, natsServer) {
			count[by]++
		}
	}
	return count
}

func moreThan(now, before map[string]int) string {
	var b strings.Builder
	for _, by := range slices.Sorted(maps.Keys(now)) {
		if now[by] > before[by] {
			fmt.Fprintf(&b, "%d instead of %d started by %s\n", now[by], before[by], by)
		}
	}
	return b.String()
}

// watched is a test whose log is searched for panics that somebody recovered.
type watched struct {
	testing.TB
	log *panicLog
}

func (w *watched) Output() io.Writer { return w.log }

// panicLog keeps the lines that tell of a panic.
type panicLog struct {
	mu    sync.Mutex
	lines map[string]int
}

func (l *panicLog) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("panic")) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.lines == nil {
			l.lines = map[string]int{}
		}
		l.lines[string(line)]++
	}
	return len(line), nil
}

func (l *panicLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(slices.Sorted(maps.Keys(l.lines)), "")
}

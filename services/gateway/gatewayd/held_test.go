package gatewayd_test

import (
	"math"
	"runtime"
	"strings"
	"testing"
)

// heldRate is how many bytes are allocated for each allocation that held knows of: 8 MB are known by some 1000, so that
// held is wrong by a few percent.
const heldRate = 8 << 10

// countHeld has held know of what is allocated from now on, until the test is over.
func countHeld(t testing.TB) {
	before := runtime.MemProfileRate
	runtime.MemProfileRate = heldRate
	t.Cleanup(func() { runtime.MemProfileRate = before })
}

// held is how many bytes on the heap were not allocated by the embedded nats-server. That one keeps what gateways store:
// messages, and the sessions of clients that may come back, each for a minute or more.
func held() (bytes int64) {
	for range 3 {
		runtime.GC() // the profile is that of two collections ago
	}
	var records []runtime.MemProfileRecord
	n, ok := runtime.MemProfile(nil, false)
	for !ok {
		records = make([]runtime.MemProfileRecord, n+100) // some may be made meanwhile
		n, ok = runtime.MemProfile(records, false)
	}
	for _, r := range records[:n] {
		if objects := r.InUseObjects(); objects > 0 && !byServer(r.Stack()) {
			size := float64(r.InUseBytes()) / float64(objects)
			bytes += int64(float64(r.InUseBytes()) / (1 - math.Exp(-size/heldRate)))
		}
	}
	return bytes
}

func byServer(stack []uintptr) bool {
	for frames := runtime.CallersFrames(stack); ; {
		f, more := frames.Next()
		if strings.Contains(f.Function, natsServer) {
			return true
		}
		if !more {
			return false
		}
	}
}

package database_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/natter-io/natter/services/history/internal/database"
)

// TestAnErasureHoldsNoPictures redacts a user who has posted a great many. No other test runs meanwhile.
func TestAnErasureHoldsNoPictures(t *testing.T) {
	const pictures, size, most = 64, 384 << 10, 12 << 20
	for kind, s := range map[string]*database.Store{"sqlite": sqliteIn(t)(), "postgres": postgresIn(t)()} {
		picture := make([]byte, size)
		for i := range int64(pictures) {
			m := message(1, i+1, "all")
			m.Attachments = [][]byte{picture}
			appendAll(t, s, m)
		}
		done, peak := make(chan struct{}), make(chan uint64)
		before := inUse()
		go func() {
			highest := uint64(0)
			for {
				select {
				case <-done:
					peak <- highest
					return
				default:
					highest = max(highest, inUse())
				}
			}
		}()
		if n, err := s.Redact(t.Context(), "u", time.Time{}); err != nil || n != pictures {
			t.Errorf("%s: redacted %d, %v", kind, n, err)
		}
		close(done)
		if highest := <-peak; highest > before+most {
			t.Errorf("%s: %d MiB were in memory at once", kind, (highest-before)>>20)
		}
	}
}

// inUse is what is in memory, without what is not used any more.
func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

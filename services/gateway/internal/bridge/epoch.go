package bridge

import (
	"context"
	"sync"
)

// epoch is which incarnation of the main stream messages come from, the first part of their ids. It is not
// known before the stream was seen for the first time, nor after NATS was away until it was seen again:
// NATS may have come back empty, and sequences begin again.
type epoch struct {
	mu    sync.Mutex
	value string        // "" while it is not known
	known chan struct{} // closed when it is
}

func newEpoch() *epoch { return &epoch{known: make(chan struct{})} }

// get returns "" while the epoch is not known.
func (e *epoch) get() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.value
}

func (e *epoch) set(value string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.value == "" {
		close(e.known)
	}
	e.value = value
}

func (e *epoch) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.value != "" {
		e.value = ""
		e.known = make(chan struct{})
	}
}

// wait returns the epoch as soon as it is known, "" if the context ends before.
func (e *epoch) wait(ctx context.Context) string {
	for {
		e.mu.Lock()
		value, known := e.value, e.known
		e.mu.Unlock()
		if value != "" {
			return value
		}
		select {
		case <-known:
		case <-ctx.Done():
			return ""
		}
	}
}

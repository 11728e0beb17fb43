package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/services/gateway/internal/session"
)

// fence makes sure that subscriptions are in force. Everything that is stored after a fence reaches the
// subscriptions made before it; a flush to the nearest server promises no such thing in a cluster.
//
// A fence is a publish to the main stream that expects an impossible last sequence: the stream's leader
// refuses it, writes nothing, and says what its last sequence is. One fence serves all who wait for one.
type fence struct {
	nc      *nats.Conn
	subject string

	mu      sync.Mutex
	running bool
	waiting []chan result
}

type result struct {
	sequence uint64
	err      error
}

const fenceTimeout = 5 * time.Second

func newFence(nc *nats.Conn, opts Options) *fence {
	return &fence{nc: nc, subject: opts.Subjects.Fence()}
}

// wait returns the stream's last sequence at a moment after the call.
func (f *fence) wait(ctx context.Context) (uint64, error) {
	done := make(chan result, 1)
	f.mu.Lock()
	f.waiting = append(f.waiting, done)
	if !f.running {
		f.running = true
		go f.rounds()
	}
	f.mu.Unlock()
	select {
	case r := <-done:
		return r.sequence, r.err
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// rounds runs one fence after the other as long as somebody waits.
func (f *fence) rounds() {
	for {
		f.mu.Lock()
		waiting := f.waiting
		f.waiting = nil
		if len(waiting) == 0 {
			f.running = false
			f.mu.Unlock()
			return
		}
		f.mu.Unlock()
		var r result
		r.sequence, r.err = f.once()
		for _, done := range waiting {
			done <- r
		}
	}
}

// impossible is a last sequence that no stream reaches.
const impossible = "4611686018427387904"

func (f *fence) once() (uint64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), fenceTimeout)
	defer cancel()
	msg := nats.NewMsg(f.subject)
	msg.Header.Set(jetstream.ExpectedLastSeqHeader, impossible)
	reply, err := f.nc.RequestMsgWithContext(ctx, msg)
	if err != nil {
		return 0, fmt.Errorf("%w: fence: %w", session.ErrUnavailable, err)
	}
	var ack struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(reply.Data, &ack); err != nil || ack.Error == nil {
		return 0, fmt.Errorf("%w: fence: the stream answered %q", session.ErrUnavailable, reply.Data)
	}
	var last uint64
	if _, err := fmt.Sscanf(ack.Error.Description, "wrong last sequence: %d", &last); err != nil {
		return 0, fmt.Errorf("%w: fence: %s", session.ErrUnavailable, ack.Error.Description)
	}
	return last, nil
}

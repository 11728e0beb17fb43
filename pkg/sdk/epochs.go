package sdk

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
)

// storeWithID is store and returns the id that clients see: <stream creation>-<sequence>.
func (s *Server) storeWithID(ctx context.Context, msg *nats.Msg, id string) (string, error) {
	ack, err := s.store(ctx, msg, id)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.PublishTimeout)
	defer cancel()
	epoch, err := s.epochs.of(ctx, ack.Sequence, func() (*jetstream.StreamInfo, error) {
		ctx, cancel := context.WithTimeout(ctx, attempt)
		defer cancel()
		stream, err := s.js.Stream(ctx, ack.Stream)
		if err != nil {
			return nil, err
		}
		return stream.CachedInfo(), nil
	})
	if err != nil {
		return "", fmt.Errorf("%w: sequence %d of the stream %s: %w", ErrUnknownID, ack.Sequence, ack.Stream, err)
	}
	return contract.MessageID(epoch, ack.Sequence), nil
}

// epochAge is how long the stream is taken to be the same one.
const epochAge = time.Minute

// epochs remember when the stream was made.
type epochs struct {
	turn chan struct{} // held by the one that looks

	mu     sync.Mutex
	looked time.Time // when the last look began
	epoch  string
	after  uint64    // the stream's last sequence when this epoch was first seen, or seen again after its time
	until  time.Time // when it is looked up again
}

func newEpochs() *epochs { return &epochs{turn: make(chan struct{}, 1)} }

// of is the epoch of a sequence that was just stored. A sequence that is not beyond those known may come from
// a stream that was made anew, so the stream is looked up, once for all who wait for that, until the context ends.
func (e *epochs) of(ctx context.Context, sequence uint64, look func() (*jetstream.StreamInfo, error)) (string, error) {
	stored := time.Now()
	if epoch, ok := e.known(sequence, stored); ok {
		return epoch, nil
	}
	select {
	case e.turn <- struct{}{}:
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	defer func() { <-e.turn }()
	for {
		if epoch, ok := e.known(sequence, stored); ok {
			return epoch, nil
		}
		began := time.Now()
		info, err := look()
		switch {
		case err == nil:
			e.learn(began, info)
			continue
		case ctx.Err() != nil:
			return "", errors.Join(context.Cause(ctx), err)
		case errors.Is(err, jetstream.ErrStreamNotFound), errors.Is(err, nats.ErrConnectionClosed):
			return "", err
		}
		select { // a leader is elected, or NATS is away
		case <-time.After(retryPause):
		case <-ctx.Done():
		}
	}
}

// known is the epoch, if it need not be looked up for a sequence that was stored before that time.
func (e *epochs) known(sequence uint64, stored time.Time) (string, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.epoch, e.epoch != "" && (!e.looked.Before(stored) || sequence > e.after && time.Now().Before(e.until))
}

// learn what a look has found. If that is what was known, what is beyond the sequences known then still is: messages that are stored
// while one looks would have the next one look, without end.
func (e *epochs) learn(began time.Time, info *jetstream.StreamInfo) {
	epoch := contract.IncarnationOf(info.Created, info.Config.Metadata).Epoch
	e.mu.Lock()
	defer e.mu.Unlock()
	e.looked = began
	if epoch != e.epoch || !began.Before(e.until) {
		e.epoch, e.after, e.until = epoch, info.State.LastSeq, began.Add(epochAge)
	}
}

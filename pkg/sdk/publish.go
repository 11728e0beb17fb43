package sdk

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// attempt is how long one publish waits for its PubAck before it is tried again with the same message id.
const attempt = 3 * time.Second

// retryPause comes before a publish is tried again that failed at once.
const retryPause = 100 * time.Millisecond

// store publishes to the stream and returns when it is there. It tries again, with the same message id, until
// the context or [Options.PublishTimeout] ends: the election of a stream's leader takes seconds.
func (s *Server) store(ctx context.Context, msg *nats.Msg, id string) (*jetstream.PubAck, error) {
	if id == "" {
		id = nuid.Next()
	}
	msg.Header.Set(jetstream.MsgIDHeader, id)
	ctx, cancel := context.WithTimeout(ctx, s.opts.PublishTimeout)
	defer cancel()
	for {
		ack, err := s.storeOnce(ctx, msg)
		switch {
		case err == nil && ack.Stream != s.subjects.Names().Stream:
			return nil, fmt.Errorf("%w: %s went to the stream %s, which must not have this subject", ErrNotStored, msg.Subject, ack.Stream)
		case err == nil:
			raise(&s.done, ack.Sequence)
			if told, ok := ctx.Value(tellingKey{}).(*atomic.Uint64); ok {
				raise(told, ack.Sequence)
			}
			return ack, nil
		case errors.Is(err, nats.ErrMaxPayload):
			return nil, fmt.Errorf("%s: %d bytes, the NATS server takes %d: %w", msg.Subject, len(msg.Data), s.nc.MaxPayload(), err)
		case ctx.Err() != nil:
			return nil, fmt.Errorf("%w: %s: %w", ErrNotStored, msg.Subject, errors.Join(context.Cause(ctx), err))
		case errors.Is(err, nats.ErrReconnectBufExceeded), passes(err):
			select { // disconnected, and the connection keeps nothing for later; or refused for a moment
			case <-time.After(retryPause):
			case <-ctx.Done():
			}
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, jetstream.ErrNoStreamResponse):
			// Another subscriber on the subject hides that nobody stores it, so the stream is asked for.
			if missing := s.missing(ctx); missing != nil {
				return nil, missing
			}
		default:
			return nil, fmt.Errorf("%w: %s: %w", ErrNotStored, msg.Subject, err)
		}
	}
}

// inProcess is JetStream's error code for a message whose earlier attempt it has not stored yet, as it lacks a quorum.
const inProcess = 10158

// passes says whether JetStream refuses for as long as it has no quorum, leader or room.
func passes(err error) bool {
	var refused *jetstream.APIError
	return errors.As(err, &refused) && (refused.ErrorCode == inProcess || refused.Code == 503)
}

// tellingKey is under which the context of the handlers of an event has the highest sequence that they stored: their ack is
// to come after it.
type tellingKey struct{}

// raise makes the highest sequence at least that.
func raise(highest *atomic.Uint64, sequence uint64) {
	for {
		had := highest.Load()
		if had >= sequence || highest.CompareAndSwap(had, sequence) {
			return
		}
	}
}

func (s *Server) storeOnce(ctx context.Context, msg *nats.Msg) (*jetstream.PubAck, error) {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	return s.js.PublishMsg(ctx, msg)
}

// missing is the error if JetStream knows that there is no stream, else nil.
func (s *Server) missing(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	name := s.subjects.Names().Stream
	_, err := s.js.Stream(ctx, name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return fmt.Errorf("%w: the stream %s does not exist: start a gateway first", ErrNoStream, name)
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return fmt.Errorf("%w: the stream %s cannot exist: %w: start nats-server with -js", ErrNoStream, name, err)
	}
	return nil
}

// Package copying says how JetStream gets on with copying what is posted from the main stream into the posts stream, where
// it waits for the history service.
//
// It looks, and changes nothing. Part of the kit: small, for Natter's own programs, no compatibility promise.
package copying

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/provision"
)

// Watch looks again and again. It is for one goroutine.
type Watch struct {
	nc       *nats.Conn
	subjects contract.Subjects
	reached  reached
}

// reached is where copying stands.
type reached struct {
	created time.Time // of the posts stream
	last    uint64    // its last sequence
	source  uint64    // which that message has in the main stream; 0: nothing of this main stream was copied
	made    time.Time // of the main stream
}

// New returns a Watch through a connection that may read both streams directly.
func New(nc *nats.Conn, subjects contract.Subjects) *Watch {
	return &Watch{nc: nc, subjects: subjects}
}

// Lag is how many posts are not copied, and for how long the oldest of them has waited, by JetStream's clocks; 0 and 0 if
// there is none. It is told when the main stream was made, and what the posts stream is like now.
//
// JetStream's own figure, the number of messages that a source lags behind, leaves out the one that cannot be copied, and
// stays as it was when copying has stopped.
func (w *Watch) Lag(ctx context.Context, made time.Time, posts *jetstream.StreamInfo) (uint64, time.Duration, error) {
	source, err := w.copied(ctx, made, posts)
	if err != nil {
		return 0, 0, err
	}
	main := w.subjects.Names().Stream
	// A batch, though of one, says how many follow it.
	waiting, err := provision.Direct(ctx, w.nc, main, fmt.Appendf(nil, `{"seq":%d,"next_by_subj":%q,"batch":1}`, source+1, w.subjects.AllOf(contract.Post)))
	if err != nil || waiting == nil {
		return 0, 0, err
	}
	h := contract.Header(waiting.Header)
	stored, err := contract.ParseStored(h)
	if err != nil {
		return 0, 0, fmt.Errorf("stream %s: %w", main, err)
	}
	lag := posts.TimeStamp.Sub(stored.Time)
	if lag <= 0 || posts.State.Msgs == 0 && posts.State.LastSeq > 0 && Behind(posts) == 0 {
		return 0, 0, nil // it has just come; or it was copied, and has aged out of the posts stream
	}
	more, _ := strconv.ParseUint(contract.Last(h, "Nats-Num-Pending"), 10, 64)
	return more + 1, lag, nil
}

// Behind is JetStream's figure: messages that are not copied, as far as it knows.
func Behind(info *jetstream.StreamInfo) (n uint64) {
	for _, s := range info.Sources {
		n += s.Lag
	}
	return n
}

// copied is the sequence in the main stream up to which all posts are copied.
func (w *Watch) copied(ctx context.Context, made time.Time, info *jetstream.StreamInfo) (uint64, error) {
	known := w.reached
	if known.created.Equal(info.Created) && known.made.Equal(made) && (known.last == info.State.LastSeq || info.State.Msgs == 0) {
		return known.source, nil
	}
	at := reached{created: info.Created, last: info.State.LastSeq, made: made}
	if info.State.Msgs > 0 {
		msg, err := provision.Direct(ctx, w.nc, info.Config.Name, fmt.Appendf(nil, `{"seq":%d}`, info.State.LastSeq))
		switch {
		case err != nil:
			return 0, err
		case msg == nil: // the replica that answered is behind, or it has just aged out
			return known.source, nil
		}
		h := contract.Header(msg.Header)
		stored, err := contract.ParseStored(h)
		if err != nil {
			return 0, fmt.Errorf("stream %s: %w", info.Config.Name, err)
		}
		if !stored.Time.Before(made) { // else it comes from a main stream that was there before
			if _, at.source, err = contract.SourceSequence(h); err != nil {
				return 0, fmt.Errorf("stream %s, sequence %d: %w", info.Config.Name, info.State.LastSeq, err)
			}
		}
	}
	w.reached = at
	return at.source, nil
}

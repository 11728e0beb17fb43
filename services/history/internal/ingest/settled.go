package ingest

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/provision"
	"github.com/natter-io/natter/services/history/internal/record"
)

// Settled is an id up to which all posts are stored: whatever is stored from now on is newer. Posts that another instance
// holds in its hands, or that were in those of one that was killed, may be stored after newer ones.
//
// It costs a look at the database and one or two questions to JetStream. While that does not answer, it is what it was when
// it was asked last, which holds still.
func (in *Ingester) Settled(ctx context.Context) (record.ID, error) {
	id, err := in.settle(ctx)
	if err == nil {
		in.settled.Store(&id)
		return id, nil
	}
	if known := in.settled.Load(); known != nil {
		in.Log.Debug("cannot ask up to where everything is stored; taking what was so", "id", known.String(), "error", err)
		return *known, nil
	}
	return record.ID{}, fmt.Errorf("up to where everything is stored: %w", err)
}

func (in *Ingester) settle(ctx context.Context) (record.ID, error) {
	ctx, cancel := context.WithTimeout(ctx, directWait)
	defer cancel()
	// Before JetStream is asked: what is stored meanwhile may be newer than what it then tells of.
	last, err := in.store.Last(ctx)
	if err != nil {
		return last, err
	}
	names := in.Subjects.Names()
	consumer, err := in.js.Consumer(ctx, names.Posts, names.HistoryPosts)
	if errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, jetstream.ErrConsumerNotFound) {
		return last, nil // nobody has anything in hands
	}
	if err != nil {
		return last, err
	}
	info := consumer.CachedInfo()
	if info.NumPending == 0 && info.NumAckPending == 0 {
		return last, nil
	}
	open, err := in.firstAfter(ctx, info.AckFloor.Stream, last)
	if err != nil || open.Compare(last) > 0 {
		return last, err
	}
	return open.Previous(), nil
}

// firstAfter is the id of the first message in the posts stream after a sequence of that: the oldest that may not be stored
// yet; [record.Newest] if there is none.
func (in *Ingester) firstAfter(ctx context.Context, sequence uint64, last record.ID) (id record.ID, err error) {
	request := fmt.Appendf(nil, `{"seq":%d,"next_by_subj":">"}`, sequence+1)
	for tries := 1; ; tries++ {
		msg, err := provision.Direct(ctx, in.nc, in.Subjects.Names().Posts, request)
		switch {
		case err != nil:
			return id, err
		case msg != nil:
			return in.idOf(ctx, msg, last)
		case tries == staleTries: // it has gone from the stream
			return record.Newest, nil
		}
		sleep(ctx, stalePause)
	}
}

// idOf is the id by which a message of the posts stream is stored. What comes from an incarnation of the main stream that is
// not noted yet is newer than all that is.
func (in *Ingester) idOf(ctx context.Context, msg *nats.Msg, last record.ID) (record.ID, error) {
	h := contract.Header(msg.Header)
	_, sequence, err := contract.SourceSequence(h)
	if err != nil { // it is about to be skipped
		return record.ID{}, err
	}
	id := record.ID{Epoch: last.Epoch, Sequence: int64(sequence)} //nolint:gosec // JetStream's own
	if from := identity(h); from != "" {
		all, err := in.store.Incarnations(ctx, from)
		if err != nil {
			return id, err
		}
		if len(all) == 0 {
			return record.Newest, nil
		}
		stored, err := contract.ParseStored(h)
		if err != nil {
			return id, err
		}
		id.Epoch = epochIn(all, id.Sequence, stored.Time)
	}
	return id, nil
}

package ingest

import (
	"context"
	"errors"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/history/internal/record"
)

// Expects says whether a message that the database does not have may still come into it: the main stream has it as a post to
// the place, or posts wait that are newer than all that is stored. It says so too while nobody can tell.
func (in *Ingester) Expects(ctx context.Context, place record.Place, id record.ID) bool {
	ctx, cancel := context.WithTimeout(ctx, directWait)
	defer cancel()
	posted, known, err := in.posted(ctx, place, id)
	if err != nil || known {
		return err != nil || posted
	}
	if in.Lag() == 0 {
		return false
	}
	newest, err := in.store.Last(ctx)
	return err != nil || id.Compare(newest) > 0
}

// posted says whether the main stream has the message as a post to the place; known is false if it has forgotten it.
func (in *Ingester) posted(ctx context.Context, place record.Place, id record.ID) (posted, known bool, err error) {
	stream, err := in.js.Stream(ctx, in.Subjects.Names().Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return false, false, nil
	}
	if err != nil {
		return false, false, err
	}
	info := stream.CachedInfo()
	if info.Created.UnixMilli() != id.Epoch || uint64(id.Sequence) < info.State.FirstSeq {
		return false, false, nil
	}
	if uint64(id.Sequence) > info.State.LastSeq {
		return false, true, nil
	}
	msg, err := stream.GetMsg(ctx, uint64(id.Sequence))
	if errors.Is(err, jetstream.ErrMsgNotFound) { // by a replica that lags behind, or it is being forgotten
		return true, true, nil
	}
	if err != nil {
		return false, false, err
	}
	m, err := record.Decode(in.Subjects, msg.Subject, contract.Header(msg.Header), msg.Data)
	return err == nil && m.Namespace == place.Namespace && slices.Contains(m.Targets, place.Target), true, nil
}

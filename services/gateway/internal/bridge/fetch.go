package bridge

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/internal/session"
)

// fetchBatch is how many messages one Direct Get brings.
const fetchBatch = 256

// fetch reads the stored messages on subjects that match, with sequences from after+1 to last, in order, by
// JetStream's batched Direct Get (NATS ADR-31). They look like republished ones.
func (b *Bridge) fetch(ctx context.Context, subject string, after, last uint64) ([]*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, fenceTimeout)
	defer cancel()
	var all []*nats.Msg
	for after < last {
		batch, err := b.fetchOnce(ctx, subject, after+1)
		if err != nil {
			return nil, fmt.Errorf("%w: fetching %s from %d: %w", session.ErrUnavailable, subject, after+1, err)
		}
		for _, msg := range batch {
			if after = sequenceOf(msg); after == 0 || after > last {
				return all, nil
			}
			all = append(all, msg)
		}
		if len(batch) < fetchBatch {
			break
		}
	}
	return all, nil
}

func (b *Bridge) fetchOnce(ctx context.Context, subject string, from uint64) ([]*nats.Msg, error) {
	request, err := json.Marshal(map[string]any{"seq": from, "next_by_subj": subject, "batch": fetchBatch})
	if err != nil {
		return nil, err
	}
	inbox := b.nc.NewInbox()
	sub, err := b.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, err
	}
	defer sub.Unsubscribe() //nolint:errcheck // fails only on a closed connection
	if err := b.nc.PublishRequest("$JS.API.DIRECT.GET."+b.opts.Subjects.Names().Stream, inbox, request); err != nil {
		return nil, err
	}
	var batch []*nats.Msg
	for {
		msg, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return nil, err
		}
		switch status := msg.Header.Get("Status"); status {
		case "":
			if contract.Last(contract.Header(msg.Header), "Nats-Sequence") == "" {
				return nil, fmt.Errorf("unexpected answer %q", msg.Data)
			}
			batch = append(batch, msg)
		case "204", "404": // end of batch; nothing there
			return batch, nil
		default:
			return nil, fmt.Errorf("%s %s", status, msg.Header.Get("Description"))
		}
	}
}

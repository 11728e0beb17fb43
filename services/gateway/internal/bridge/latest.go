package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// entry is what stands under a key of the sessions' bucket.
type entry struct {
	value    []byte
	revision uint64
	created  time.Time // by NATS's clock
}

// get reads a key; nil if there is nothing. Any copy of the bucket answers, also one that is behind: so that there is nothing is believed
// of the leader alone. To ask it every time would have it answer all clients that come back at once.
func (s *sessions) get(ctx context.Context, key string) (*entry, error) {
	e, err := (*s.bucket.Load()).Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return s.latest(ctx, key)
	}
	if err != nil {
		return nil, err
	}
	return &entry{e.Value(), e.Revision(), e.Created()}, nil
}

// latest is get, of the bucket's leader.
func (s *sessions) latest(ctx context.Context, key string) (*entry, error) {
	bucket := (*s.bucket.Load()).Bucket()
	request, err := json.Marshal(map[string]string{"last_by_subj": "$KV." + bucket + "." + key})
	if err != nil {
		return nil, err
	}
	reply, err := s.bridge.nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET.KV_"+bucket, request)
	if err != nil {
		return nil, fmt.Errorf("asking the leader of bucket %s: %w", bucket, err)
	}
	var answer struct {
		Message struct {
			Sequence uint64    `json:"seq"`
			Header   []byte    `json:"hdrs"`
			Data     []byte    `json:"data"`
			Time     time.Time `json:"time"`
		} `json:"message"`
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return nil, fmt.Errorf("the leader of bucket %s answers %.80q: %w", bucket, reply.Data, err)
	}
	m := answer.Message
	switch {
	case answer.Error != nil && answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return nil, nil
	case answer.Error != nil:
		return nil, fmt.Errorf("asking the leader of bucket %s: %w", bucket, answer.Error)
	case m.Sequence == 0:
		return nil, fmt.Errorf("the leader of bucket %s answers %.80q", bucket, reply.Data)
	}
	if len(m.Header) > 0 {
		h, err := nats.DecodeHeadersMsg(m.Header)
		if err != nil {
			return nil, fmt.Errorf("the leader of bucket %s: %w", bucket, err)
		}
		if h.Get("KV-Operation") != "" || h.Get(jetstream.MarkerReasonHeader) != "" { // it was deleted, or has expired
			return nil, nil
		}
	}
	return &entry{m.Data, m.Sequence, m.Time}, nil
}

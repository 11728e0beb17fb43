package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/services/gateway/internal/session"
)

// record is a session as it is stored.
type record struct {
	session.Saved
	Gateway string    `json:"gateway"` // that has it
	Claim   int       `json:"claim"`
	Try     string    `json:"try,omitempty"`  // tells claims of one gateway with the same number apart, until the next write
	Left    time.Time `json:"left,omitzero"`  // since when the client is away, by NATS's clock, as far as its gateway knows
	Told    bool      `json:"told,omitzero"`  // another gateway found the client away, and told services
	Ended   bool      `json:"ended,omitzero"` // it may not come back
}

// unheard is since when it is not known that the client hears, if it left its gateway at a time that others know.
func (r *record) unheard(left time.Time) time.Time {
	switch {
	case !r.Since.IsZero():
		return r.Since
	case !r.Left.IsZero():
		return r.Left
	}
	return left
}

// key is where a session is stored; false for what cannot be a private id.
func key(pid string) (string, bool) {
	if len(pid) != session.PrivateIDLength || strings.ContainsFunc(pid, func(r rune) bool {
		return r > 'z' || !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-", r)
	}) {
		return "", false
	}
	return "session." + pid, true
}

// read gets a session; nil if there is none. What there is may be somewhat old.
func (s *sessions) read(ctx context.Context, pid string) (*record, uint64, error) {
	return s.readBy(ctx, pid, s.get)
}

// readLatest is read, of the bucket's leader.
func (s *sessions) readLatest(ctx context.Context, pid string) (*record, uint64, error) {
	return s.readBy(ctx, pid, s.latest)
}

func (s *sessions) readBy(ctx context.Context, pid string, get func(context.Context, string) (*entry, error)) (*record, uint64, error) {
	k, ok := key(pid)
	if !ok || s.bucket.Load() == nil {
		return nil, 0, nil
	}
	e, err := get(ctx, k)
	if e == nil || err != nil {
		return nil, 0, err
	}
	var r record
	if err := json.Unmarshal(e.value, &r); err != nil {
		return nil, 0, fmt.Errorf("session: %w", err)
	}
	return &r, e.revision, nil
}

// write stores a session, expecting a revision.
func (s *sessions) write(pid string, r record, revision uint64, done func(uint64, error)) {
	k, ok := key(pid)
	kv := s.bucket.Load()
	if !ok || kv == nil {
		done(0, errNotReady)
		return
	}
	data, err := json.Marshal(r)
	if err != nil {
		done(0, err)
		return
	}
	msg := &nats.Msg{Subject: "$KV." + (*kv).Bucket() + "." + k, Data: data, Header: nats.Header{
		jetstream.ExpectedLastSubjSeqHeader: {strconv.FormatUint(revision, 10)},
	}}
	if r.Ended || !r.Left.IsZero() {
		keep := s.bridge.opts.Window + keepMargin
		if r.Ended {
			keep = keepMargin // long enough that no write under way comes after
		}
		msg.Header.Set(jetstream.MsgTTLHeader, strconv.Itoa(int(keep/time.Second))+"s")
	}
	stream := "KV_" + (*kv).Bucket()
	err = s.stores.request(msg, keepTimeout, func(reply *nats.Msg, err error) {
		if err != nil {
			done(0, fmt.Errorf("%w: %w", session.ErrUnavailable, err))
			return
		}
		done(written(stream, reply))
	})
	if errors.Is(err, nats.ErrMaxPayload) {
		err = fmt.Errorf("%w: %w", session.ErrUnstorable, err)
	}
	if err != nil {
		done(0, err)
	}
}

// written reads the answer to a write.
func written(stream string, reply *nats.Msg) (revision uint64, err error) {
	var ack struct {
		Stream   string              `json:"stream"`
		Sequence uint64              `json:"seq"`
		Error    *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(reply.Data, &ack); err != nil {
		return 0, fmt.Errorf("acknowledgement %q: %w", reply.Data, err)
	}
	switch {
	case ack.Error != nil && (ack.Error.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || ack.Error.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant):
		return 0, session.ErrClaimed
	case ack.Error != nil:
		return 0, ack.Error
	case ack.Stream != stream:
		return 0, fmt.Errorf("not an acknowledgement of the stream %s: %.80q", stream, reply.Data)
	}
	return ack.Sequence, nil
}

// writeNow is write, waiting.
func (s *sessions) writeNow(ctx context.Context, pid string, r record, revision uint64) (uint64, error) {
	type result struct {
		revision uint64
		err      error
	}
	done := make(chan result, 1)
	s.write(pid, r, revision, func(revision uint64, err error) { done <- result{revision, err} })
	select {
	case r := <-done:
		return r.revision, r.err
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

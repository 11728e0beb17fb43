package bridge

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// beatKey is what a gateway renews as long as it lives, and what tells afterwards when it was seen last.
func beatKey(gateway string) string { return "gateway." + gateway }

// beat renews the sign of life, and returns the bucket's revision with it. The first one tells this gateway's own writes from those of another that had its id before.
func (s *sessions) beat(ctx context.Context) (revision uint64, err error) {
	kv := *s.bucket.Load()
	ctx, cancel := context.WithTimeout(ctx, findTimeout)
	defer cancel()
	if err := s.lookBack(ctx, kv); err != nil {
		return 0, err
	}
	msg := nats.NewMsg("$KV." + kv.Bucket() + "." + beatKey(s.bridge.opts.Gateway))
	keep := s.bridge.opts.Window + s.bridge.opts.Lease + keepMargin
	msg.Header.Set(jetstream.MsgTTLHeader, strconv.Itoa(int(keep/time.Second))+"s")
	ack, err := s.bridge.js.PublishMsg(ctx, msg)
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.since == 0 || ack.Sequence < s.since { // less: the bucket is another one
		s.since = ack.Sequence
	}
	return ack.Sequence, nil
}

// lookBack finds out, once, when a gateway with this one's id was seen before.
func (s *sessions) lookBack(ctx context.Context, kv jetstream.KeyValue) error {
	s.mu.Lock()
	begun := s.since > 0
	s.mu.Unlock()
	if begun {
		return nil
	}
	entry, err := kv.Get(ctx, beatKey(s.bridge.opts.Gateway))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.earlier = entry.Created()
	return nil
}

// stale says whether a session is of a gateway that had this one's id before.
func (s *sessions) stale(r *record, revision uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return r.Gateway == s.bridge.opts.Gateway && revision < s.since
}

func (s *sessions) seenEarlier() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.earlier
}

// lastBeat is when a gateway was seen last; the zero time if nobody knows. All its clients come back at the same time.
func (s *sessions) lastBeat(ctx context.Context, gateway string) (time.Time, error) {
	s.mu.Lock()
	known, ok := s.beats[gateway]
	s.mu.Unlock()
	if ok && time.Since(known.read) < beatFor {
		return known.at, nil
	}
	var beat lastBeat
	entry, err := (*s.bucket.Load()).Get(ctx, beatKey(gateway))
	switch {
	case err == nil:
		beat.at = entry.Created()
	case !errors.Is(err, jetstream.ErrKeyNotFound):
		return time.Time{}, err
	}
	beat.read = time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beats[gateway] = beat
	return beat.at, nil
}

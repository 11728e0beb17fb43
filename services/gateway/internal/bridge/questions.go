package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"strconv"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
)

// Bounds of one question. JetStream answers at most 1024 messages to a multi_last, three for each path.
const (
	pathsAtOnce  = 300
	fetchBatch   = 256
	fetchBytes   = 4 << 20 // of one answer
	betweenBytes = 1 << 20 // of neighbours' messages, after which it is better to ask for the own
)

// lasts returns the last sequence on each subject of the paths that has something after a sequence, as of a moment when
// the stream had reached upTo.
func (t *tail) lasts(ctx context.Context, paths []string, after, upTo uint64) (map[string]uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	for wait := firstWait; ; {
		lasts, err := t.lastsOnce(ctx, paths, after, upTo)
		switch {
		case err == nil:
			return lasts, nil
		case errors.Is(err, errTooMuch) && len(paths) > 1:
			lasts, err := t.lasts(ctx, paths[:len(paths)/2], after, upTo)
			if err != nil {
				return nil, err
			}
			others, err := t.lasts(ctx, paths[len(paths)/2:], after, upTo)
			maps.Copy(lasts, others)
			return lasts, err
		case !again(err):
			return nil, err
		}
		if wait = rest(ctx, wait); ctx.Err() != nil {
			return nil, err
		}
	}
}

// lastsOnce makes one request. A stream without replicas that has nothing is never behind.
func (t *tail) lastsOnce(ctx context.Context, paths []string, after, upTo uint64) (map[string]uint64, error) {
	subjects := []string{t.opts.Subjects.Fence()}
	for _, path := range paths {
		subjects = append(subjects, t.opts.Subjects.Prefix()+".*."+path)
	}
	request, err := json.Marshal(map[string]any{"multi_last": subjects, "seq": after + 1})
	if err != nil {
		return nil, err
	}
	lasts := make(map[string]uint64)
	end, err := t.get(ctx, request, func(_ *nats.Msg, s contract.Stored) {
		if s.Subject != t.opts.Subjects.Fence() {
			lasts[s.Subject] = s.Sequence
		}
	})
	switch {
	case err != nil:
		return nil, err
	case end == nil && !t.replicated.Load():
		return lasts, nil
	case end == nil:
		return nil, errBehind
	case end.Header.Get("Nats-Num-Pending") != "0":
		return nil, errTooMuch
	}
	reached, err := strconv.ParseUint(end.Header.Get("Nats-UpTo-Sequence"), 10, 64)
	if err == nil && reached < upTo {
		err = errBehind
	}
	return lasts, err
}

// between calls see with all that was stored after a sequence up to another, whomever it is for, and returns up to where it came.
// It fails with errTooMuch if what see does not want are more than so many bytes, or if the last one has expired already.
func (t *tail) between(ctx context.Context, after, upTo uint64, others int, see func(*nats.Msg, contract.Stored) (wanted bool)) (uint64, error) {
	size := 0
	for wait := firstWait; after < upTo; {
		request, err := json.Marshal(map[string]any{"seq": after + 1, "batch": min(upTo-after, fetchBatch), "max_bytes": betweenBytes})
		if err != nil {
			return after, err
		}
		before := after
		_, err = t.get(ctx, request, func(msg *nats.Msg, s contract.Stored) {
			if after = s.Sequence; after > upTo || !see(msg, s) {
				size += msg.Size()
			}
		})
		switch {
		case err != nil && !again(err):
			return min(after, upTo), err
		case after >= upTo:
			return upTo, nil
		case size > others || wait > expiredWait:
			return after, errTooMuch
		case after > before:
			continue
		}
		// A replica that is behind; or what was there has expired.
		if wait = rest(ctx, wait); ctx.Err() != nil {
			return after, errBehind
		}
	}
	return after, nil
}

// fetch reads a subject after a sequence until it has read the sequence last, or past it, so many messages at a time. If it fails,
// it returns what it has read until then: all after the sequence up to the last of them.
func (t *tail) fetch(ctx context.Context, subject string, after, last uint64, batch int) ([]stored, error) {
	var all []stored
	for wait := firstWait; after < last; {
		request, err := json.Marshal(map[string]any{"seq": after + 1, "next_by_subj": subject, "batch": batch, "max_bytes": fetchBytes})
		if err != nil {
			return all, err
		}
		before := after
		_, err = t.get(ctx, request, func(msg *nats.Msg, s contract.Stored) {
			all = append(all, stored{msg, s.Sequence, new(parsed)})
			after = s.Sequence
		})
		if err != nil && !again(err) {
			return all, err
		}
		if after != before {
			continue
		}
		if err == nil { // A replica that is behind; or what was there has expired meanwhile, which the last that there is shows.
			path, _, err := t.path(subject)
			if err != nil {
				return all, err
			}
			lasts, err := t.lasts(ctx, []string{path}, after, last)
			if err != nil {
				return all, err
			}
			if lasts[subject] <= after {
				return all, nil
			}
		}
		if wait = rest(ctx, wait); ctx.Err() != nil {
			return all, errBehind
		}
	}
	return all, nil
}

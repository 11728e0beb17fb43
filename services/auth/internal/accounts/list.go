package accounts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// lag is longer than a replica is behind the leader. A list that is still not complete then is taken as
	// it is: somebody has removed messages from the bucket by hand.
	lag = 2 * time.Second
	// lookAgain is the pause before a list that lags behind is read again.
	lookAgain = 5 * time.Millisecond
)

// List returns every account, sorted by name. It sees what was written before it was called, although any
// replica of the bucket may read it out.
func (s *Store) List(ctx context.Context) ([]Account, error) {
	last, err := s.lastRevision(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing the accounts: %w", err)
	}
	for begin := s.now(); ; {
		all, seen, err := s.read(ctx)
		if err != nil {
			return nil, fmt.Errorf("listing the accounts: %w", err)
		}
		if seen >= last || s.now().Sub(begin) > lag {
			slices.SortFunc(all, func(a, b Account) int { return strings.Compare(Fold(a.Name), Fold(b.Name)) })
			return all, nil
		}
		select {
		case <-time.After(lookAgain):
		case <-ctx.Done():
			return nil, fmt.Errorf("listing the accounts: %w", context.Cause(ctx))
		}
	}
}

// lastRevision is the bucket's last one, as its leader knows it.
func (s *Store) lastRevision(ctx context.Context) (uint64, error) {
	status, err := s.kv.Status(ctx)
	if err != nil {
		return 0, err
	}
	stream, ok := status.(*jetstream.KeyValueBucketStatus)
	if !ok {
		return 0, fmt.Errorf("the status of the bucket is a %T", status)
	}
	return stream.StreamInfo().State.LastSeq, nil
}

// read returns the accounts in no order, and the last revision among everything in the bucket. The bucket
// keeps each key's last revision, also of deleted ones, so that its own last one is always among them.
func (s *Store) read(ctx context.Context) (all []Account, seen uint64, err error) {
	watch, err := s.kv.WatchAll(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer watch.Stop() //nolint:errcheck // the watcher is done with
	all = []Account{}
	for {
		select {
		case entry, ok := <-watch.Updates():
			if !ok {
				return nil, 0, errors.Join(jetstream.ErrConsumerNotFound, context.Cause(ctx))
			}
			if entry == nil { // all that was there has come
				return all, seen, nil
			}
			seen = max(seen, entry.Revision())
			isAccount := strings.HasPrefix(entry.Key(), keyName) || strings.HasPrefix(entry.Key(), keyHash)
			if !isAccount || entry.Operation() != jetstream.KeyValuePut {
				continue
			}
			a, err := decode(entry)
			if err != nil {
				return nil, 0, err
			}
			all = append(all, a)
		case <-ctx.Done():
			return nil, 0, context.Cause(ctx)
		}
	}
}

package bridge

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
)

const (
	answerTimeout = 2 * time.Second // for one answer, whole

	firstWait   = 2 * time.Millisecond // before the same question is asked again
	longestWait = 100 * time.Millisecond
	expiredWait = 30 * time.Millisecond // a replica is not behind for so long as a rule
)

var (
	errBehind  = errors.New("the replica that answered is behind")
	errBroken  = errors.New("a part of the answer was lost")
	errTooMuch = errors.New("more than one answer holds")
)

// again says whether the same question may be answered in a moment.
func again(err error) bool { return errors.Is(err, errBehind) || errors.Is(err, errBroken) }

// rest waits, until the context ends at the latest, and returns for how long to wait the next time.
func rest(ctx context.Context, wait time.Duration) time.Duration {
	select {
	case <-ctx.Done():
	case <-time.After(wait):
	}
	return min(2*wait, longestWait)
}

// get makes one Direct Get of several messages and returns its end; nil if there is nothing. Each message of the answer names
// the one before it there, and so does the end: what is lost on the way shows (NATS ADR-31, Nats-Last-Sequence). Then
// each was called with what was before that, and errBroken is returned, as if no more comes for a while.
func (t *tail) get(ctx context.Context, request []byte, each func(*nats.Msg, contract.Stored)) (end *nats.Msg, err error) {
	inbox := t.nc.NewInbox()
	sub, err := t.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, err
	}
	defer sub.Unsubscribe() //nolint:errcheck // fails only on a closed connection
	if err := t.nc.PublishRequest("$JS.API.DIRECT.GET."+t.stream, inbox, request); err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	var last uint64
	for {
		msg, err := sub.NextMsgWithContext(limited)
		if err != nil {
			if ctx.Err() == nil && limited.Err() != nil {
				err = fmt.Errorf("%w: nothing came for %v", errBroken, answerTimeout)
			}
			return nil, err
		}
		switch status := msg.Header.Get("Status"); status {
		case "":
			s, err := contract.ParseStored(contract.Header(msg.Header))
			if err != nil {
				return nil, err
			}
			if s.Last != last {
				return nil, fmt.Errorf("%w: after %d comes %d, which follows %d", errBroken, last, s.Sequence, s.Last)
			}
			last = s.Sequence
			each(msg, s)
		case "204":
			if end := msg.Header.Get("Nats-Last-Sequence"); end != strconv.FormatUint(last, 10) {
				return nil, fmt.Errorf("%w: the last that came is %d, of %s", errBroken, last, end)
			}
			return msg, nil
		case "404":
			return nil, nil
		case "413":
			return nil, errTooMuch
		default:
			return nil, fmt.Errorf("%s %s", status, msg.Header.Get("Description"))
		}
	}
}

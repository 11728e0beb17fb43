package query

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/history/internal/record"
)

// A message is heard live some milliseconds before it is stored: what is changed at once is waited for.
const (
	arrivalWait  = 2 * time.Second
	arrivalPause = 50 * time.Millisecond
	// changeOverhead is left for what clients hear of a change besides the event: names of 128 bytes, in JSON.
	changeOverhead = 4 << 10
)

// change answers a [contract.ChangeRequest] with [contract.Done].
func (s *Service) change(action record.Action) answerer {
	return func(ctx context.Context, data []byte) ([]byte, error) {
		var r contract.ChangeRequest
		if err := decode(data, 0, `{"namespace","room","id","value","user","socket","name","admin"}`, &r); err != nil {
			return nil, err
		}
		place, id, err := message(r.Namespace, r.Room, r.ID)
		if err != nil {
			return nil, err
		}
		if action == record.Edit && len(r.Value) == 0 {
			return nil, invalid(errors.New("value: is missing: what shall the message's last argument be?"))
		}
		if r.User != "" {
			if err := user(r.User); err != nil {
				return nil, err
			}
		}
		c := record.Change{Place: place, ID: id, Action: action, Value: r.Value, Most: s.maxSize() - changeOverhead, Time: time.Now().UTC(),
			By: record.By{User: r.User, Socket: record.Text(r.Socket), Name: record.Text(r.Name), Admin: r.Admin}}
		if err := s.arrived(ctx, c); err != nil {
			return nil, changeRefusal(err)
		}
		s.Changed()
		return reply(contract.Done{OK: true})
	}
}

// arrived makes the change, and waits a while for a message that is not there yet. Few may wait at a time: whoever asks
// for what does not exist must not hold up the others.
func (s *Service) arrived(ctx context.Context, c record.Change) error {
	_, err := s.store.Change(ctx, c)
	if !errors.Is(err, record.ErrNotFound) {
		return err
	}
	select {
	case s.arrival <- struct{}{}:
		defer func() { <-s.arrival }()
	default:
		return err
	}
	for end := time.Now().Add(arrivalWait); errors.Is(err, record.ErrNotFound) && time.Now().Before(end); {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(arrivalPause):
		}
		_, err = s.store.Change(ctx, c)
	}
	return err
}

// changeRefusal is what the asker hears of why a message cannot be changed.
func changeRefusal(err error) error {
	for _, known := range []struct {
		err  error
		code string
	}{
		{record.ErrNotFound, contract.CodeNotFound},
		{record.ErrNotYours, contract.CodeForbidden},
		{record.ErrGone, contract.CodeConflict},
		{record.ErrUnfitting, contract.CodeInvalid},
	} {
		if errors.Is(err, known.err) {
			return refusal{known.code, why(err, known.err)}
		}
	}
	return err
}

// why is the error without what it says for the log: from the known one on.
func why(err, known error) string {
	_, rest, _ := strings.Cut(err.Error(), known.Error())
	return known.Error() + rest
}

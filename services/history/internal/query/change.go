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
	// heardOverhead is left for the header Nats-Msg-Id, which has a room's name.
	heardOverhead = 512
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
		c := record.Change{Place: place, ID: id, Action: action, Value: r.Value, Most: s.maxSize() - changeOverhead, Heard: s.maxHeard(),
			By: record.By{User: r.User, Socket: record.Text(r.Socket), Name: record.Text(r.Name), Admin: r.Admin}}
		if err := s.arrived(ctx, c); err != nil {
			return nil, changeRefusal(err)
		}
		s.Changed()
		return reply(contract.Done{OK: true})
	}
}

// maxHeard is how large what clients hear of an edit may be, since the main stream must take it; 0: as large as an edit.
func (s *Service) maxHeard() int {
	if largest := s.Largest(); largest > 0 {
		return max(1, largest-heardOverhead)
	}
	return 0
}

// arrived makes the change, and waits a while for a message that is expected. Few may wait at a time, so that they do not
// hold up the others.
func (s *Service) arrived(ctx context.Context, c record.Change) error {
	_, err := s.store.Change(ctx, c)
	if !errors.Is(err, record.ErrNotFound) {
		return err
	}
	if !s.Expects(ctx, c.Place, c.ID) {
		_, err = s.store.Change(ctx, c) // it may have come meanwhile
		return err
	}
	select {
	case s.arrival <- struct{}{}:
		defer func() { <-s.arrival }()
	default:
		return errNotYet
	}
	for end := time.Now().Add(arrivalWait); errors.Is(err, record.ErrNotFound); {
		if time.Now().After(end) {
			return errNotYet
		}
		select {
		case <-ctx.Done():
			return errNotYet
		case <-time.After(arrivalPause):
		}
		_, err = s.store.Change(ctx, c)
	}
	return err
}

// errNotYet is no final refusal.
var errNotYet = refusal{contract.CodeUnavailable, "the message is not in history yet, try again"}

// changeRefusal is what the asker hears of why a message cannot be changed, or a mark be set.
func changeRefusal(err error) error {
	for _, known := range []struct {
		err  error
		code string
	}{
		{record.ErrNotFound, contract.CodeNotFound},
		{record.ErrNotYours, contract.CodeForbidden},
		{record.ErrGone, contract.CodeConflict},
		{record.ErrUnfitting, contract.CodeInvalid},
		{record.ErrDeleted, contract.CodeConflict},
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

package query

import (
	"context"
	"fmt"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/history/internal/record"
)

// read answers a [contract.ReadRequest] with [contract.Done], and tells the user's devices.
func (s *Service) read(ctx context.Context, data []byte) ([]byte, error) {
	var r contract.ReadRequest
	if err := decode(data, maxRequest, `{"namespace","room","user","id"}`, &r); err != nil {
		return nil, err
	}
	place, id, err := message(r.Namespace, r.Room, r.ID)
	if err != nil {
		return nil, err
	}
	if err := user(r.User); err != nil {
		return nil, err
	}
	if id, err = s.stored(ctx, id); err != nil {
		return nil, err
	}
	if id != (record.ID{}) {
		moved, err := s.store.Read(ctx, place, r.User, id)
		if err != nil {
			return nil, changeRefusal(err)
		}
		if r.ID = id.String(); moved {
			s.tellRead(r)
		}
	}
	return reply(contract.Done{OK: true})
}

// stored bounds an id by the newest message there is: in the database, or still on its way there. Nobody can have read
// further, and a mark in the future would hide all that is said until then. The zero id is before the first message.
func (s *Service) stored(ctx context.Context, id record.ID) (record.ID, error) {
	newest, err := s.store.Last(ctx)
	if err != nil || id.Compare(newest) <= 0 {
		return id, err
	}
	last, err := s.Last(ctx)
	if err != nil {
		return id, err
	}
	if last.Compare(newest) > 0 {
		newest = last
	}
	if id.Compare(newest) > 0 {
		id = newest
	}
	return id, nil
}

// tellRead does not wait until it is stored: a device that misses it asks when it connects again.
func (s *Service) tellRead(r contract.ReadRequest) {
	subject, err := s.Subjects.To(contract.Emit, r.Namespace, contract.To(contract.UserRoom(r.User)))
	if err == nil {
		var event []byte
		if event, err = reply([]any{contract.EventRead, map[string]any{"room": r.Room, "id": r.ID}}); err == nil {
			err = s.nc.Publish(subject, event)
		}
	}
	if err != nil {
		s.Log.Debug("cannot tell a user's devices what was read", "user", r.User, "error", err)
	}
}

// unread answers a [contract.UnreadRequest] with a [contract.UnreadReply].
func (s *Service) unread(ctx context.Context, data []byte) ([]byte, error) {
	var r contract.UnreadRequest
	if err := decode(data, maxSearch, `{"namespace","rooms","user"}`, &r); err != nil {
		return nil, err
	}
	if err := user(r.User); err != nil {
		return nil, err
	}
	all, err := places(r.Namespace, r.Rooms)
	if err != nil {
		return nil, err
	}
	answer := contract.UnreadReply{OK: true, Rooms: make([]contract.Unread, len(all))}
	for i, place := range all {
		count, mark, err := s.store.Unread(ctx, place, r.User, contract.MaxUnread)
		if err != nil {
			return nil, fmt.Errorf("user %s: %w", r.User, err)
		}
		answer.Rooms[i].Unread = count
		if answer.Rooms[i].Room, err = place.Room(); err != nil {
			return nil, err
		}
		if mark.Sequence > 0 {
			answer.Rooms[i].Read = mark.String()
		}
	}
	return reply(answer)
}

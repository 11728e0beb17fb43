package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/internal/hub"
	"github.com/natter-io/natter/services/gateway/internal/session"
)

var errCommand = errors.New(`not a command: want ["join","room",…], ["leave","room",…], ["data",value], ["disconnect"] or ["disconnect",true]`)

// command acts on sockets. It waits until all that was said before has been handed to them, and is done
// when it returns, so that it takes effect at its own place in the stream; but for [errLater].
func (b *Bridge) command(ctx context.Context, epoch string, sel hub.Selection, sequence uint64, payload []byte) error {
	var array []any
	if json.Unmarshal(payload, &array) != nil || len(array) == 0 {
		return errCommand
	}
	switch array[0] {
	case "join", "leave":
		rooms, err := roomsOf(array[1:])
		if err != nil {
			return err
		}
		b.hub.Barrier()
		for _, members := range b.obedient(sel, sequence) {
			if array[0] == "join" {
				if err := b.joinAt(ctx, epoch, members, rooms, sequence); err != nil {
					return err
				}
				continue
			}
			for _, s := range members {
				for _, room := range rooms {
					s.Leave(room)
				}
				s.Obeyed(sequence)
			}
		}
	case "data":
		data, err := dataOf(payload)
		if err != nil {
			return err
		}
		b.hub.Barrier()
		for _, members := range b.obedient(sel, sequence) {
			for _, s := range members {
				s.SetData(data, sequence)
				s.Obeyed(sequence)
			}
		}
	case "disconnect":
		connection, ok := false, len(array) == 1
		if len(array) == 2 {
			connection, ok = array[1].(bool)
		}
		if !ok {
			return errCommand
		}
		b.hub.Barrier()
		for _, members := range b.obedient(sel, sequence) {
			for _, s := range members {
				s.Disconnect(connection)
			}
		}
	default:
		return errCommand
	}
	b.opts.Metrics.Delivered(contract.Do)
	return nil
}

// obedient are the sockets on which an order at a sequence takes effect now, those of each namespace together.
func (b *Bridge) obedient(sel hub.Selection, sequence uint64) [][]*session.Socket {
	all := b.members(sel)
	for i, members := range all {
		all[i] = slices.DeleteFunc(members, func(s *session.Socket) bool { return !s.Obeys(sequence) })
	}
	return slices.DeleteFunc(all, func(members []*session.Socket) bool { return len(members) == 0 })
}

// dataOf is the value in ["data",value], byte for byte; nil if it is null.
func dataOf(payload []byte) (json.RawMessage, error) {
	var array []json.RawMessage
	if json.Unmarshal(payload, &array) != nil || len(array) != 2 {
		return nil, errCommand
	}
	if len(array[1]) > contract.MaxData {
		return nil, fmt.Errorf("%w: data of %d bytes, at most %d are allowed", errCommand, len(array[1]), contract.MaxData)
	}
	if string(array[1]) == "null" {
		return nil, nil
	}
	return array[1], nil
}

func roomsOf(args []any) ([]string, error) {
	if len(args) == 0 {
		return nil, errCommand
	}
	rooms := make([]string, len(args))
	for i, arg := range args {
		room, ok := arg.(string)
		if !ok || contract.IsSocketID(room) {
			return nil, errCommand
		}
		if _, err := contract.EncodeToken(room); err != nil {
			return nil, err
		}
		rooms[i] = room
	}
	return rooms, nil
}

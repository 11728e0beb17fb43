package session

import (
	"encoding/json"
	"errors"
	"slices"

	"github.com/natter-io/natter/pkg/contract"
)

// inquiry is the argument of the events by which clients ask the history service, or tell it something: of each
// what it needs.
type inquiry struct {
	Room   *string         `json:"room"`
	Rooms  []*string       `json:"rooms"`
	ID     string          `json:"id"`
	Text   string          `json:"text"`
	Value  json.RawMessage `json:"value"`
	Before string          `json:"before"`
	After  string          `json:"after"`
	Around string          `json:"around"`
	Limit  int             `json:"limit"`
}

// maxCostly bounds the searches, and the counts of what is unread, of a client that are under way: the history service makes few of
// them at a time, for all.
const maxCostly = 4

// shapes say what clients give, for those who give something else.
var shapes = map[contract.Action]string{
	contract.ActionHistory: "{room, before | after | around, limit}",
	contract.ActionSearch:  "{text, rooms, before, limit}",
	contract.ActionEdit:    "{room, id, value}",
	contract.ActionDelete:  "{room, id}",
	contract.ActionRead:    "{room, id}",
	contract.ActionUnread:  "{rooms}",
}

// history passes a question on to the history service, for the rooms that the client is in and as who it is.
func (e *event) history() *contract.Refusal {
	var q inquiry
	if len(e.args) == 0 || json.Unmarshal(e.args[0], &q) != nil {
		return refuse(contract.CodeInvalid, "the argument of %q is an object: %s", e.name, shapes[e.rule.Action])
	}
	for _, id := range []string{q.ID, q.Before, q.After, q.Around} {
		if len(id) > contract.MaxToken {
			return refuse(contract.CodeInvalid, "what stands for the id of a message is too long")
		}
	}
	endpoint, request, no := e.inquire(q)
	if no != nil {
		return no
	}
	// What changes something is done whether the client wants to hear of it or not.
	asks := e.rule.Action == contract.ActionHistory || e.rule.Action == contract.ActionSearch || e.rule.Action == contract.ActionUnread
	if !e.wanted && asks {
		return nil
	}
	if !e.socket.startReply() {
		return errTooManyReplies(e.name)
	}
	costly := e.rule.Action == contract.ActionSearch || e.rule.Action == contract.ActionUnread
	if costly && e.socket.client.costly.Add(1) > maxCostly {
		e.socket.client.costly.Add(-1)
		e.socket.endReply()
		return refuse(contract.CodeRateLimited, "%d searches or counts of what is unread are under way already: wait for their answers", maxCostly)
	}
	a := e.answer
	done := func(reply []byte, err error) {
		a.socket.endReply()
		if costly {
			a.socket.client.costly.Add(-1)
		}
		switch {
		case errors.Is(err, ErrTooLarge):
			a.ack(refuse(contract.CodeInvalid, "%v", err))
		case err != nil:
			a.unavailable("history cannot be reached at the moment, try again", err)
		default:
			a.ack(json.RawMessage(reply))
		}
	}
	switch backend := e.socket.client.srv.backend; e.rule.Action {
	case contract.ActionEdit, contract.ActionDelete:
		backend.Change(e.socket, endpoint, request, done)
	default:
		backend.History(endpoint, request, done)
	}
	return nil
}

// unavailable says that something cannot be answered now; the cause is for the log.
func (a answer) unavailable(message string, cause error) {
	a.socket.client.srv.often("cannot answer a client", "socket", a.socket.id, "namespace", a.socket.namespace, "answer", message, "error", cause)
	a.ack(refuse(contract.CodeUnavailable, "%s", message))
}

// inquire makes the request to the history service.
func (e *event) inquire(q inquiry) (endpoint string, request any, no *contract.Refusal) {
	s := e.socket
	switch e.rule.Action {
	case contract.ActionSearch, contract.ActionUnread:
		if no := e.theirs(&q.Rooms); no != nil {
			return "", nil, no
		}
	default:
		if no := e.reads(q.Room); no != nil {
			return "", nil, no
		}
	}
	switch e.rule.Action {
	case contract.ActionSearch:
		return contract.HistorySearch, contract.SearchRequest{Namespace: s.namespace, Rooms: q.Rooms, Text: q.Text, Before: q.Before, Limit: q.Limit}, nil
	case contract.ActionEdit, contract.ActionDelete:
		endpoint := contract.HistoryEdit
		if e.rule.Action == contract.ActionDelete {
			endpoint, q.Value = contract.HistoryDelete, nil
		}
		return endpoint, contract.ChangeRequest{Namespace: s.namespace, Room: q.Room, ID: q.ID, Value: q.Value,
			User: s.user, Socket: s.id, Name: s.name, Admin: slices.Contains(s.roles, contract.RoleAdmin)}, nil
	case contract.ActionRead, contract.ActionUnread:
		if s.user == "" {
			return "", nil, refuse(contract.CodeForbidden, "what is read is remembered for those who are signed in")
		}
		if e.rule.Action == contract.ActionRead {
			return contract.HistoryRead, contract.ReadRequest{Namespace: s.namespace, Room: q.Room, User: s.user, ID: q.ID}, nil
		}
		return contract.HistoryUnread, contract.UnreadRequest{Namespace: s.namespace, Rooms: q.Rooms, User: s.user}, nil
	}
	return contract.HistoryPages, contract.HistoryRequest{Namespace: s.namespace, Room: q.Room, Before: q.Before, After: q.After, Around: q.Around, Limit: q.Limit}, nil
}

// reads refuses rooms that the client is not in; nil is what is said to all.
func (e *event) reads(room *string) *contract.Refusal {
	if room == nil {
		return nil
	}
	if no := e.checkRoom(*room); no != nil {
		return no
	}
	return e.member(*room)
}

// theirs checks the rooms that the client names. If it names none it means all that it is in, and what is said to all.
func (e *event) theirs(rooms *[]*string) *contract.Refusal {
	if *rooms == nil {
		*rooms = append(*rooms, nil)
		for _, room := range e.socket.client.srv.hub.Rooms(e.socket) {
			if !contract.IsReservedRoom(room) {
				*rooms = append(*rooms, &room)
			}
		}
	}
	if n := len(*rooms); n == 0 || n > contract.MaxHistoryRooms {
		return refuse(contract.CodeInvalid, "these are %d rooms: name 1 to %d of them", n, contract.MaxHistoryRooms)
	}
	for _, room := range *rooms {
		if no := e.reads(room); no != nil {
			return no
		}
	}
	return nil
}

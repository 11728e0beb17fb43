package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/socketio"
)

// Why a change, or a mark, is refused. The texts are for the one who wants it.
var (
	ErrNotFound  = errors.New("there is no such message here")
	ErrNotYours  = errors.New("the message is another's: only its author and administrators may change it")
	ErrGone      = errors.New("the message is deleted")
	ErrUnfitting = errors.New("the message cannot be edited so")
	ErrDeleted   = errors.New("the user is deleted")
)

var errTooLarge = fmt.Errorf("%w: it would be larger than a message may be", ErrUnfitting)

// Action is what a change does.
type Action string

// The actions.
const (
	Edit   Action = "edit"
	Delete Action = "delete"
)

// By is who changes a message.
type By struct {
	User   string // verified user id, or ""
	Socket string
	Name   string
	Admin  bool // may change what others said
}

// Change is one that somebody wants.
type Change struct {
	Place  Place
	ID     ID
	By     By
	Action Action
	Value  json.RawMessage // Edit: the event's new last argument
	Most   int             // bytes that an edited event may have; 0: any number
	Heard  int             // bytes that what clients hear of an edit may have; 0: any number
	Time   time.Time       // [Message.ChangeTime], in the transaction that makes it
}

// Trace is a change that was made.
type Trace struct {
	Number int64 // grows along the trail
	Action Action
	By     By
	Time   time.Time
	Event  []byte // before the change
}

// Mark says how far a user has read a place.
type Mark struct {
	Place Place
	ID    ID
}

// mine says whether somebody said the message: as a verified user, or else on the same connection.
func (m Message) mine(by By) bool {
	if m.User != "" {
		return m.User == by.User
	}
	return m.Socket != "" && m.Socket == by.Socket
}

// ChangeTime is the time of a change that is made now. Each change of a message is later than the one before it, whatever
// the clocks of several instances say, by what JavaScript can tell apart: by their times clients know what is the last.
func (m Message) ChangeTime(now time.Time) time.Time {
	const tick = time.Millisecond
	now = now.UTC().Truncate(tick)
	if last := m.Edited.Truncate(tick); !now.After(last) {
		return last.Add(tick)
	}
	return now
}

// Apply changes the message, or says why not: [ErrNotYours], [ErrGone] or [ErrUnfitting].
func (c Change) Apply(m *Message) error {
	switch {
	case !c.By.Admin && !m.mine(c.By):
		return ErrNotYours
	case m.Redacted || !m.Deleted.IsZero():
		return ErrGone
	case c.Action == Delete:
		m.Event, m.Attachments, m.Deleted = RedactEvent(m.Event), nil, c.Time
		return nil
	case len(m.Attachments) > 0:
		return fmt.Errorf("%w: it has attachments", ErrUnfitting)
	}
	event, err := replaceLast(m.Event, c.Value)
	if err != nil {
		return err
	}
	if c.Most > 0 && len(event) > c.Most {
		return errTooLarge
	}
	if !bytes.Equal(event, m.Event) {
		m.Event, m.Edited = event, c.Time
	}
	return nil
}

// replaceLast puts another last argument into an event array; the rest stays byte for byte.
func replaceLast(event []byte, value json.RawMessage) ([]byte, error) {
	var elements []json.RawMessage
	if err := json.Unmarshal(event, &elements); err != nil || len(elements) < 2 {
		return nil, fmt.Errorf("%w: it has no argument", ErrUnfitting)
	}
	if !json.Valid(value) {
		return nil, fmt.Errorf("%w: the new argument is not JSON", ErrUnfitting)
	}
	elements[len(elements)-1] = value
	changed := slices.Concat([]byte{'['}, bytes.Join(slices.Collect(rawBytes(elements)), []byte{','}), []byte{']'})
	if err := socketio.ValidArgs(changed, 0); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnfitting, err)
	}
	if !Fits(changed, AroundPage) {
		return nil, fmt.Errorf("%w: it would be nested deeper than %d", ErrUnfitting, socketio.MaxDepth-AroundPage)
	}
	return changed, nil
}

func rawBytes(elements []json.RawMessage) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for _, e := range elements {
			if !yield(e) {
				return
			}
		}
	}
}

// Announce is the event by which clients in one of the message's places hear of the change:
// ["message edited",{…}] or ["message deleted",{…}], see [contract.HistoryChanged].
// It fails with [ErrUnfitting] if an edit makes it too large.
func (c Change) Announce(m Message, target string) ([]byte, error) {
	room, err := Place{m.Namespace, target}.Room()
	if err != nil {
		return nil, err
	}
	changed := contract.HistoryChanged{ID: m.ID.String(), Room: room, User: c.By.User, Name: c.By.Name, Time: c.Time}
	name := contract.EventDeleted
	if c.Action == Edit {
		name, changed.Event = contract.EventEdited, json.RawMessage("0") // the event goes in byte for byte, below
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode([]any{name, changed}); err != nil {
		return nil, err
	}
	out := bytes.TrimSpace(b.Bytes())
	if c.Action == Edit {
		out = slices.Concat(bytes.TrimSuffix(out, []byte(`0}]`)), m.Event, []byte(`}]`))
		if c.Heard > 0 && len(out) > c.Heard {
			return nil, errTooLarge
		}
	}
	return out, nil
}

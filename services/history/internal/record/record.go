// Package record is a posted message as history keeps it: how it is read from the message that JetStream
// stored, where it is found again, and what is left of it once its sender is deleted.
//
// It knows neither NATS connections nor databases.
package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/socketio"
)

// ErrUnstorable says that a message can never be kept, however often it is delivered: it is none of the
// contract. Gateways skip the same messages.
var ErrUnstorable = errors.New("not a post of the contract")

// ErrRefused says that a database does not take what it is given, however often it is tried, while it takes other
// messages: it is not away, nor full, nor broken.
var ErrRefused = errors.New("the database refuses it for good")

// Place is what a page is read from: a room, or all of a namespace. Both parts are tokens as they stand in
// subjects ("_", "room.red"), which are plain ASCII in every database whatever a room is called.
type Place struct {
	Namespace string
	Target    string
}

// NewPlace is the place of a room, or of what is said to the whole namespace if room is nil.
func NewPlace(namespace string, room *string) (Place, error) {
	ns, err := contract.EncodeNamespace(namespace)
	if err != nil {
		return Place{}, err
	}
	if room == nil {
		return Place{ns, contract.TargetAll}, nil
	}
	if contract.IsSocketID(*room) {
		return Place{}, fmt.Errorf("room: %q has the form of a socket id, and what is said to one socket is in no room", *room)
	}
	token, err := contract.EncodeToken(*room)
	if err != nil {
		return Place{}, fmt.Errorf("room: %w", err)
	}
	return Place{ns, contract.TargetRoom + "." + token}, nil
}

// NoPlace is the target of what was said to sockets only: it is in no page.
const NoPlace = "socket"

// Room is the name of the place's room; nil if it is what is said to all.
func (p Place) Room() (*string, error) {
	token, ok := strings.CutPrefix(p.Target, contract.TargetRoom+".")
	if !ok {
		return nil, nil
	}
	room, err := contract.DecodeToken(token)
	if err != nil {
		return nil, err
	}
	return &room, nil
}

// Message is one post.
type Message struct {
	ID        ID
	Namespace string   // token
	Targets   []string // the places in the namespace that it belongs to; none if it was said to sockets only
	Socket    string   // the sender's socket id; "" if a service said it, or redacted
	User      string   // the sender's verified user id, or ""
	Name      string   // the sender's name; "" when redacted
	Time      time.Time
	Event     []byte // the event array, byte for byte; the event's name alone when redacted
	// Attachments are the binary attachments; none when redacted.
	Attachments [][]byte
	Redacted    bool
	Omitted     bool      // in a page, which does not take it: Event is its name alone, Attachments are missing
	Edited      time.Time // when last; zero: never
	Deleted     time.Time // zero: it is there; else of the event its name alone is left
	Row         int64     // the database's own number for it

	// By these a message that is delivered again is known from another one that has its sequence, since the main stream went back.
	Copied time.Time // when JetStream copied it for history
	Exact  bool      // Time is the main stream's, not the copy's
	Epochs []int64   // under which it may be there; ID.Epoch alone if none
}

// TakenError says that other messages have the ids of messages: the main stream went back, and nobody has noted it yet.
type TakenError struct {
	Messages []int // which, of those that were to be stored
	ID       ID    // of one of them
}

func (e *TakenError) Error() string {
	return fmt.Sprintf("%d messages have ids of others, such as %s: the main stream went back", len(e.Messages), e.ID)
}

// Decode reads a stored message; ID and Time are left to the caller. Event and attachments are slices of
// the payload. Its errors wrap [ErrUnstorable].
func Decode(subjects contract.Subjects, subject string, h contract.Header, payload []byte) (Message, error) {
	parsed, err := subjects.Parse(subject)
	if err != nil {
		return Message{}, fmt.Errorf("%w: %w", ErrUnstorable, err)
	}
	if parsed.Kind != contract.Post {
		return Message{}, fmt.Errorf("%w: kind %q", ErrUnstorable, parsed.Kind)
	}
	m := Message{
		Socket: Text(contract.Last(h, contract.HeaderSocket)),
		User:   contract.Last(h, contract.HeaderUser),
		Name:   Text(contract.Last(h, contract.HeaderName)),
	}
	if m.User != "" {
		if err := contract.CheckUser(m.User); err != nil { // it is in keys of the database
			return Message{}, fmt.Errorf("%w: %s: %w", ErrUnstorable, contract.HeaderUser, err)
		}
	}
	if m.Namespace, err = contract.EncodeNamespace(parsed.Namespace); err != nil {
		return Message{}, fmt.Errorf("%w: %w", ErrUnstorable, err)
	}
	if m.Targets, err = targets(parsed, h); err != nil {
		return Message{}, fmt.Errorf("%w: %w", ErrUnstorable, err)
	}
	if m.Event, m.Attachments, err = contract.SplitPayload(h, payload); err != nil {
		return Message{}, fmt.Errorf("%w: %w", ErrUnstorable, err)
	}
	if err := socketio.ValidArgs(m.Event, 0); err != nil { // what no gateway hands on, in a page neither
		return Message{}, fmt.Errorf("%w: %w", ErrUnstorable, err)
	}
	if _, err := eventName(m.Event); err != nil {
		return Message{}, fmt.Errorf("%w: %w", ErrUnstorable, err)
	}
	return m, nil
}

// Text makes a header's value something that every database and JSON take as text.
func Text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// targets lists the places of a message, each once.
func targets(parsed contract.Parsed, h contract.Header) ([]string, error) {
	if !parsed.Many {
		if parsed.Target.Socket() != "" {
			return nil, nil
		}
		return []string{parsed.Target.String()}, nil
	}
	rooms, err := contract.ParseNames(contract.Last(h, contract.HeaderRooms))
	if err != nil {
		return nil, err
	}
	if len(rooms) == 0 {
		return nil, fmt.Errorf("%w: %s is missing, but the target is %s", contract.ErrBadHeader, contract.HeaderRooms, contract.TargetMany)
	}
	var places []string
	for _, room := range rooms {
		if contract.IsSocketID(room) {
			continue
		}
		if place := contract.To(room).String(); !slices.Contains(places, place) {
			places = append(places, place)
		}
	}
	return places, nil
}

var errNoEvent = errors.New("the payload is not a JSON array that begins with an event's name")

// eventName is the first element of an event array, as JSON text.
func eventName(event []byte) (json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(event))
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return nil, errNoEvent
	}
	var name json.RawMessage
	if !d.More() || d.Decode(&name) != nil || name[0] != '"' {
		return nil, errNoEvent
	}
	return name, nil
}

// RedactEvent is what is left of an event array: its name.
func RedactEvent(event []byte) []byte {
	name, err := eventName(event)
	if err != nil { // not from Decode: keep nothing of it
		return []byte(`[""]`)
	}
	return slices.Concat([]byte{'['}, name, []byte{']'})
}

// Redact takes out what was said and by which name. Id, time and user stay.
func (m *Message) Redact() {
	m.Event, m.Attachments, m.Socket, m.Name, m.Redacted = RedactEvent(m.Event), nil, "", "", true
}

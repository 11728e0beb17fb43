package query

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/history/internal/record"
)

// list gathers messages as JSON: at most so many, and so many bytes. Of a message that fits no reply by itself, or that clients
// do not take, there is a stub, from which one can read on; oversize has them.
type list struct {
	limit, size int
	whole       int  // the size of a reply, of which the list may have a part
	first       bool // the first message may have all of it
	format      func(record.Message) ([]byte, error)

	texts    [][]byte
	used     int  // bytes, and what it took to read what is left out
	more     bool // there is a next one, which does not fit
	oversize []record.ID
	err      error
}

// listOverhead is what a reply has around its messages.
const listOverhead = 128

// stubShare is for how many bytes that are left out a page has one less, so that it ends before too many large messages were read in vain.
const stubShare = 8

func newList(limit, size int, format func(record.Message) ([]byte, error)) *list {
	return &list{limit: limit, size: size - listOverhead, whole: size - listOverhead, format: format}
}

// add says false if it wants no more.
func (l *list) add(m record.Message) bool {
	if len(l.texts) == l.limit {
		l.more = true
		return false
	}
	var text []byte
	if text, l.err = l.format(m); l.err != nil {
		return false
	}
	read := 0
	omitted := len(text) > l.whole || !record.Fits(m.Event, record.AroundPage)
	if omitted {
		read = len(text) / stubShare
		if text, l.err = l.stub(m); l.err != nil {
			return false
		}
	}
	if l.used+len(text)+1 > l.size && (len(l.texts) > 0 || l.size < l.whole && !l.first) {
		l.more = true
		return false
	}
	if omitted {
		l.oversize = append(l.oversize, m.ID)
	}
	l.used += len(text) + 1 + read // the comma
	l.texts = append(l.texts, text)
	return true
}

// stub is what a page has of a message that it does not take: as much as it does take.
func (l *list) stub(m record.Message) ([]byte, error) {
	m.Event, m.Attachments, m.Omitted = record.RedactEvent(m.Event), nil, true
	text, err := l.format(m)
	if err == nil && (len(text) > l.whole || !record.Fits(m.Event, record.AroundPage)) { // by its name, or its sender's, or its rooms
		text, err = format(record.Message{ID: m.ID, User: m.User, Time: m.Time, Event: record.RedactEvent(nil), Omitted: true})
	}
	return text, err
}

// write puts the messages, and fields behind them, into a reply.
func (l *list) write(fields ...field) []byte {
	var b bytes.Buffer
	b.Grow(l.used + listOverhead)
	b.WriteString(`{"ok":true,"messages":[`)
	b.Write(bytes.Join(l.texts, []byte{','}))
	b.WriteByte(']')
	for _, f := range fields {
		b.WriteString(`,"` + f.name + `":` + strconv.FormatBool(f.value))
	}
	b.WriteByte('}')
	return b.Bytes()
}

type field struct {
	name  string
	value bool
}

func (l *list) reverse() *list {
	slices.Reverse(l.texts)
	return l
}

// format writes a [contract.HistoryMessage]. The event goes in byte for byte: encoding/json would escape
// <, > and & in it and take out white space.
func format(m record.Message) ([]byte, error) { return formatWith(m, "", nil) }

// formatWith adds the namespace and the rooms, if there are any.
func formatWith(m record.Message, namespace string, rooms []*string) ([]byte, error) {
	type field struct {
		name  string
		value any
		set   bool
	}
	fields := []field{
		{"attachments", m.Attachments, len(m.Attachments) > 0},
		{"stamp", stamp(m), true},
		{"namespace", namespace, namespace != ""},
		{"rooms", rooms, len(rooms) > 0},
		{"redacted", true, m.Redacted},
		{"omitted", true, m.Omitted},
		{"edited", m.Edited, !m.Edited.IsZero()},
		{"deleted", m.Deleted, !m.Deleted.IsZero()},
	}
	b := append(append(make([]byte, 0, len(m.Event)+256), `{"event":`...), m.Event...)
	for _, f := range fields {
		if !f.set {
			continue
		}
		value, err := json.Marshal(f.value)
		if err != nil {
			return nil, fmt.Errorf("message %s: %w", m.ID, err)
		}
		b = append(append(b, `,"`+f.name+`":`...), value...)
	}
	return append(b, '}'), nil
}

func stamp(m record.Message) contract.Stamp {
	return contract.Stamp{ID: m.ID.String(), Socket: m.Socket, User: m.User, Name: m.Name, Time: m.Time}
}

// rooms are the names of a message's rooms, nil for all; only those among which, if there are any.
func rooms(m record.Message, among []string) (names []*string, err error) {
	for _, target := range m.Targets {
		if target == record.NoPlace || len(among) > 0 && !slices.Contains(among, target) {
			continue
		}
		room, err := record.Place{Namespace: m.Namespace, Target: target}.Room()
		if err != nil {
			return nil, fmt.Errorf("message %s: %w", m.ID, err)
		}
		names = append(names, room)
	}
	return names, nil
}

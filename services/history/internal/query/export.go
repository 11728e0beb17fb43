package query

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/history/internal/record"
)

// exportOverhead is what a page of an export has besides messages, marks and what is left out: the next one's beginning, too.
const exportOverhead = 640

// export answers a [contract.ExportRequest] with a [contract.ExportReply].
func (s *Service) export(ctx context.Context, data []byte) ([]byte, error) {
	var r contract.ExportRequest
	if err := decode(data, maxRequest, `{"user","after","limit"}`, &r); err != nil {
		return nil, err
	}
	if err := user(r.User); err != nil {
		return nil, err
	}
	from, err := parseCursor(r.After)
	if err != nil {
		return nil, invalid(fmt.Errorf("after: %w", err))
	}
	n, err := limit(r.Limit)
	if err != nil {
		return nil, err
	}
	size := s.maxSize() - exportOverhead
	e := &exported{ctx: ctx, store: s.store, limit: n, empty: size, size: size, from: from, next: from}
	if !from.marks && !from.did {
		after := from.id
		if from.within {
			after = after.Previous()
		}
		if err := e.fill(s.store.Said(ctx, r.User, after, n+1, e.addMessage)); err != nil {
			return nil, err
		}
	}
	if !e.more && !from.did {
		e.next = cursor{marks: true, place: from.place}
		if err := e.fill(s.store.Marks(ctx, r.User, from.place, e.addMark)); err != nil {
			return nil, err
		}
	}
	if !e.more {
		e.next = cursor{did: true}
		if from.did {
			e.next = from
		}
		if err := e.fill(s.store.Did(ctx, r.User, e.next.change, e.addChange)); err != nil {
			return nil, err
		}
	}
	s.leftOut(e.omitted)
	return e.bytes()
}

// exported gathers a page of an export as JSON: at most so many messages, and so many bytes.
type exported struct {
	ctx   context.Context
	store Store
	limit int
	empty int // bytes of an empty page
	size  int // the same without the names of what is left out
	from  cursor

	messages, reads, changes [][]byte
	omitted                  []record.ID
	used                     int
	more                     bool
	next                     cursor
	err                      error
}

// addMessage says false if it wants no more.
func (e *exported) addMessage(m record.Message) bool {
	if len(e.messages) == e.limit || len(e.omitted) >= e.limit {
		e.more = true
		return false
	}
	from := cursor{id: m.ID}
	if e.from.within && e.from.id == m.ID {
		from = e.from
	}
	whole, stub, err := e.format(m, from)
	if err != nil {
		e.err = err
		return false
	}
	const around = len(`,"trail":[]`) + 1                        // the comma
	if len(whole)+around > e.empty || !record.Fits(m.Event, 0) { // nobody could ask beyond it otherwise
		e.omit(m.ID)
		e.next = cursor{id: m.ID}
		return true
	}
	trail := newTrail(e.size-e.used-len(whole)-around, e.empty-len(stub)-around)
	if trail.size < 0 { // there is something before it
		e.more = true
		return false
	}
	if from.within || !m.Edited.IsZero() || !m.Deleted.IsZero() {
		if e.err = trail.fill(e.store.Traces(e.ctx, m.Row, from.change, trail.add)); e.err != nil {
			return false
		}
	}
	if trail.more && len(e.messages) > 0 { // it begins the next page
		e.more = true
		return false
	}
	if trail.cut {
		e.omit(m.ID)
	}
	e.put(&e.messages, withTrail(whole, trail.bytes()))
	if trail.more {
		e.more, e.next = true, cursor{id: m.ID, within: true, change: max(trail.last, from.change)}
		return false
	}
	e.next = cursor{id: m.ID}
	return true
}

// format writes a message, and what is left of it where only its trail goes on; the first of them is what comes now.
func (e *exported) format(m record.Message, from cursor) (now, stub []byte, err error) {
	namespace, err := contract.DecodeNamespace(m.Namespace)
	if err != nil {
		return nil, nil, fmt.Errorf("message %s: %w", m.ID, err)
	}
	names, err := rooms(m, nil)
	if err != nil {
		return nil, nil, err
	}
	stub, err = reply(contract.HistoryMessage{Stamp: stamp(m), Namespace: namespace, Rooms: names})
	if err != nil || from.within {
		return stub, stub, err
	}
	now, err = formatWith(m, namespace, names)
	return now, stub, err
}

func withTrail(message []byte, trail json.RawMessage) []byte {
	if len(trail) == 0 {
		return message
	}
	return slices.Concat(bytes.TrimSuffix(message, []byte("}")), []byte(`,"trail":[`), trail, []byte(`]}`))
}

// addMark says false if it wants no more.
func (e *exported) addMark(m record.Mark) bool {
	mark := contract.ExportMark{Read: m.ID.String()}
	if mark.Namespace, e.err = contract.DecodeNamespace(m.Place.Namespace); e.err != nil {
		return false
	}
	if mark.Room, e.err = m.Place.Room(); e.err != nil {
		return false
	}
	if !e.putFit(&e.reads, mark) {
		return false
	}
	e.next.place = m.Place
	return true
}

// addChange says false if it wants no more.
func (e *exported) addChange(m record.Message, t record.Trace) bool {
	change := contract.ExportChange{ID: m.ID.String(), Action: string(t.Action), Name: t.By.Name, Socket: t.By.Socket, Time: t.Time}
	if change.Namespace, e.err = contract.DecodeNamespace(m.Namespace); e.err != nil {
		return false
	}
	if !e.putFit(&e.changes, change) {
		return false
	}
	e.next.change = t.Number
	return true
}

// putFit puts an entry onto the page; false if it does not fit, which is for the next page, or cannot be written.
func (e *exported) putFit(to *[][]byte, entry any) bool {
	var text []byte
	if text, e.err = reply(entry); e.err != nil {
		return false
	}
	if e.used+len(text)+1 > e.size {
		e.more = true
		return false
	}
	e.put(to, text)
	return true
}

// fill takes the error of what has handed something to the page.
func (e *exported) fill(err error) error { return errors.Join(err, e.err) }

func (e *exported) put(to *[][]byte, text []byte) {
	e.used += len(text) + 1 // the comma
	*to = append(*to, text)
}

// omit names a message that is not there as a whole. The names take their place, too.
func (e *exported) omit(id record.ID) {
	e.omitted = append(e.omitted, id)
	e.size -= len(id.String()) + len(`"",`)
}

func (e *exported) bytes() ([]byte, error) {
	b := slices.Concat([]byte(`{"ok":true,"messages":[`), bytes.Join(e.messages, []byte{','}), []byte(`],"more":`), fmt.Appendf(nil, "%t", e.more))
	if e.more {
		b = append(b, `,"next":"`+e.next.String()+`"`...)
	}
	if len(e.reads) > 0 {
		b = slices.Concat(b, []byte(`,"reads":[`), bytes.Join(e.reads, []byte{','}), []byte{']'})
	}
	if len(e.changes) > 0 {
		b = slices.Concat(b, []byte(`,"changes":[`), bytes.Join(e.changes, []byte{','}), []byte{']'})
	}
	if len(e.omitted) > 0 {
		ids := make([]string, len(e.omitted))
		for i, id := range e.omitted {
			ids[i] = id.String()
		}
		text, err := reply(ids)
		if err != nil {
			return nil, err
		}
		b = slices.Concat(b, []byte(`,"omitted":`), text)
	}
	return append(b, '}'), nil
}

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

// Store is what query needs of a database. Older hands messages of a place to each, newest first, until each
// returns false.
type Store interface {
	Older(ctx context.Context, place record.Place, before record.ID, each func(record.Message) bool) error
}

const (
	pageHead = `{"ok":true,"messages":[`
	pageMore = `],"more":true}`
	pageEnd  = `],"more":false}`
)

// read builds the JSON of a [contract.HistoryPage] that has at most size bytes: it ends early, with "more",
// when the next message does not fit. A message that fits no page is left out, since nobody could ask
// beyond it otherwise; there is one in oversize for each.
func (p page) read(ctx context.Context, store Store, size int) (reply []byte, oversize []record.ID, err error) {
	room := size - len(pageHead) - len(pageEnd)
	var messages [][]byte // newest first
	used, more := 0, false
	var failed error
	err = store.Older(ctx, p.place, p.before, func(m record.Message) bool {
		if len(messages) == p.limit {
			more = true
			return false
		}
		var text []byte
		if text, failed = format(m); failed != nil {
			return false
		}
		switch {
		case len(text) > room:
			oversize = append(oversize, m.ID)
			return true
		case used+len(text)+1 > room && len(messages) > 0:
			more = true
			return false
		}
		used += len(text) + 1 // the comma
		messages = append(messages, text)
		return true
	})
	if err != nil || failed != nil {
		return nil, nil, errors.Join(err, failed)
	}
	slices.Reverse(messages)
	var b bytes.Buffer
	b.Grow(used + len(pageHead) + len(pageEnd))
	b.WriteString(pageHead)
	for i, m := range messages {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(m)
	}
	if more {
		b.WriteString(pageMore)
	} else {
		b.WriteString(pageEnd)
	}
	return b.Bytes(), oversize, nil
}

// format writes a [contract.HistoryMessage]. The event goes in byte for byte: encoding/json would escape
// <, > and & in it and take out white space.
func format(m record.Message) ([]byte, error) {
	stamp, err := json.Marshal(contract.Stamp{ID: m.ID.String(), Socket: m.Socket, User: m.User, Name: m.Name, Time: m.Time})
	if err != nil {
		return nil, fmt.Errorf("message %s: %w", m.ID, err)
	}
	b := make([]byte, 0, len(m.Event)+len(stamp)+64)
	b = append(append(b, `{"event":`...), m.Event...)
	if len(m.Attachments) > 0 {
		attachments, err := json.Marshal(m.Attachments)
		if err != nil {
			return nil, fmt.Errorf("message %s: %w", m.ID, err)
		}
		b = append(append(b, `,"attachments":`...), attachments...)
	}
	b = append(append(b, `,"stamp":`...), stamp...)
	if m.Redacted {
		b = append(b, `,"redacted":true`...)
	}
	return append(b, '}'), nil
}

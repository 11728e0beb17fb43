package database

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/history/internal/record"
)

// raceTries is how often messages are stored that another instance stores at the same moment.
const raceTries = 5

// errRace says that another instance has stored one of the messages, or another under its id, since they were looked for.
var errRace = errors.New("another instance has just stored messages of the same ids")

// place returns the messages that are not there, each under an id that is free: its own as a rule. Where another message has that, it is that
// of a later epoch of the message's; if there is none the error is a [record.TakenError].
func (a *appender) place(ctx context.Context, messages []record.Message) (fresh []record.Message, err error) {
	there := make(map[record.ID]record.Message)
	for chunk := range slices.Chunk(messages, rowsAtOnce) {
		if err := a.find(ctx, chunk, there); err != nil {
			return nil, err
		}
	}
	taken := new(record.TakenError)
next:
	for i, m := range messages {
		epochs := m.Epochs
		if len(epochs) == 0 {
			epochs = []int64{m.ID.Epoch}
		}
		for _, epoch := range epochs {
			if other, ok := there[record.ID{Epoch: epoch, Sequence: m.ID.Sequence}]; ok && same(other, m, epoch == m.ID.Epoch) {
				continue next
			}
		}
		for _, epoch := range epochs {
			id := record.ID{Epoch: epoch, Sequence: m.ID.Sequence}
			if _, ok := there[id]; ok || epoch < m.ID.Epoch {
				continue
			}
			m.ID = id
			fresh = append(fresh, m)
			m.Event = contract.JoinPayload(m.Event, m.Attachments)
			there[id] = m
			continue next
		}
		taken.Messages, taken.ID = append(taken.Messages, i), m.ID
	}
	if len(taken.Messages) > 0 {
		return nil, taken
	}
	return fresh, nil
}

// find adds what is stored under the ids that the messages may have.
func (a *appender) find(ctx context.Context, messages []record.Message, there map[record.ID]record.Message) error {
	sequences := make(map[int64][]any) // by epoch
	for _, m := range messages {
		if len(m.Epochs) == 0 {
			sequences[m.ID.Epoch] = append(sequences[m.ID.Epoch], m.ID.Sequence)
		}
		for _, epoch := range m.Epochs {
			sequences[epoch] = append(sequences[epoch], m.ID.Sequence)
		}
	}
	for epoch, wanted := range sequences {
		found, err := a.tx.QueryContext(ctx, a.sql(`SELECT sequence, namespace, socket, author, name, time, payload, lengths, redacted, edited, deleted, copied
			FROM messages WHERE epoch = ? AND sequence IN (?`+strings.Repeat(", ?", len(wanted)-1)+`)`), append([]any{epoch}, wanted...)...)
		if err != nil {
			return err
		}
		for found.Next() {
			m := record.Message{ID: record.ID{Epoch: epoch}}
			var lengths string
			var said, edited, deleted, copied int64
			if err = found.Scan(&m.ID.Sequence, &m.Namespace, &m.Socket, &m.User, &m.Name, &said, &m.Event, &lengths, &m.Redacted, &edited, &deleted, &copied); err != nil {
				break
			}
			m.Time, m.Edited, m.Deleted, m.Copied = time.Unix(0, said), moment(edited), moment(deleted), moment(copied)
			m.Exact = said != copied
			there[m.ID] = m // its Event is the payload, attachments and all
		}
		if err := errors.Join(err, found.Err(), found.Close()); err != nil {
			return err
		}
	}
	return nil
}

// same says whether a message is the one that is there, under an id that it may have, and not another that has the sequence too. Times tell,
// in nanoseconds: of the main stream, or of the copy. Where they cannot, since the copy was made anew and the main stream has dropped
// the message, its contents do, if that is its own id.
func same(there, m record.Message, own bool) bool {
	switch {
	case there.Time.Equal(m.Time), there.Time.Equal(m.Copied), !there.Copied.IsZero() && there.Copied.Equal(m.Copied):
		return true
	case m.Exact && there.Exact, !own:
		return false
	case there.Namespace != m.Namespace || there.User != m.User:
		return false
	case there.Redacted || !there.Edited.IsZero() || !there.Deleted.IsZero():
		return true
	}
	return there.Socket == m.Socket && there.Name == m.Name && bytes.Equal(there.Event, contract.JoinPayload(m.Event, m.Attachments))
}

// moment is a time as it is in the database; zero if it is 0.
func moment(nanoseconds int64) time.Time {
	if nanoseconds == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanoseconds)
}

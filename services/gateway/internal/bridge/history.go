package bridge

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/internal/session"
)

// History asks an endpoint of the history service.
func (b *Bridge) History(endpoint string, question any, done func([]byte, error)) {
	msg, err := b.question(endpoint, question)
	if err == nil {
		err = b.askHistory(msg, unavailableAfter, done)
	}
	if err != nil {
		done(nil, err)
	}
}

// Change asks an endpoint of the history service to change a message.
func (b *Bridge) Change(s *session.Socket, endpoint string, question any, done func([]byte, error)) {
	msg, err := b.question(endpoint, question)
	if err == nil {
		err = b.changes.add(s.ID(), &change{msg: msg, done: done})
	}
	if err != nil {
		done(nil, err)
	}
}

func (b *Bridge) question(endpoint string, question any) (*nats.Msg, error) {
	request, err := json.Marshal(question)
	if err != nil {
		return nil, err
	}
	return &nats.Msg{Subject: b.opts.Subjects.Endpoint(contract.History, endpoint), Data: request, Header: nats.Header{}}, nil
}

// askHistory calls done once, unless it fails.
func (b *Bridge) askHistory(msg *nats.Msg, wait time.Duration, done func([]byte, error)) error {
	err := b.replies.request(msg, wait, func(reply *nats.Msg, err error) {
		if err == nil && !json.Valid(reply.Data) {
			err = fmt.Errorf("the history service answered %.40q", reply.Data)
		}
		if err != nil {
			done(nil, err)
			return
		}
		done(reply.Data, nil)
	})
	if errors.Is(err, nats.ErrMaxPayload) {
		err = fmt.Errorf("%w: %w", session.ErrTooLarge, err)
	}
	return err
}

const (
	// changeWait is longer than the history service takes for a change, once it has it: the next one cannot overtake it.
	changeWait = contract.ChangeWait + 2*time.Second
	// maxChangeBytes and maxChangesBytes bound the changes that wait, of one client and together.
	maxChangeBytes  = 4 << 20
	maxChangesBytes = 64 << 20
)

// changes has the history service change messages: of each client one after the other, so that they take effect in the
// order in which the client sent them. That service works on several requests at once, and has several instances.
// Clients do not wait for each other.
type changes struct {
	bridge *Bridge

	mu    sync.Mutex
	lines map[string]*line // by the socket's id
	bytes int
}

// line is what one client wants changed; the first is under way.
type line struct {
	waiting []*change
	bytes   int
}

type change struct {
	msg  *nats.Msg
	done func([]byte, error)
}

func newChanges(b *Bridge) *changes {
	return &changes{bridge: b, lines: make(map[string]*line)}
}

// add takes a change, whose done is called once, unless it fails.
func (c *changes) add(from string, next *change) error {
	size := len(next.msg.Data)
	c.mu.Lock()
	l := c.lines[from]
	if l == nil {
		l = &line{}
	}
	if c.bytes+size > maxChangesBytes || len(l.waiting) > 0 && l.bytes+size > maxChangeBytes {
		c.mu.Unlock()
		return errBusy
	}
	c.lines[from] = l
	l.waiting = append(l.waiting, next)
	l.bytes += size
	c.bytes += size
	alone := len(l.waiting) == 1
	c.mu.Unlock()
	if alone {
		c.ask(from, next)
	}
	return nil
}

// ask sends the first change of a line; what follows if that cannot be sent.
func (c *changes) ask(from string, first *change) {
	for first != nil {
		asked := first
		err := c.bridge.askHistory(asked.msg, changeWait, func(reply []byte, err error) {
			next := c.over(from)
			asked.done(reply, err)
			if errors.Is(err, errEnding) {
				c.giveUp(from, next, err) // the one before may still be made
				return
			}
			c.ask(from, next)
		})
		if err == nil {
			return
		}
		first = c.over(from)
		asked.done(nil, err)
	}
}

func (c *changes) giveUp(from string, first *change, err error) {
	for first != nil {
		given := first
		first = c.over(from)
		given.done(nil, err)
	}
}

// over takes the first change out of a line, and returns the next one; nil if there is none.
func (c *changes) over(from string) *change {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.lines[from]
	size := len(l.waiting[0].msg.Data)
	l.waiting[0] = nil
	l.waiting = l.waiting[1:]
	l.bytes -= size
	c.bytes -= size
	if len(l.waiting) == 0 {
		delete(c.lines, from)
		return nil
	}
	return l.waiting[0]
}

package bridge

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/socketio"
	"github.com/natter-io/natter/services/gateway/internal/session"
	"github.com/natter-io/natter/services/gateway/internal/transport"
)

// readRequests answers services that ask clients or list sockets. Every gateway hears them, and each
// answers once.
func (b *Bridge) readRequests(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case msg := <-b.requests:
			if msg.Reply == "" {
				b.skip("request", msg.Subject, 0, errNoReplySubject)
				continue
			}
			after, err := contract.ParseAfter(contract.Header(msg.Header))
			switch {
			case err != nil:
				b.refuse(msg, contract.CodeInvalid, err)
			case after > 0:
				b.answerLater(msg, after)
			default:
				b.answerNow(msg)
			}
		}
	}
}

// maxLater bounds how many questions wait for their turn, as each may be as large as a message.
const maxLater = 1024

// answerLater answers what comes after a sequence of the main stream.
func (b *Bridge) answerLater(msg *nats.Msg, after uint64) {
	select {
	case b.later <- struct{}{}:
	default:
		b.refuse(msg, contract.CodeUnavailable, errAsking)
		return
	}
	b.turns.wait(after, func(err error) {
		<-b.later
		if err != nil {
			b.refuse(msg, contract.CodeUnavailable, err)
			return
		}
		b.answerNow(msg)
	})
}

func (b *Bridge) answerNow(msg *nats.Msg) {
	if err := b.request(msg); err != nil {
		b.refuse(msg, contract.CodeInvalid, err)
	}
}

var errNoReplySubject = fmt.Errorf("%w: there is no reply subject: use a request", contract.ErrBadSubject)

func (b *Bridge) request(msg *nats.Msg) error {
	h := contract.Header(msg.Header)
	p, err := b.opts.Subjects.Parse(msg.Subject)
	if err != nil {
		return err
	}
	sel, here, err := b.selection(p, h)
	if err != nil {
		return err
	}
	var spaces [][]*session.Socket
	if here {
		spaces = b.members(sel)
	}
	if p.Kind == contract.List {
		b.answerList(msg, spaces, p)
		return nil
	}
	timeout, err := contract.ParseTimeout(h, defaultAsk, b.opts.MaxAsk)
	if err != nil {
		return err
	}
	id := b.acks()
	// Also without members what is malformed is refused.
	m, err := b.encodeEvent(socketio.Head{Namespace: p.Namespace, ID: id, HasID: true}, h, msg.Data)
	if err != nil {
		return err
	}
	packets := make([]*transport.Message, len(spaces))
	for i, members := range spaces {
		packets[i] = m
		if name := members[0].Namespace(); name != p.Namespace { // of a pattern
			if packets[i], err = b.encodeEvent(socketio.Head{Namespace: name, ID: id, HasID: true}, h, msg.Data); err != nil {
				return err
			}
		}
	}
	members := slices.Concat(spaces...)
	a := &asking{bridge: b, msg: msg, parsed: p, id: id, left: make(map[*session.Socket]struct{}, len(members)), expected: len(members), answers: []json.RawMessage{}}
	for _, s := range members {
		a.left[s] = struct{}{}
	}
	// The timer is the last one that can finish it, so it starts first.
	a.mu.Lock()
	a.timer = time.AfterFunc(timeout, a.finish)
	a.mu.Unlock()
	for i, inSpace := range spaces {
		for _, s := range inSpace {
			if !s.Ask(id, packets[i], a) {
				a.drop(s)
			}
		}
	}
	if a.finishIfComplete() {
		// The deadline may have come before the last one was asked, who must not owe the ack for ever.
		for _, s := range members {
			s.Forget(id)
		}
	}
	b.opts.Metrics.Delivered(contract.Ask)
	return nil
}

// defaultAsk is how long clients may take to answer, unless the request says otherwise.
const defaultAsk = 5 * time.Second

// asking gathers the acks of this gateway's sockets to one ask.
type asking struct {
	bridge   *Bridge
	msg      *nats.Msg
	parsed   contract.Parsed
	id       uint64
	expected int
	timer    *time.Timer

	mu      sync.Mutex
	left    map[*session.Socket]struct{}
	answers []json.RawMessage
	done    bool
}

func (a *asking) Answered(s *session.Socket, args []byte, attachments [][]byte) {
	answer := encodeAnswer(s.ID(), args, attachments)
	a.mu.Lock()
	delete(a.left, s)
	a.answers = append(a.answers, answer)
	a.mu.Unlock()
	a.finishIfComplete()
}

// encodeAnswer writes a [contract.Answer] with the ack's JSON as it stands, byte for byte.
func encodeAnswer(id string, ack []byte, attachments [][]byte) json.RawMessage {
	b := socketio.AppendString([]byte(`{"id":`), id)
	b = append(append(b, `,"ack":`...), ack...)
	if len(attachments) > 0 {
		b = append(b, `,"attachments":[`...)
		for i, a := range attachments {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(base64.StdEncoding.AppendEncode(append(b, '"'), a), '"')
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

func (a *asking) Gone(s *session.Socket) {
	a.drop(s)
	a.finishIfComplete()
}

// drop no longer waits for a socket.
func (a *asking) drop(s *session.Socket) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.left, s)
}

// finishIfComplete reports whether it is finished, now or by its deadline before.
func (a *asking) finishIfComplete() bool {
	a.mu.Lock()
	complete := len(a.left) == 0
	a.mu.Unlock()
	if complete {
		a.finish()
	}
	return complete
}

func (a *asking) finish() {
	a.mu.Lock()
	if a.done {
		a.mu.Unlock()
		return
	}
	a.done = true
	left, answers := a.left, a.answers
	a.left = nil
	a.timer.Stop()
	a.mu.Unlock()
	for s := range left {
		s.Forget(a.id)
	}
	a.bridge.answer(a.msg, a.parsed, answers, contract.HeaderExpected, strconv.Itoa(a.expected))
}

func (b *Bridge) answerList(msg *nats.Msg, spaces [][]*session.Socket, p contract.Parsed) {
	members := slices.Concat(spaces...)
	b.opts.Metrics.Delivered(contract.List)
	if contract.Last(contract.Header(msg.Header), contract.HeaderCount) != "" {
		b.answer(msg, p, nil, contract.HeaderExpected, strconv.Itoa(len(members)))
		return
	}
	infos := make([]json.RawMessage, 0, len(members))
	for _, s := range members {
		info := s.Info()
		if contract.IsPattern(p.Namespace) {
			info.Namespace = s.Namespace()
		}
		encoded, err := json.Marshal(info)
		if err != nil {
			b.opts.Log.Error("a socket cannot be described", "socket", info.ID, "error", err)
		}
		infos = append(infos, encoded) // nil is left out, which the answer says
	}
	b.answer(msg, p, infos)
}

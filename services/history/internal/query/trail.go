package query

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/history/internal/record"
)

// trail answers a [contract.TrailRequest] with a [contract.TrailReply].
func (s *Service) trail(ctx context.Context, data []byte) ([]byte, error) {
	var r contract.TrailRequest
	if err := decode(data, maxRequest, `{"namespace","room","id","after"}`, &r); err != nil {
		return nil, err
	}
	place, id, err := message(r.Namespace, r.Room, r.ID)
	if err != nil {
		return nil, err
	}
	after := int64(0)
	if r.After != "" {
		if after, err = strconv.ParseInt(r.After, 10, 64); err != nil {
			return nil, invalid(errors.New("after: it is not the next of a trail"))
		}
	}
	m, err := s.store.Get(ctx, place, id)
	if err != nil {
		return nil, changeRefusal(err)
	}
	p := newTrail(s.maxSize()-listOverhead, s.maxSize()-listOverhead)
	if err := p.fill(s.store.Traces(ctx, m.Row, after, p.add)); err != nil {
		return nil, err
	}
	answer := slices.Concat([]byte(`{"ok":true,"changes":[`), p.bytes(), []byte(`]`))
	if p.more {
		answer = append(answer, `,"next":"`+strconv.FormatInt(p.last, 10)+`"`...)
	}
	return append(answer, '}'), nil
}

// trailPage gathers changes as JSON, at most so many bytes.
type trailPage struct {
	size, alone int // what is left here, and what a change may have at most

	texts [][]byte
	used  int
	last  int64 // number of the last change
	more  bool  // there is a next one, which does not fit
	cut   bool  // one is there without its event, which clients do not take, or with which it would fit nowhere
	err   error
}

func newTrail(size, alone int) *trailPage { return &trailPage{size: size, alone: alone} }

// add says false if it wants no more.
func (p *trailPage) add(t record.Trace) bool {
	change := contract.HistoryChange{Action: string(t.Action), User: t.By.User, Name: t.By.Name, Socket: t.By.Socket, Time: t.Time, Event: t.Event}
	var text []byte
	cut := !record.Fits(t.Event, 0)
	if !cut {
		if text, p.err = reply(change); p.err != nil {
			return false
		}
		cut = len(text)+1 > p.alone
	}
	if cut {
		change.Event = nil
		if text, p.err = reply(change); p.err != nil {
			return false
		}
	}
	if p.used+len(text)+1 > p.size {
		p.more = true
		return false
	}
	p.cut = p.cut || cut
	p.used += len(text) + 1 // the comma
	p.texts, p.last = append(p.texts, text), t.Number
	return true
}

// fill takes the error of what has handed changes to the page.
func (p *trailPage) fill(err error) error { return errors.Join(err, p.err) }

func (p *trailPage) bytes() json.RawMessage { return bytes.Join(p.texts, []byte{','}) }

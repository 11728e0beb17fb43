package query

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/natter-io/natter/services/history/internal/record"
)

// Reading on waits a moment for what another instance is storing: as a rule that is done in milliseconds.
const (
	settleWait  = 250 * time.Millisecond
	settlePause = 10 * time.Millisecond
)

// page answers a [contract.HistoryRequest] with a [contract.HistoryPage]. It ends early, with "more" or "newer", when
// the next message does not fit, and with "newer" before messages that others may still come in front of.
func (s *Service) page(ctx context.Context, data []byte) ([]byte, error) {
	p, err := decodePage(data)
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(settleWait); ; {
		if err := s.settled(ctx, &p); err != nil {
			return nil, err
		}
		reply, oversize, err := p.read(ctx, s.store, s.maxSize())
		if err != nil {
			return nil, fmt.Errorf("page of %s in %s: %w", p.place.Target, p.place.Namespace, err)
		}
		if !p.held || !s.pause(ctx, end) {
			s.leftOut(oversize)
			return reply, nil
		}
	}
}

// settled looks up to where a page that is read on from may reach.
func (s *Service) settled(ctx context.Context, p *span) error {
	if s.Settled == nil || p.after == nil && p.around == nil {
		return nil
	}
	id, err := s.Settled(ctx)
	p.upTo = &id
	return err
}

// pause says false if it is not worth waiting any more, or if too many others wait already.
func (s *Service) pause(ctx context.Context, end time.Time) bool {
	select {
	case s.patience <- struct{}{}:
		defer func() { <-s.patience }()
	default:
		return false
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(settlePause):
		return time.Now().Before(end)
	}
}

func (s *Service) leftOut(oversize []record.ID) {
	if len(oversize) == 0 {
		return
	}
	s.Metrics.oversize.Add(float64(len(oversize)))
	s.Log.Warn("left messages out of a page: by themselves they are larger than a NATS message may be (raise max_payload), or nested deeper than clients take, or no text",
		"messages", len(oversize), "id", oversize[0].String())
}

func (p *span) read(ctx context.Context, store Store, size int) (reply []byte, oversize []record.ID, err error) {
	switch {
	case p.after != nil:
		return p.readAfter(ctx, store, size)
	case p.around != nil:
		return p.readAround(ctx, store, size)
	}
	before := record.Newest
	if p.before != nil {
		before = *p.before
	}
	l := newList(p.limit, size, format)
	if err := l.fill(store.Older(ctx, p.place, before, p.limit+1, l.add)); err != nil {
		return nil, nil, err
	}
	return l.reverse().write(field{"more", l.more}), l.oversize, nil
}

func (p *span) readAfter(ctx context.Context, store Store, size int) ([]byte, []record.ID, error) {
	l := newList(p.limit, size, format)
	if err := l.fill(store.Newer(ctx, p.place, *p.after, p.limit+1, p.bounded(l))); err != nil {
		return nil, nil, err
	}
	older := false
	err := store.Older(ctx, p.place, p.after.Next(), 1, func(record.Message) bool { older = true; return false })
	return l.write(field{"more", older}, field{"newer", l.more}), l.oversize, err
}

// readAround has half of the messages older than the one asked for, and the rest from it on. That one is there, however
// little room it leaves for the others.
func (p *span) readAround(ctx context.Context, store Store, size int) ([]byte, []record.ID, error) {
	newer := newList((p.limit+1)/2, size, format)
	newer.size, newer.first = newer.whole/2, true
	if err := newer.fill(store.Newer(ctx, p.place, p.around.Previous(), newer.limit+1, p.bounded(newer))); err != nil {
		return nil, nil, err
	}
	older := newList(p.limit-len(newer.texts), size, format)
	older.size -= newer.used
	if err := older.fill(store.Older(ctx, p.place, *p.around, older.limit+1, older.add)); err != nil {
		return nil, nil, err
	}
	older.reverse().texts = append(older.texts, newer.texts...)
	return older.write(field{"more", older.more}, field{"newer", newer.more}), append(older.oversize, newer.oversize...), nil
}

// bounded has the list end where others may still store older messages: whoever goes on from there would never see them.
// The message that was asked for is there nevertheless.
func (p *span) bounded(l *list) func(record.Message) bool {
	p.held = false
	return func(m record.Message) bool {
		if p.upTo != nil && m.ID.Compare(*p.upTo) > 0 && (p.around == nil || m.ID.Compare(*p.around) > 0) {
			l.more, p.held = true, true
			return false
		}
		return l.add(m)
	}
}

// fill takes the error of what has handed messages to the list.
func (l *list) fill(err error) error { return errors.Join(err, l.err) }

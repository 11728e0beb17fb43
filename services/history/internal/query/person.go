package query

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/history/internal/record"
)

// export answers a [contract.ExportRequest] with a [contract.ExportReply].
func (s *Service) export(ctx context.Context, data []byte) ([]byte, error) {
	var r contract.ExportRequest
	if err := decode(data, maxRequest, `{"user","after","limit"}`, &r); err != nil {
		return nil, err
	}
	if err := user(r.User); err != nil {
		return nil, err
	}
	after, err := bound("after", r.After, record.ID{})
	if err != nil {
		return nil, err
	}
	n, err := limit(r.Limit)
	if err != nil {
		return nil, err
	}
	reads, err := s.marks(ctx, r.User)
	if err != nil {
		return nil, err
	}
	l := newList(n, s.maxSize()-len(reads), func(m record.Message) ([]byte, error) { return s.exported(ctx, m) })
	if err := l.fill(s.store.Said(ctx, r.User, after, n+1, l.add)); err != nil {
		return nil, err
	}
	s.leftOut(l.oversize)
	answer := l.write(field{"more", l.more})
	if !l.more && len(reads) > 0 {
		answer = append(append(bytes.TrimSuffix(answer, []byte("}")), `,"reads":`...), reads...)
		answer = append(answer, '}')
	}
	return answer, nil
}

// marks are a user's marks as JSON; nothing if there are none.
func (s *Service) marks(ctx context.Context, user string) ([]byte, error) {
	marks, err := s.store.Marks(ctx, user)
	if err != nil || len(marks) == 0 {
		return nil, err
	}
	reads := make([]contract.ExportMark, len(marks))
	for i, m := range marks {
		reads[i].Read = m.ID.String()
		if reads[i].Namespace, err = contract.DecodeNamespace(m.Place.Namespace); err != nil {
			return nil, err
		}
		if reads[i].Room, err = m.Place.Room(); err != nil {
			return nil, err
		}
	}
	return reply(reads)
}

func (s *Service) exported(ctx context.Context, m record.Message) ([]byte, error) {
	namespace, err := contract.DecodeNamespace(m.Namespace)
	if err != nil {
		return nil, fmt.Errorf("message %s: %w", m.ID, err)
	}
	names, err := rooms(m, nil)
	if err != nil {
		return nil, err
	}
	var trail []record.Trace
	if !m.Edited.IsZero() || !m.Deleted.IsZero() {
		if trail, err = s.store.Traces(ctx, m.Row); err != nil {
			return nil, err
		}
	}
	return formatWith(m, namespace, names, trail)
}

// erase answers a [contract.EraseRequest] with a [contract.EraseReply]. What the user says from now on stays.
func (s *Service) erase(ctx context.Context, data []byte) ([]byte, error) {
	var r contract.EraseRequest
	if err := decode(data, maxRequest, `{"user"}`, &r); err != nil {
		return nil, err
	}
	if err := user(r.User); err != nil {
		return nil, err
	}
	erased, err := s.store.Erase(ctx, r.User, time.Now())
	if err != nil {
		s.Cut()
		return nil, err
	}
	s.Changed()
	s.Log.Info("erased what a user has said", "user", r.User, "messages", erased)
	return reply(contract.EraseReply{OK: true, Erased: erased})
}

// stats answers with a [contract.StatsReply].
func (s *Service) stats(ctx context.Context, _ []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	answer := contract.StatsReply{OK: true, Database: s.store.Kind(), Lag: s.Lag(), Reached: s.store.Ping(ctx) == nil}
	if err := s.Problem(ctx); err != nil {
		answer.Problem = err.Error()
	}
	return reply(answer)
}

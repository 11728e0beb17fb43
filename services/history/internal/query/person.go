package query

import (
	"context"
	"time"

	"github.com/natter-io/natter/pkg/contract"
)

// erase answers a [contract.EraseRequest] with a [contract.EraseReply]. What the user says from now on stays.
func (s *Service) erase(ctx context.Context, data []byte) ([]byte, error) {
	var r contract.EraseRequest
	if err := decode(data, maxRequest, `{"user"}`, &r); err != nil {
		return nil, err
	}
	if err := user(r.User); err != nil {
		return nil, err
	}
	known, err := s.store.Known(ctx, r.User)
	if err != nil {
		return nil, err
	}
	until := time.Now()
	asking, cancel := context.WithTimeout(ctx, time.Second)
	newest, err := s.Newest(asking)
	cancel()
	if err != nil {
		s.Log.Debug("cannot ask when the main stream stored something last", "error", err)
	} else if newest.After(until) { // that clock is ahead of this one
		until = newest
	}
	erased, err := s.store.Erase(ctx, r.User, until)
	if err != nil {
		return nil, err
	}
	s.Changed()
	s.Log.Info("erased what a user has said", "user", r.User, "messages", erased, "known", known)
	return reply(contract.EraseReply{OK: true, Erased: erased, Known: known})
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

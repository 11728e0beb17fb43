package query

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go/micro"

	"github.com/natter-io/natter/pkg/contract"
)

const (
	// reachEvery is how often it is looked whether the database can be reached, reachWait how long that may take.
	reachEvery = 2 * time.Second
	reachWait  = 2 * time.Second
	// awayAfter is after how many looks in vain requests are left to other instances.
	awayAfter = 2
)

// serve listens until ctx ends: on all endpoints while the database can be reached, and else on that alone which says so. Requests
// then go to instances that reach it; where none does, nobody answers.
func (s *Service) serve(ctx context.Context) error {
	for reached := true; ; reached = !reached {
		service, err := s.listen(reached)
		if err != nil {
			return err
		}
		if reached {
			s.Log.Info("answering for history", "subject", s.Subjects.Endpoint(contract.History, "*"))
		} else {
			s.Log.Warn("the database cannot be reached: questions are left to other instances")
		}
		s.await(ctx, !reached)
		err = service.Stop()
		for err != nil && ctx.Err() == nil { // there is no connection
			s.sleep(ctx)
			err = service.Stop()
		}
		if ctx.Err() != nil && s.nc.IsConnected() {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

func (s *Service) listen(reached bool) (micro.Service, error) {
	service, err := micro.AddService(s.nc, micro.Config{
		Name:        "natter-history",
		Version:     contract.Version,
		Description: "Pages of the messages that were posted to Socket.IO rooms.",
		Metadata:    map[string]string{contract.MetadataVersion: contract.Version},
	})
	if err != nil {
		return nil, err
	}
	endpoints := s.endpoints()
	for _, name := range slices.Sorted(maps.Keys(endpoints)) {
		if !reached && name != contract.HistoryStats {
			continue
		}
		handler := micro.HandlerFunc(func(req micro.Request) { s.take(question{req, name, endpoints[name], time.Now()}) })
		if err := service.AddEndpoint(name, handler, micro.WithEndpointSubject(s.Subjects.Endpoint(contract.History, name))); err != nil {
			return nil, errors.Join(err, service.Stop())
		}
	}
	return service, nil
}

// await returns when the database can be reached, or cannot be any more, or when ctx ends.
func (s *Service) await(ctx context.Context, reached bool) {
	for looks := 0; ctx.Err() == nil; {
		s.sleep(ctx)
		looking, cancel := context.WithTimeout(ctx, reachWait)
		err := s.store.Ping(looking)
		cancel()
		if (err == nil) != reached {
			looks = 0
			continue
		}
		// The group is not left while NATS is away: the connection would then tell the server again that it is in the group, and
		// nobody would hear its share of the requests.
		if looks++; reached || looks >= awayAfter && s.nc.IsConnected() {
			return
		}
	}
}

func (s *Service) sleep(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(reachEvery):
	}
}

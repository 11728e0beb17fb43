package session

import (
	"context"

	"github.com/natter-io/natter/pkg/contract"
)

// find looks up the namespace's configuration. If it has none, or has it from a function, the functions say whether it
// exists for this client; the first yes counts.
func (s *Socket) find(ctx context.Context, entry contract.Entry) (contract.Namespace, error) {
	backend := s.client.srv.backend
	for {
		configured, ns, ok := backend.Namespace(s.namespace)
		if ok && !contract.IsFunction(configured) {
			return ns, nil
		}
		function, err := s.decide(ctx, entry)
		if err != nil {
			return contract.Namespace{}, err
		}
		if function == "" {
			return contract.Namespace{}, refusal{message: "Invalid namespace"}
		}
		if !s.claimed && !backend.Claim(s.namespace, function) {
			continue // another client came first, by another function
		}
		s.claimed = true
		if _, ns, ok = backend.Namespace(s.namespace); ok {
			return ns, nil
		}
	}
}

// decide asks the functions in order and returns the first that says yes, or "".
func (s *Socket) decide(ctx context.Context, entry contract.Entry) (string, error) {
	for _, function := range s.client.srv.backend.Functions(s.namespace) {
		a, err := s.ask(ctx, function, contract.MiddlewareExists, entry)
		if err != nil || a.OK {
			return function, err
		}
	}
	return "", nil
}

// disclaim undoes the claim, if there is one.
func (s *Socket) disclaim() {
	if s.claimed {
		s.claimed = false
		s.client.srv.backend.Disclaim(s.namespace)
	}
}

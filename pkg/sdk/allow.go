package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
)

// RequestFilter decides whether a client may connect at all: nil lets it in, a [Refusal] refuses it with its
// message. Any other error gives no answer: the client is turned away for now and tries again by itself.
type RequestFilter func(ctx context.Context, handshake contract.Handshake) error

// AllowRequest has the server decide whether clients may connect, before they ask for a namespace: by their
// address, headers or query, which are what the handshake has. Gateways ask the service whose [Options.Name] their
// setting allowRequest names, and nobody if that is empty; while it does not answer, nobody gets in. Several run in
// the order in which they were added, until one does not allow it.
//
// It panics once the server was started, since it would have no effect.
func (s *Server) AllowRequest(f RequestFilter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen {
		panic("sdk: AllowRequest: registered after Start")
	}
	s.filters = append(s.filters, f)
}

// subscribeAllow hears gateways ask whether clients may connect.
func (r *run) subscribeAllow() error {
	s := r.server
	if len(r.filters) == 0 {
		return nil
	}
	subject, err := s.subjects.Allow(s.opts.Name)
	if err != nil {
		return err
	}
	r.allow = subject
	return r.subscribeTo(subject)
}

// allowRequest answers a gateway, or says nothing.
func (r *run) allowRequest(msg *nats.Msg) {
	log := r.server.log.With("subject", msg.Subject)
	var request contract.AllowRequest
	if err := json.Unmarshal(msg.Data, &request); err != nil || msg.Reply == "" {
		r.server.stats.malformed.Add(1)
		log.Warn("a request to connect that cannot be read was ignored", "error", err, "reply", msg.Reply)
		return
	}
	err := r.guard(func(ctx context.Context) error {
		for _, f := range r.filters {
			if err := f(ctx, request.Handshake); err != nil {
				return err
			}
		}
		return nil
	})
	var refusal *Refusal
	answer := contract.Allowance{OK: err == nil}
	switch {
	case errors.As(err, &refusal):
		answer.Message = refusal.Message
	case err != nil:
		r.failed("AllowRequest failed, the client is turned away for now", err, "subject", msg.Subject, "address", request.Handshake.Address)
		return
	}
	data, err := encodeJSON(answer)
	if err == nil {
		err = msg.Respond(data)
	}
	if err != nil {
		log.Error("the answer whether a client may connect was not sent", "error", fmt.Errorf("respond: %w", err))
	}
}

package session

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/natter-io/natter/pkg/contract"
)

// maxAdmission is how old the word of a middleware may be when the socket gets in.
const maxAdmission = 10 * time.Second

// admit asks the namespace's middlewares, and who takes the socket if the namespace is ordered; the middlewares again,
// if one of all these was so slow that what another said may not be true any more.
func (s *Socket) admit(ctx context.Context) error {
	name := s.name
	for {
		start := time.Now()
		s.user, s.name, s.roles, s.greetings = "", name, nil, nil
		s.SetData(nil, 0)
		if err := s.admitOnce(ctx); err != nil {
			return err
		}
		if err := s.take(ctx); err != nil {
			return err
		}
		if time.Since(start) < maxAdmission {
			return s.keepAuth()
		}
	}
}

// keepAuth forgets what the client gave as auth, which proved who it is and may hold secrets, unless the namespace
// wants its services to know.
func (s *Socket) keepAuth() error {
	_, ns, _ := s.client.srv.backend.Namespace(s.namespace)
	switch {
	case !ns.HandshakeAuth:
		s.handshake.Auth = nil
	case len(s.handshake.Auth) > contract.MaxData: // it is in every answer that lists the socket
		return refusal{message: fmt.Sprintf("auth has %d bytes, at most %d are allowed", len(s.handshake.Auth), contract.MaxData), data: encode(map[string]string{"code": contract.CodeInvalid})}
	}
	return nil
}

func (s *Socket) admitOnce(ctx context.Context) error {
	entry := contract.Entry{ID: s.id, Namespace: s.namespace, Handshake: s.handshake}
	ns, err := s.find(ctx, entry)
	if err != nil {
		return err
	}
	var rooms []string
	var expires time.Time
	for _, middleware := range ns.Middlewares(presentsToken(s.handshake.Auth)) {
		a, err := s.ask(ctx, s.namespace, middleware, entry)
		if err != nil {
			return err
		}
		if !a.OK {
			message := a.Message
			if message == "" {
				message = "refused by " + middleware
			}
			return refusal{message: message, data: a.Data}
		}
		s.add(a)
		rooms = append(rooms, a.Rooms...)
		if !a.Expires.IsZero() && (expires.IsZero() || a.Expires.Before(expires)) {
			expires = a.Expires
		}
	}
	if ns.Role != "" && !slices.Contains(s.roles, ns.Role) {
		return refusal{message: fmt.Sprintf("the namespace %s is open to the role %s only", s.namespace, ns.Role), data: encode(map[string]string{"code": contract.CodeForbidden})}
	}
	if !expires.IsZero() && !expires.After(time.Now()) {
		return refusal{message: "the admission has expired", data: encode(map[string]string{"code": contract.CodeUnauthorized})}
	}
	if s.user != "" {
		rooms = append(rooms, contract.UserRoom(s.user))
	}
	slices.Sort(rooms)
	s.rooms = slices.Compact(rooms)
	s.expires = expires
	return nil
}

// ask asks one middleware of a namespace.
func (s *Socket) ask(ctx context.Context, namespace, middleware string, entry contract.Entry) (a contract.Admission, err error) {
	err = s.patiently(ctx, func(ctx context.Context) (err error) {
		a, err = s.client.srv.backend.Use(ctx, namespace, middleware, entry)
		return err
	})
	if err != nil {
		return contract.Admission{}, fmt.Errorf("middleware %s of %s: %w", middleware, namespace, err)
	}
	return a, nil
}

// patiently asks a service, by try. While it does not answer, and nothing else lives on the connection, the client's
// patience (connectTimeout) is the limit; then the transport is closed, so that the client tries again.
func (s *Socket) patiently(ctx context.Context, try func(context.Context) error) error {
	for {
		limited, cancel := context.WithTimeout(ctx, s.client.srv.opts.ConnectTimeout)
		err := try(limited)
		cancel()
		if err == nil || ctx.Err() != nil || !s.client.others(s) {
			return err
		}
	}
}

// add adds what a middleware said to what the ones before it said.
func (s *Socket) add(a contract.Admission) {
	if a.User != "" {
		s.user = a.User
	}
	if a.Name != "" {
		s.name = a.Name
	}
	s.roles = append(s.roles, a.Roles...)
	if len(a.Data) > 0 {
		s.SetData(a.Data, 0)
	}
	s.greetings = append(s.greetings, a.Emit...)
}

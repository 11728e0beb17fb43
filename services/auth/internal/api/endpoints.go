package api

import (
	"context"
	"fmt"
	"log/slog"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/auth/internal/admin"
	"github.com/natter-io/natter/services/auth/internal/login"
	"github.com/natter-io/natter/services/auth/internal/middleware"
	"github.com/natter-io/natter/services/auth/internal/reply"
	"github.com/natter-io/natter/services/auth/internal/users"
)

// Middleware is the name under which namespaces ask this service: use: [auth].
const Middleware = "auth"

// LoginRequest is the payload of natter.auth.login.
type LoginRequest struct {
	Name     string `json:"name"`
	Password string `json:"password"`
	Address  string `json:"address,omitempty"` // where the client comes from, for the limit of attempts
}

// LoginReply is the answer to a [LoginRequest].
type LoginReply struct {
	OK      bool      `json:"ok"`
	Token   string    `json:"token"`
	Expires time.Time `json:"expires"`
	User    string    `json:"user"`
	Name    string    `json:"name"`
	Roles   []string  `json:"roles"`
}

// CreateRequest is the payload of natter.auth.create.
type CreateRequest struct {
	Name     string   `json:"name"`
	Password string   `json:"password"`
	Roles    []string `json:"roles,omitempty"`
}

// UserReply is the answer to a [CreateRequest].
type UserReply struct {
	OK   bool       `json:"ok"`
	User users.User `json:"user"`
}

// UsersReply is the answer on natter.auth.users, whose request is empty or {}.
type UsersReply struct {
	OK    bool         `json:"ok"`
	Users []users.User `json:"users"`
}

// DeleteRequest is the payload of natter.auth.delete.
type DeleteRequest struct {
	User string `json:"user"`
	By   string `json:"by,omitempty"` // id of the admin who ordered it
}

// Done is the answer to a request that has no other.
type Done struct {
	OK bool `json:"ok"`
}

// Parts are what the endpoints hand requests to.
type Parts struct {
	Middleware *middleware.Middleware
	Login      *login.Login
	Users      *users.Users
	Admin      *admin.Admin
	Hashing    int // passwords that are hashed at a time
}

// Start offers the endpoints on a connection until [Service.Stop].
func Start(nc *nats.Conn, s contract.Subjects, p Parts, log *slog.Logger) (*Service, error) {
	use, err := s.UseAny(Middleware)
	if err != nil {
		return nil, fmt.Errorf("offering the middleware: %w", err)
	}
	auth := func(name string) string { return s.Endpoint(contract.Auth, name) }
	endpoints := []endpoint{
		// It waits for the bucket most of the time, so that many wait side by side. Silent: without an answer
		// gateways go on asking and admit nobody; a refusal would be final for the client.
		{name: "middleware", subject: use, answer: p.enter, workers: 64, queue: 4096, timeout: 5 * time.Second, silent: true},
		{name: "login", subject: auth("login"), answer: p.login, workers: 2 * p.Hashing, queue: 256, timeout: 5 * time.Second},
		{name: "users", subject: auth("users"), answer: p.users, workers: 2, queue: 64, timeout: 5 * time.Second},
		{name: "create", subject: auth("create"), answer: p.create, workers: 2, queue: 256, timeout: 5 * time.Second},
		{name: "delete", subject: auth("delete"), answer: p.delete, workers: 2, queue: 256, timeout: 10 * time.Second},
	}
	adminEndpoints, err := adminEndpoints(s, p.Admin)
	if err != nil {
		return nil, err
	}
	return start(nc, append(endpoints, adminEndpoints...), log)
}

func (p Parts) enter(ctx context.Context, request micro.Request) (any, error) {
	return p.Middleware.Answer(ctx, request.Data())
}

func (p Parts) login(ctx context.Context, request micro.Request) (any, error) {
	var r LoginRequest
	if err := reply.Decode(request.Data(), &r); err != nil {
		return nil, err
	}
	if len(r.Address) > 128 {
		return nil, reply.Invalid("the address is too long")
	}
	s, err := p.Login.Try(ctx, login.Request(r))
	if err != nil {
		return nil, err
	}
	a := s.Account
	return LoginReply{OK: true, Token: s.Token, Expires: s.Expires, User: a.ID, Name: a.Name, Roles: a.Roles}, nil
}

func (p Parts) users(ctx context.Context, request micro.Request) (any, error) {
	if len(request.Data()) > 0 {
		if err := reply.Decode(request.Data(), &struct{}{}); err != nil {
			return nil, err
		}
	}
	all, err := p.Users.List(ctx)
	return UsersReply{OK: true, Users: all}, err
}

func (p Parts) create(ctx context.Context, request micro.Request) (any, error) {
	var r CreateRequest
	if err := reply.Decode(request.Data(), &r); err != nil {
		return nil, err
	}
	u, err := p.Users.Create(ctx, r.Name, r.Password, r.Roles)
	return UserReply{OK: true, User: u}, err
}

// maxBy is the greatest length in characters of who ordered a deletion.
const maxBy = 64

func (p Parts) delete(ctx context.Context, request micro.Request) (any, error) {
	var r DeleteRequest
	if err := reply.Decode(request.Data(), &r); err != nil {
		return nil, err
	}
	if r.User == "" {
		return nil, reply.Invalid("the field user must say whom to delete")
	}
	if utf8.RuneCountInString(r.By) > maxBy {
		return nil, reply.Invalid(fmt.Sprintf("the field by has more than %d characters", maxBy))
	}
	return Done{OK: true}, p.Users.Delete(ctx, r.User, r.By)
}

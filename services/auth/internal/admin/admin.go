// Package admin answers the events of the namespace /admin, by which administrators in a browser manage users
// and sockets.
//
// It trusts that the caller is an administrator: gateways let nobody else into the namespace. It does not know
// how events arrive and how acks are sent.
package admin

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/auth/internal/reply"
	"github.com/natter-io/natter/services/auth/internal/users"
)

// Event answers an event: by is the id of the user who said it, args what was said. The result is the ack's only
// argument, a JSON object with ok; errors are to be told with [reply.Refusal].
type Event func(ctx context.Context, by string, args []json.RawMessage) (any, error)

// Admin answers events. Its methods may be called concurrently.
type Admin struct {
	nc       *nats.Conn
	js       jetstream.JetStream
	subjects contract.Subjects
	users    *users.Users
}

// New returns what answers the events.
func New(nc *nats.Conn, js jetstream.JetStream, s contract.Subjects, u *users.Users) *Admin {
	return &Admin{nc: nc, js: js, subjects: s, users: u}
}

// Events are the events by name.
func (a *Admin) Events() map[string]Event {
	return map[string]Event{
		"list users":        a.listUsers,
		"create user":       a.createUser,
		"delete user":       a.deleteUser,
		"list sockets":      a.listSockets,
		"disconnect socket": a.disconnectSocket,
	}
}

// object is the ack's argument.
type object map[string]any

func (a *Admin) listUsers(ctx context.Context, _ string, args []json.RawMessage) (any, error) {
	if err := count(args, 0); err != nil {
		return nil, err
	}
	all, err := a.users.List(ctx)
	return object{"ok": true, "users": all}, err
}

func (a *Admin) createUser(ctx context.Context, _ string, args []json.RawMessage) (any, error) {
	var r struct {
		Name     string   `json:"name"`
		Password string   `json:"password"`
		Roles    []string `json:"roles"`
	}
	if err := only(args, &r); err != nil {
		return nil, err
	}
	u, err := a.users.Create(ctx, r.Name, r.Password, r.Roles)
	return object{"ok": true, "user": u}, err
}

func (a *Admin) deleteUser(ctx context.Context, by string, args []json.RawMessage) (any, error) {
	if err := count(args, 1); err != nil {
		return nil, err
	}
	var id string
	if err := json.Unmarshal(args[0], &id); err != nil || id == "" {
		return nil, reply.Invalid("the argument must be the id of a user")
	}
	return object{"ok": true}, a.users.Delete(ctx, id, by)
}

func count(args []json.RawMessage, want int) error {
	if len(args) != want {
		return reply.Invalid(fmt.Sprintf("the event has %d arguments, it must have %d", len(args), want))
	}
	return nil
}

// only reads the event's one argument, an object.
func only(args []json.RawMessage, into any) error {
	if err := count(args, 1); err != nil {
		return err
	}
	return reply.Decode(args[0], into)
}

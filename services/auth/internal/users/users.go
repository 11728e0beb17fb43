// Package users is what administrators do with accounts: list, create and delete them. A deletion is more
// than the removal of an account: other services hear of it and the user's sockets are disconnected.
//
// It does not know who asks; permissions on subjects and the role of a namespace decide that.
package users

import (
	"context"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/auth/internal/accounts"
	"github.com/natter-io/natter/services/auth/internal/passwords"
)

// User is an account without its secrets, as administrators see it.
type User struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Roles   []string  `json:"roles"`
	Created time.Time `json:"created"`
}

// Of is the account as administrators see it.
func Of(a accounts.Account) User {
	return User{ID: a.ID, Name: a.Name, Roles: a.Roles, Created: a.Created}
}

// Users administers accounts. Its methods may be called concurrently.
type Users struct {
	store     *accounts.Store
	passwords *passwords.Hasher
	js        jetstream.JetStream
	subjects  contract.Subjects
	log       *slog.Logger
	settle    time.Duration
	interval  time.Duration
	now       func() time.Time
}

// New returns the administration of the accounts in a store.
func New(store *accounts.Store, p *passwords.Hasher, js jetstream.JetStream, s contract.Subjects, log *slog.Logger) *Users {
	return &Users{store: store, passwords: p, js: js, subjects: s, log: log, settle: settle, interval: interval, now: time.Now}
}

// List returns every user, sorted by name.
func (u *Users) List(ctx context.Context) ([]User, error) {
	all, err := u.store.List(ctx)
	if err != nil {
		return nil, err
	}
	users := make([]User, len(all))
	for i, a := range all {
		users[i] = Of(a)
	}
	return users, nil
}

// Create adds a user. It fails with [passwords.ErrUnusable], [accounts.ErrInvalid] or [accounts.ErrExists].
func (u *Users) Create(ctx context.Context, name, password string, roles []string) (User, error) {
	// What is cheap to find out comes before the hash.
	if _, err := accounts.CleanName(name); err != nil {
		return User{}, err
	}
	if _, err := accounts.CleanRoles(roles); err != nil {
		return User{}, err
	}
	if err := passwords.Validate(password); err != nil {
		return User{}, err
	}
	hash, err := u.passwords.Hash(ctx, password)
	if err != nil {
		return User{}, err
	}
	a, err := u.store.Create(ctx, name, hash, roles)
	if err != nil {
		return User{}, err
	}
	u.log.Info("user created", "user", a.ID, "name", a.Name, "roles", a.Roles)
	return Of(a), nil
}

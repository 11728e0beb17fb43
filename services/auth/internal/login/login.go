// Package login checks names and passwords and hands out tokens. It limits how often a name and an address
// may try, and lets nobody find out which names exist.
//
// It does not talk to NATS; limits hold for one instance, so that n instances allow n times as much.
package login

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/natter-io/natter/services/auth/internal/accounts"
	"github.com/natter-io/natter/services/auth/internal/passwords"
	"github.com/natter-io/natter/services/auth/internal/tokens"
)

// ErrWrong says that name and password do not belong together, and not which of them is wrong.
var ErrWrong = errors.New("wrong name or password")

// RateError says that a name or an address has tried too often.
type RateError struct {
	Wait time.Duration // until the next try is possible
}

// Error says how long to wait, in whole seconds.
func (e *RateError) Error() string {
	return fmt.Sprintf("too many attempts to sign in: try again in %d s", int(e.Wait/time.Second)+1)
}

// Limits are how many attempts a minute are allowed; as many are allowed at once.
type Limits struct {
	PerName    int
	PerAddress int
}

// Request is an attempt to sign in.
type Request struct {
	Name     string
	Password string
	Address  string // where it comes from, "" if unknown
}

// Session is what a successful login gives.
type Session struct {
	Token   string
	Expires time.Time
	Account accounts.Account
}

// Accounts finds accounts; see [accounts.Store.ByName].
type Accounts interface {
	ByName(ctx context.Context, name string) (accounts.Account, error)
}

// Login signs users in. Its methods may be called concurrently.
type Login struct {
	accounts  Accounts
	passwords *passwords.Hasher
	tokens    *tokens.Issuer
	names     *limiter
	addresses *limiter
	now       func() time.Time
}

// New returns a login.
func New(a Accounts, p *passwords.Hasher, t *tokens.Issuer, l Limits) *Login {
	return &Login{
		accounts: a, passwords: p, tokens: t, now: time.Now,
		names: newLimiter(l.PerName, maxTracked), addresses: newLimiter(l.PerAddress, maxTracked),
	}
}

// Try checks a name and a password. It fails with [ErrWrong], a [*RateError], or an error of what it needs:
// the accounts, or a free slot to hash in before the context ends.
func (l *Login) Try(ctx context.Context, r Request) (Session, error) {
	// The address first: one that tries many names must not use up everybody's attempts.
	if r.Address != "" {
		if wait, ok := l.addresses.allow(addressKey(r.Address), l.now()); !ok {
			return Session{}, &RateError{wait}
		}
	}
	name, err := accounts.CleanName(r.Name)
	if err != nil || len(r.Password) > passwords.MaxLength {
		return Session{}, ErrWrong // no account can have these; nothing is given away
	}
	if wait, ok := l.names.allow(accounts.Fold(name), l.now()); !ok {
		return Session{}, &RateError{wait}
	}
	account, err := l.accounts.ByName(ctx, name)
	if err != nil && !errors.Is(err, accounts.ErrNotFound) {
		return Session{}, err
	}
	// Without an account the hash is empty, which takes as long and never matches.
	matches, err := l.passwords.Check(ctx, account.Password, r.Password)
	switch {
	case err != nil:
		return Session{}, fmt.Errorf("checking the password of %q: %w", name, err)
	case !matches:
		return Session{}, ErrWrong
	}
	token, expires, err := l.tokens.Issue(tokens.Identity{User: account.ID, Name: account.Name, Roles: account.Roles})
	if err != nil {
		return Session{}, err
	}
	return Session{Token: token, Expires: expires, Account: account}, nil
}

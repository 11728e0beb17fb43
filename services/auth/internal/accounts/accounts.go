// Package accounts keeps the users' accounts in a key-value bucket of JetStream, one key an account. The key
// is made of the name, so that creating it decides who gets a name, whichever instance asks first; every
// later write is compare-and-set.
//
// It does not know how passwords are hashed, nor what else happens when a user is deleted; it keeps the log
// of deletions from which that is continued after a crash (see [Store.BeginDelete]).
package accounts

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// RoleAdmin is the role of those who may administer accounts.
const RoleAdmin = "admin"

var (
	// ErrExists says that the name is taken.
	ErrExists = errors.New("the name is taken")
	// ErrNotFound says that there is no such account.
	ErrNotFound = errors.New("no such account")
	// ErrLastAdmin says that an account cannot be deleted because nobody could administer then.
	ErrLastAdmin = errors.New("the last admin cannot be deleted")
	// ErrBusy says that others kept changing the same thing, or that too much is under way; try again.
	ErrBusy = errors.New("too many changes at the same time")
)

// Account is one user.
type Account struct {
	ID       string    `json:"id"`       // random, never used again
	Name     string    `json:"name"`     // unique but for case; never changes
	Password string    `json:"password"` // PHC string
	Roles    []string  `json:"roles"`
	Created  time.Time `json:"created"`
	// NotBefore refuses tokens that were issued earlier: set when the password is reset.
	NotBefore time.Time `json:"not_before,omitzero"`

	revision uint64
}

// Admin says whether the account may administer.
func (a Account) Admin() bool { return slices.Contains(a.Roles, RoleAdmin) }

// Store reads and writes accounts. Its methods may be called concurrently, by any number of instances. Apart
// from the errors they name, they return those of JetStream, wrapped.
type Store struct {
	kv  jetstream.KeyValue
	now func() time.Time
}

// NewStore returns the store in a bucket.
func NewStore(kv jetstream.KeyValue) *Store { return &Store{kv: kv, now: time.Now} }

// Create adds an account. It fails with [ErrInvalid], or [ErrExists] when the name is taken.
func (s *Store) Create(ctx context.Context, name, passwordHash string, roles []string) (Account, error) {
	name, err := CleanName(name)
	if err != nil {
		return Account{}, err
	}
	if roles, err = CleanRoles(roles); err != nil {
		return Account{}, err
	}
	a := Account{ID: newID(), Name: name, Password: passwordHash, Roles: roles, Created: s.now().UTC().Truncate(time.Millisecond)}
	value, err := json.Marshal(a)
	if err != nil {
		return Account{}, fmt.Errorf("creating the account: %w", err)
	}
	a.revision, err = s.kv.Create(ctx, key(name), value)
	if errors.Is(err, jetstream.ErrKeyExists) {
		return Account{}, fmt.Errorf("%w: %q", ErrExists, name)
	}
	if err != nil {
		return Account{}, fmt.Errorf("creating the account: %w", err)
	}
	return a, nil
}

// newID returns 80 random bits behind a prefix that tells a user's id from other ids.
func newID() string {
	var b [10]byte
	rand.Read(b[:])
	return "u_" + strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
}

// ByName returns the account of a name, in any case. It fails with [ErrNotFound].
func (s *Store) ByName(ctx context.Context, name string) (Account, error) {
	entry, err := s.kv.Get(ctx, key(name))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return Account{}, ErrNotFound
	}
	if err != nil {
		return Account{}, fmt.Errorf("reading the account: %w", err)
	}
	return decode(entry)
}

// staleness is longer than a replica of the bucket lags behind its leader: reads are answered by any of them.
const staleness = 100 * time.Millisecond

// Find returns the account with the id and the name. It fails with [ErrNotFound] when it was deleted, even if
// somebody else has the name now. An account that a replica does not know is looked for twice, since a
// replica may lag behind and the answer "deleted" is final.
func (s *Store) Find(ctx context.Context, id, name string) (Account, error) {
	a, err := s.ByName(ctx, name)
	if errors.Is(err, ErrNotFound) || err == nil && a.ID != id {
		wait := time.NewTimer(staleness)
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-ctx.Done():
			return Account{}, fmt.Errorf("reading the account: %w", context.Cause(ctx))
		}
		a, err = s.ByName(ctx, name)
	}
	if err != nil {
		return Account{}, err
	}
	if a.ID != id {
		return Account{}, ErrNotFound
	}
	return a, nil
}

// List returns every account, sorted by name.
func (s *Store) List(ctx context.Context) ([]Account, error) {
	watch, err := s.kv.WatchFiltered(ctx, []string{keyName + "*", keyHash + "*"}, jetstream.IgnoreDeletes())
	if err != nil {
		return nil, fmt.Errorf("listing the accounts: %w", err)
	}
	defer watch.Stop() //nolint:errcheck // the watcher is done with
	all := []Account{}
	for {
		select {
		case entry, ok := <-watch.Updates():
			if !ok {
				return nil, fmt.Errorf("listing the accounts: %w", errors.Join(context.Cause(ctx), jetstream.ErrConsumerNotFound))
			}
			if entry == nil { // all that was there has come
				slices.SortFunc(all, func(a, b Account) int { return strings.Compare(Fold(a.Name), Fold(b.Name)) })
				return all, nil
			}
			a, err := decode(entry)
			if err != nil {
				return nil, err
			}
			all = append(all, a)
		case <-ctx.Done():
			return nil, fmt.Errorf("listing the accounts: %w", context.Cause(ctx))
		}
	}
}

// Reset gives an account a new password and roles, and makes the tokens issued before now useless. It fails
// with [ErrBusy] when the account was changed since a was read.
func (s *Store) Reset(ctx context.Context, a Account, passwordHash string, roles []string) (Account, error) {
	roles, err := CleanRoles(roles)
	if err != nil {
		return Account{}, err
	}
	// Tokens carry whole seconds: one issued right after the reset must not look older.
	a.Password, a.Roles, a.NotBefore = passwordHash, roles, s.now().UTC().Truncate(time.Second)
	value, err := json.Marshal(a)
	if err != nil {
		return Account{}, fmt.Errorf("resetting the account: %w", err)
	}
	a.revision, err = s.kv.Update(ctx, key(a.Name), value, a.revision)
	if isConflict(err) {
		return Account{}, ErrBusy
	}
	if err != nil {
		return Account{}, fmt.Errorf("resetting the account: %w", err)
	}
	return a, nil
}

// remove deletes the account if it is still the one with the id: gone already is no error.
func (s *Store) remove(ctx context.Context, id, name string) error {
	for range maxAttempts {
		a, err := s.ByName(ctx, name)
		if errors.Is(err, ErrNotFound) || err == nil && a.ID != id {
			return nil
		}
		if err != nil {
			return err
		}
		err = s.kv.Delete(ctx, key(name), jetstream.LastRevision(a.revision))
		if err == nil {
			return nil
		}
		if !isConflict(err) {
			return fmt.Errorf("removing the account: %w", err)
		}
	}
	return ErrBusy
}

// maxAttempts bounds how often a compare-and-set is tried again.
const maxAttempts = 20

func decode(entry jetstream.KeyValueEntry) (Account, error) {
	var a Account
	if err := json.Unmarshal(entry.Value(), &a); err != nil {
		return Account{}, fmt.Errorf("the account under the key %s in the bucket %s cannot be read: %w", entry.Key(), entry.Bucket(), err)
	}
	if a.Roles == nil {
		a.Roles = []string{}
	}
	a.revision = entry.Revision()
	return a, nil
}

// isConflict says whether a compare-and-set lost.
func isConflict(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence
}

package authd

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/kit/provision"
	"github.com/natter-io/natter/services/auth/internal/accounts"
	"github.com/natter-io/natter/services/auth/internal/admin"
	"github.com/natter-io/natter/services/auth/internal/api"
	"github.com/natter-io/natter/services/auth/internal/buckets"
	"github.com/natter-io/natter/services/auth/internal/login"
	"github.com/natter-io/natter/services/auth/internal/middleware"
	"github.com/natter-io/natter/services/auth/internal/passwords"
	"github.com/natter-io/natter/services/auth/internal/tokens"
	"github.com/natter-io/natter/services/auth/internal/users"
)

// The time one attempt to prepare may take, and the pause before the next.
const (
	prepareTimeout = 30 * time.Second
	prepareAgain   = time.Second
)

// prepare makes buckets, key and first admin, and tries until it can: JetStream may still be electing, or NATS
// may have gone away again.
func (s *Service) prepare(ctx context.Context, nc *nats.Conn) (api.Parts, error) {
	for {
		attempt, cancel := context.WithTimeout(ctx, prepareTimeout)
		p, err := s.prepareOnce(attempt, nc)
		cancel()
		if err == nil {
			return p, nil
		}
		if ctx.Err() != nil {
			return api.Parts{}, context.Cause(ctx)
		}
		s.log.Warn("cannot start yet; trying again", "error", err)
		select {
		case <-time.After(prepareAgain):
		case <-ctx.Done():
			return api.Parts{}, context.Cause(ctx)
		}
	}
}

func (s *Service) prepareOnce(ctx context.Context, nc *nats.Conn) (api.Parts, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return api.Parts{}, fmt.Errorf("using JetStream: %w", err)
	}
	storage := provision.Storage{Replicas: s.cfg.Replicas, Log: s.log}
	if _, err := provision.Events(ctx, js, s.subjects, 0, storage); err != nil {
		return api.Parts{}, err
	}
	names := s.subjects.Names()
	accountsKV, err := buckets.Open(ctx, js, storage, names.Accounts, "Accounts of users, with their password hashes.")
	if err != nil {
		return api.Parts{}, err
	}
	keysKV, err := buckets.Open(ctx, js, storage, names.AuthKeys, "The private key that signs tokens.")
	if err != nil {
		return api.Parts{}, err
	}
	key, err := tokens.LoadKey(ctx, keysKV)
	if err != nil {
		return api.Parts{}, err
	}
	store := accounts.NewStore(accountsKV)
	s.health.SetCheck("accounts", func(ctx context.Context) error {
		_, _, err := store.Deletions(ctx) // the smallest thing there is to read
		return err
	})
	hasher := passwords.NewHasher(s.cfg.hashing())
	if err := s.ensureAdmin(ctx, store, hasher); err != nil {
		return api.Parts{}, err
	}
	issuer := tokens.NewIssuer(key, s.subjects.Prefix()+".auth", s.cfg.TokenLifetime)
	administration := users.New(store, hasher, js, s.subjects, s.log)
	return api.Parts{
		Middleware: middleware.New(store, issuer),
		Login:      login.New(store, hasher, issuer, login.Limits{PerName: s.cfg.LoginPerName, PerAddress: s.cfg.LoginPerAddress}),
		Users:      administration,
		Admin:      admin.New(nc, js, s.subjects, administration),
		Hashing:    s.cfg.hashing(),
	}, nil
}

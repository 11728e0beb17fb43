package authd

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/natter-io/natter/services/auth/internal/accounts"
	"github.com/natter-io/natter/services/auth/internal/passwords"
)

// firstAdmin is the name of the administrator that the first start creates.
const firstAdmin = "admin"

// ensureAdmin creates the first administrator if there is no account at all, and resets it if the settings
// say so. Of several instances that start together one creates it.
func (s *Service) ensureAdmin(ctx context.Context, store *accounts.Store, hasher *passwords.Hasher) error {
	all, err := store.List(ctx)
	if err != nil {
		return err
	}
	if len(all) > 0 && !s.cfg.ResetAdmin {
		if s.cfg.AdminPassword != "" {
			s.log.Info("adminPassword is not used: it is for the first start, and there are accounts; to give it to the user now, start once with resetAdmin too", "name", firstAdmin)
		}
		return nil
	}
	password := s.cfg.AdminPassword.Reveal()
	if password == "" {
		password = passwords.Generate()
	}
	hash, err := hasher.Hash(ctx, password)
	if err != nil {
		return err
	}
	existing, err := store.ByName(ctx, firstAdmin)
	switch {
	case err == nil && s.cfg.ResetAdmin:
		if _, err = store.Reset(ctx, existing, hash, append(slices.Clone(existing.Roles), accounts.RoleAdmin)); err != nil {
			return fmt.Errorf("resetting %s: %w", firstAdmin, err)
		}
		s.log.Warn("the password of an administrator was reset; remove the setting resetAdmin", "name", firstAdmin)
	case err == nil:
		return nil // another instance has created it since
	case !errors.Is(err, accounts.ErrNotFound):
		return err
	default:
		_, err = store.Create(ctx, firstAdmin, hash, []string{accounts.RoleAdmin})
		if errors.Is(err, accounts.ErrExists) {
			return nil // another instance was faster, and tells its password
		}
		if err != nil {
			return fmt.Errorf("creating %s: %w", firstAdmin, err)
		}
		s.log.Info("the first administrator was created", "name", firstAdmin)
	}
	if s.cfg.AdminPassword == "" {
		s.onFirstAdmin(firstAdmin, password)
	}
	return nil
}

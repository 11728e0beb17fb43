// Package passwords hashes and checks passwords with argon2id, a bounded number at a time: each hash takes
// 19 MiB and some ten milliseconds of a core, so a flood of logins must wait instead of exhausting memory.
//
// It does not know accounts, nor who may try how often.
package passwords

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"unicode/utf8"
)

// The least and greatest length of a password in bytes.
const (
	MinLength = 8
	MaxLength = 256
)

// ErrUnusable says that a password is too short, too long or no text. The error's text is for the person
// who chose it.
var ErrUnusable = errors.New("password")

// Validate checks a new password.
func Validate(password string) error {
	if len(password) < MinLength || len(password) > MaxLength {
		return fmt.Errorf("%w: has %d bytes, %d to %d are allowed", ErrUnusable, len(password), MinLength, MaxLength)
	}
	if !utf8.ValidString(password) {
		return fmt.Errorf("%w: is not valid UTF-8", ErrUnusable)
	}
	return nil
}

// Generate makes a password of 26 characters, 130 random bits.
func Generate() string { return rand.Text() }

// Hasher hashes passwords, a bounded number at a time. Its methods may be called concurrently.
type Hasher struct {
	slots chan struct{}
	dummy hashed
}

// NewHasher returns a hasher that works on at most concurrency passwords at a time, at least one.
func NewHasher(concurrency int) *Hasher {
	return &Hasher{slots: make(chan struct{}, max(1, concurrency)), dummy: derive(Generate())}
}

// Hash returns the PHC string of a password. It fails only when the context ends before a slot is free.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	if err := h.acquire(ctx); err != nil {
		return "", err
	}
	defer h.release()
	return derive(password).String(), nil
}

// Check says whether the password is the one that was hashed. An empty hash, which stands for an account
// that does not exist, matches no password but takes as long, so that time does not tell which names exist.
// It fails with [ErrBadHash], or when the context ends before a slot is free.
func (h *Hasher) Check(ctx context.Context, phc, password string) (bool, error) {
	stored := h.dummy
	if phc != "" {
		var err error
		if stored, err = parse(phc); err != nil {
			return false, err
		}
	}
	if err := h.acquire(ctx); err != nil {
		return false, err
	}
	defer h.release()
	return stored.matches(password) && phc != "", nil
}

func (h *Hasher) acquire(ctx context.Context) error {
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting to hash a password: %w", context.Cause(ctx))
	}
}

func (h *Hasher) release() { <-h.slots }

package accounts

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/natter-io/natter/pkg/contract"
)

// Limits of an account. Lengths are in characters.
const (
	MaxName  = 64
	MaxRole  = 32
	MaxRoles = 16
)

// ErrInvalid says that a name or role cannot be used. The error's text says why, for the person who chose
// it.
var ErrInvalid = errors.New("invalid")

// CleanName trims a name and checks it: 1 to [MaxName] characters, none of them a control or an invisible
// formatting character (which would let two names look the same).
func CleanName(name string) (string, error) {
	if !utf8.ValidString(name) {
		return "", fmt.Errorf("%w name: is not valid UTF-8", ErrInvalid)
	}
	name = strings.TrimSpace(name)
	if n := utf8.RuneCountInString(name); n < 1 || n > MaxName {
		return "", fmt.Errorf("%w name: has %d characters, 1 to %d are allowed", ErrInvalid, n, MaxName)
	}
	for _, r := range name {
		if !unicode.IsPrint(r) {
			return "", fmt.Errorf("%w name: holds the character %U, which cannot be seen", ErrInvalid, r)
		}
	}
	return name, nil
}

// CleanRoles checks roles, and returns them sorted, each once, never nil.
func CleanRoles(roles []string) ([]string, error) {
	if len(roles) > MaxRoles {
		return nil, fmt.Errorf("%w roles: there are %d, at most %d are allowed", ErrInvalid, len(roles), MaxRoles)
	}
	clean := append(make([]string, 0, len(roles)), roles...)
	for _, role := range clean {
		if n := utf8.RuneCountInString(role); n < 1 || n > MaxRole || !utf8.ValidString(role) {
			return nil, fmt.Errorf("%w role: must have 1 to %d characters", ErrInvalid, MaxRole)
		}
		if strings.ContainsFunc(role, func(r rune) bool { return !unicode.IsPrint(r) || unicode.IsSpace(r) }) {
			return nil, fmt.Errorf("%w role %q: must not hold spaces or control characters", ErrInvalid, role)
		}
	}
	slices.Sort(clean)
	return slices.Compact(clean), nil
}

// Fold maps all spellings of a name that differ in case alone to one, as [strings.EqualFold] compares.
func Fold(name string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
			least = min(least, next)
		}
		if least >= 'A' && least <= 'Z' {
			least += 'a' - 'A' // reads better in keys
		}
		return least
	}, name)
}

// The first tokens of the keys that hold accounts.
const (
	keyName = "name."
	keyHash = "hash."
)

// key is where the account of a name lies: name.<name as a subject token>, so that an operator can read it
// in "nats kv ls", and for names too long for a token the hash of the name.
func key(name string) string {
	folded := Fold(name)
	if token, err := contract.EncodeToken(folded); err == nil {
		return keyName + token
	}
	sum := sha256.Sum256([]byte(folded))
	return keyHash + hex.EncodeToString(sum[:])
}

// Package tokens issues and verifies the tokens of signed-in users: JSON Web Tokens (RFC 7519) signed with
// Ed25519 (RFC 8037). The algorithm is pinned: no other is accepted, whatever a token's header says
// (RFC 8725, section 3.1).
//
// It does not know whether the user still exists: who admits somebody looks the account up.
package tokens

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// MaxSize is the greatest length in bytes of a token; none that is issued comes near.
const MaxSize = 8192

var (
	// ErrExpired says that a token was good once.
	ErrExpired = errors.New("the token has expired")
	// ErrInvalid says that a token was not issued here, or was changed since.
	ErrInvalid = errors.New("the token is not valid")
)

// Identity is whom a token speaks for.
type Identity struct {
	User  string   // id
	Name  string   // the account's
	Roles []string // when the token was issued; the account's current ones count
}

// Token is a verified token.
type Token struct {
	Identity
	Issued  time.Time
	Expires time.Time
}

// Issuer issues and verifies tokens. Its methods may be called concurrently.
type Issuer struct {
	key      Key
	name     string
	lifetime time.Duration
	now      func() time.Time
	parser   *jwt.Parser
}

// NewIssuer returns an issuer with a name, which goes into the claim iss and tells deployments apart.
func NewIssuer(key Key, name string, lifetime time.Duration) *Issuer {
	i := &Issuer{key: key, name: name, lifetime: lifetime, now: time.Now}
	i.parser = jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}),
		jwt.WithIssuer(name),
		jwt.WithExpirationRequired(),
		jwt.WithStrictDecoding(),
		jwt.WithTimeFunc(func() time.Time { return i.now() }),
	)
	return i
}

// claims are the token's content.
type claims struct {
	Name  string   `json:"name"`
	Roles []string `json:"roles"`
	jwt.RegisteredClaims
}

// Issue makes a token and says when it expires.
func (i *Issuer) Issue(id Identity) (string, time.Time, error) {
	now := i.now().UTC()
	expires := now.Add(i.lifetime).Truncate(time.Second)
	t := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims{Name: id.Name, Roles: id.Roles, RegisteredClaims: jwt.RegisteredClaims{
		Issuer:    i.name,
		Subject:   id.User,
		IssuedAt:  jwt.NewNumericDate(now),
		ExpiresAt: jwt.NewNumericDate(expires),
	}})
	t.Header["kid"] = i.key.id
	signed, err := t.SignedString(i.key.private)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("signing a token: %w", err)
	}
	return signed, expires, nil
}

// Verify checks a token. It fails with [ErrExpired] only for a token that is genuine otherwise, and with
// [ErrInvalid] for any other.
func (i *Issuer) Verify(token string) (Token, error) {
	if len(token) > MaxSize {
		return Token{}, fmt.Errorf("%w: it has %d bytes, at most %d are possible", ErrInvalid, len(token), MaxSize)
	}
	var c claims
	_, err := i.parser.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
		if kid, _ := t.Header["kid"].(string); kid != i.key.id {
			return nil, errors.New("it was signed with another key")
		}
		return i.key.private.Public().(ed25519.PublicKey), nil
	})
	switch {
	case errors.Is(err, jwt.ErrTokenExpired) && !errors.Is(err, jwt.ErrTokenInvalidIssuer):
		return Token{}, ErrExpired
	case err != nil:
		return Token{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	case c.Subject == "" || c.Name == "" || c.IssuedAt == nil:
		return Token{}, fmt.Errorf("%w: it names no user", ErrInvalid)
	}
	return Token{
		Identity: Identity{User: c.Subject, Name: c.Name, Roles: c.Roles},
		Issued:   c.IssuedAt.Time,
		Expires:  c.ExpiresAt.Time,
	}, nil
}

// Package middleware decides whether a client may enter a namespace: whom the token in its handshake speaks
// for, and whether that account still exists.
//
// It does not know which role a namespace asks for; the gateway compares. It does not talk to NATS.
package middleware

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/auth/internal/accounts"
	"github.com/natter-io/natter/services/auth/internal/tokens"
)

// Messages of refusals: connect_error's err.message.
const (
	MessageNoToken   = "sign in first: the handshake carries no token"
	MessageExpired   = "the token has expired, sign in again"
	MessageDeleted   = "this account was deleted"
	MessageInvalid   = "the token is not valid"
	MessageReset     = "the password was reset, sign in again"
	MessageMalformed = "the request to enter is malformed"
)

// Accounts finds accounts; see [accounts.Store.Find].
type Accounts interface {
	Find(ctx context.Context, id, name string) (accounts.Account, error)
}

// Verifier verifies tokens; see [tokens.Issuer.Verify].
type Verifier interface {
	Verify(token string) (tokens.Token, error)
}

// Middleware answers requests to enter. Its methods may be called concurrently.
type Middleware struct {
	accounts Accounts
	tokens   Verifier
}

// New returns a middleware.
func New(a Accounts, t Verifier) *Middleware { return &Middleware{accounts: a, tokens: t} }

// Answer decides on a request, the JSON of a [contract.Entry].
//
// An error means that it cannot tell, because accounts cannot be read. Then there must be no answer at all:
// the gateway asks again and admits nobody meanwhile, while a refusal would be final for a stock client.
func (m *Middleware) Answer(ctx context.Context, request []byte) (contract.Admission, error) {
	token, err := tokenOf(request)
	switch {
	case errors.Is(err, errNoToken):
		return refuse(MessageNoToken, contract.CodeUnauthorized), nil
	case errors.Is(err, errBadToken):
		return refuse(MessageInvalid, contract.CodeUnauthorized), nil
	case err != nil:
		return refuse(MessageMalformed, contract.CodeInvalid), nil
	}
	t, err := m.tokens.Verify(token)
	switch {
	case errors.Is(err, tokens.ErrExpired):
		return refuse(MessageExpired, contract.CodeUnauthorized), nil
	case err != nil:
		return refuse(MessageInvalid, contract.CodeUnauthorized), nil
	}
	account, err := m.accounts.Find(ctx, t.User, t.Name)
	switch {
	case errors.Is(err, accounts.ErrNotFound):
		return refuse(MessageDeleted, contract.CodeUnauthorized), nil
	case err != nil:
		return contract.Admission{}, fmt.Errorf("looking up the user %s: %w", t.User, err)
	case t.Issued.Before(account.NotBefore):
		return refuse(MessageReset, contract.CodeUnauthorized), nil
	}
	return admit(account, t.Expires), nil
}

func admit(a accounts.Account, expires time.Time) contract.Admission {
	return contract.Admission{OK: true, User: a.ID, Name: a.Name, Roles: a.Roles, Expires: expires.UTC()}
}

func refuse(message, code string) contract.Admission {
	return contract.Admission{Message: message, Data: json.RawMessage(`{"code":"` + code + `"}`)}
}

var (
	errNoToken  = errors.New("no token")
	errBadToken = errors.New("the token is no string")
	errNoEntry  = errors.New("no request to enter")
)

// tokenOf takes handshake.auth.token out of a request. What else a client gave as auth is its own affair.
func tokenOf(request []byte) (string, error) {
	var entry contract.Entry
	if err := json.Unmarshal(request, &entry); err != nil {
		return "", fmt.Errorf("%w: %w", errNoEntry, err)
	}
	if entry.Namespace == "" {
		return "", fmt.Errorf("%w: it names no namespace", errNoEntry)
	}
	// A map, since struct fields would match other spellings of "token" too.
	var auth map[string]json.RawMessage
	if err := json.Unmarshal(entry.Handshake.Auth, &auth); err != nil {
		return "", errNoToken // auth is no object: the client says something else with it
	}
	value, ok := auth["token"]
	if !ok || bytes.Equal(value, []byte("null")) {
		return "", errNoToken
	}
	var token string
	if err := json.Unmarshal(value, &token); err != nil {
		return "", errBadToken
	}
	if token == "" {
		return "", errNoToken
	}
	return token, nil
}

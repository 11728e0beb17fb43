// Package reply says errors to callers: which code and message they get, and that they get no more than they
// should know. It also reads their requests, where most of these errors come from.
//
// It does not know how replies travel.
package reply

import (
	"errors"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/auth/internal/accounts"
	"github.com/natter-io/natter/services/auth/internal/login"
	"github.com/natter-io/natter/services/auth/internal/passwords"
)

// invalidError says what is wrong with a request, for who wrote it.
type invalidError struct{ message string }

func (e *invalidError) Error() string { return e.message }

// Invalid is the error of a request that is malformed. The message is for who wrote it.
func Invalid(message string) error { return &invalidError{message} }

// NotFoundError says that something other than a user does not exist. It is for who asked.
type NotFoundError struct{ What string }

// Error says what does not exist.
func (e *NotFoundError) Error() string { return "there is no " + e.What }

// Refusal is what a caller is told about an error, and whether it tells everything. If not, the error is one
// of this service or its surroundings: it belongs into the log.
func Refusal(err error) (r contract.Refusal, complete bool) {
	var invalid *invalidError
	var missing *NotFoundError
	var limited *login.RateError
	switch {
	case errors.As(err, &invalid):
		return contract.Refuse(contract.CodeInvalid, invalid.message), true
	case errors.As(err, &missing):
		return contract.Refuse(contract.CodeNotFound, missing.Error()), true
	case errors.As(err, &limited):
		return contract.Refuse(contract.CodeRateLimited, limited.Error()), true
	case errors.Is(err, login.ErrWrong):
		return contract.Refuse(contract.CodeUnauthorized, login.ErrWrong.Error()), true
	case errors.Is(err, accounts.ErrInvalid), errors.Is(err, passwords.ErrUnusable):
		return contract.Refuse(contract.CodeInvalid, err.Error()), true
	case errors.Is(err, accounts.ErrExists):
		return contract.Refuse(contract.CodeConflict, err.Error()), true
	case errors.Is(err, accounts.ErrNotFound):
		return contract.Refuse(contract.CodeNotFound, "there is no user with this id"), true
	case errors.Is(err, accounts.ErrLastAdmin):
		return contract.Refuse(contract.CodeConflict, "the last admin cannot be deleted: give somebody else the role first"), true
	}
	return contract.Refuse(contract.CodeUnavailable, "this cannot be done at the moment: try again"), false
}

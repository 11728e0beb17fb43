package contract

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxUser is the greatest length in bytes of a user's id once encoded as a token: [UserRoom] must be the name of a
// room. It also keeps ids well below what databases take as a key.
const MaxUser = MaxToken - len("user=3A")

// ErrBadUser says that a string cannot be a user's id.
var ErrBadUser = errors.New("not a user id")

// CheckUser says what is wrong with a user's id, as a middleware gives it and as it stands in [HeaderUser]: it is text
// (UTF-8 without NUL, which databases do not take) that needs 1 to [MaxUser] bytes as a token. Errors wrap
// [ErrBadUser].
func CheckUser(id string) error {
	switch {
	case id == "":
		return fmt.Errorf("%w: it is empty", ErrBadUser)
	case !utf8.ValidString(id) || strings.IndexByte(id, 0) >= 0:
		return fmt.Errorf("%w: %s is not UTF-8 text without NUL", ErrBadUser, clip(id))
	}
	if _, err := EncodeToken(UserRoom(id)); err != nil {
		return fmt.Errorf("%w: %s needs more than %d bytes as a token (bytes outside A-Z a-z 0-9 _ - need three each)", ErrBadUser, clip(id), MaxUser)
	}
	return nil
}

package contract

import (
	"errors"
	"strings"
	"testing"
)

func TestUserIDs(t *testing.T) {
	for id, ok := range map[string]bool{
		"":                               false,
		"u1":                             true,
		"ann@example.com":                true,
		"J\u00fcrgen":                    true,
		strings.Repeat("x", MaxUser):     true,
		strings.Repeat("x", MaxUser+1):   false,
		strings.Repeat(" ", MaxUser/3):   true,
		strings.Repeat(" ", MaxUser/3+1): false,
		"a\x00b":                         false,
		"a\xffb":                         false,
		strings.Repeat("x", 60_000):      false,
	} {
		err := CheckUser(id)
		if (err == nil) != ok || err != nil && (!errors.Is(err, ErrBadUser) || len(err.Error()) > 200) {
			t.Errorf("CheckUser(%.40q) = %v; want that it is %t", id, err, ok)
		}
		if _, roomErr := EncodeToken(UserRoom(id)); err == nil && roomErr != nil {
			t.Errorf("%.40q may be a user, and has no room: %v", id, roomErr)
		}
	}
}

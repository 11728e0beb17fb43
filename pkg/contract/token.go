package contract

import (
	"errors"
	"fmt"
	"strings"
)

// MaxToken is the greatest length in bytes of an encoded token. A subject longer than the NATS control
// line (4096 bytes) closes the publisher's whole connection, so names are refused long before.
const MaxToken = 128

var (
	// ErrTokenTooLong says that a name does not fit into [MaxToken] bytes once encoded.
	ErrTokenTooLong = errors.New("name too long")
	// ErrBadToken says that a subject token is not something that [EncodeToken] writes.
	ErrBadToken = errors.New("malformed token")
)

const upperHex = "0123456789ABCDEF"

// emptyToken stands for the empty name: NATS has no empty tokens.
const emptyToken = "="

// EncodeToken turns any name (a room, an event) into one subject token. Bytes outside [A-Za-z0-9_-]
// become =XX in upper-case hexadecimal, the empty name becomes "=". The result is also a legal KV key.
// It fails with [ErrTokenTooLong] when the result is longer than [MaxToken].
func EncodeToken(name string) (string, error) {
	if name == "" {
		return emptyToken, nil
	}
	escapes := 0
	for i := 0; i < len(name); i++ {
		if !plain(name[i]) {
			escapes++
		}
	}
	size := len(name) + 2*escapes
	if size > MaxToken {
		return "", fmt.Errorf("%w: %s needs %d bytes as a subject token, at most %d are allowed", ErrTokenTooLong, clip(name), size, MaxToken)
	}
	if escapes == 0 {
		return name, nil
	}
	var b strings.Builder
	b.Grow(size)
	for i := 0; i < len(name); i++ {
		if c := name[i]; plain(c) {
			b.WriteByte(c)
		} else {
			b.WriteByte('=')
			b.WriteByte(upperHex[c>>4])
			b.WriteByte(upperHex[c&15])
		}
	}
	return b.String(), nil
}

// DecodeToken is the inverse of [EncodeToken]. It accepts the canonical spelling only, so that a name has
// exactly one subject; anything else fails with [ErrBadToken].
func DecodeToken(token string) (string, error) {
	if token == emptyToken {
		return "", nil
	}
	if token == "" || len(token) > MaxToken {
		return "", fmt.Errorf("%w: %s has %d bytes, 1 to %d are allowed", ErrBadToken, clip(token), len(token), MaxToken)
	}
	if strings.IndexByte(token, '=') < 0 {
		for i := 0; i < len(token); i++ {
			if !plain(token[i]) {
				return "", fmt.Errorf("%w: %s holds a byte that must be written as =%02X", ErrBadToken, clip(token), token[i])
			}
		}
		return token, nil
	}
	var b strings.Builder
	b.Grow(len(token))
	for i := 0; i < len(token); i++ {
		c := token[i]
		if plain(c) {
			b.WriteByte(c)
			continue
		}
		if c != '=' || i+2 >= len(token) {
			return "", fmt.Errorf("%w: %s: bytes other than A-Z a-z 0-9 _ - are written as = and two hexadecimal digits", ErrBadToken, clip(token))
		}
		hi, lo := strings.IndexByte(upperHex, token[i+1]), strings.IndexByte(upperHex, token[i+2])
		if hi < 0 || lo < 0 {
			return "", fmt.Errorf("%w: %s: =%s is not = and two upper-case hexadecimal digits", ErrBadToken, clip(token), token[i+1:i+3])
		}
		c = byte(hi<<4 | lo)
		if plain(c) {
			return "", fmt.Errorf("%w: %s: %q needs no escape", ErrBadToken, clip(token), string(rune(c)))
		}
		b.WriteByte(c)
		i += 2
	}
	return b.String(), nil
}

// mainNamespace is the token of the main namespace, "/".
const mainNamespace = "_"

// EncodeNamespace turns a namespace ("/", "/admin") into its subject token: the leading slash is dropped,
// the main namespace is "_", and a namespace whose name is "_" becomes "=5F".
func EncodeNamespace(namespace string) (string, error) {
	name, ok := strings.CutPrefix(namespace, "/")
	switch {
	case !ok:
		return "", fmt.Errorf("namespace %s: must begin with a slash", clip(namespace))
	case name == "":
		return mainNamespace, nil
	case name == mainNamespace:
		return "=5F", nil
	}
	token, err := EncodeToken(name)
	if err != nil {
		return "", fmt.Errorf("namespace: %w", err)
	}
	return token, nil
}

// DecodeNamespace is the inverse of [EncodeNamespace].
func DecodeNamespace(token string) (string, error) {
	switch token {
	case mainNamespace:
		return "/", nil
	case "=5F":
		return "/_", nil
	case emptyToken:
		return "", fmt.Errorf("namespace: %w: the main namespace is written %s", ErrBadToken, mainNamespace)
	}
	name, err := DecodeToken(token)
	if err != nil {
		return "", fmt.Errorf("namespace: %w", err)
	}
	return "/" + name, nil
}

// plain says whether c stands for itself in a token.
func plain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// clip quotes a name for an error message, shortened so that the message stays one line.
func clip(s string) string {
	if len(s) > 40 {
		return fmt.Sprintf("%q…", s[:40])
	}
	return fmt.Sprintf("%q", s)
}

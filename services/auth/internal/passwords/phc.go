package passwords

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// ErrBadHash says that a stored hash is not a PHC string of argon2id, or asks for more than this service
// is willing to spend on it.
var ErrBadHash = errors.New("malformed password hash")

// params are the costs of one hash.
type params struct {
	memory  uint32 // KiB
	time    uint32 // passes
	threads uint8
}

// current is what new hashes are made with: argon2id with 19 MiB, two passes and one thread, as recommended
// by the OWASP Password Storage Cheat Sheet
// (https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html#argon2id).
var current = params{memory: 19 * 1024, time: 2, threads: 1}

// largest bounds what a stored hash may ask for, so that a damaged or planted record cannot exhaust memory.
var largest = params{memory: 256 * 1024, time: 16, threads: 16}

const (
	saltSize = 16 // bytes, as RFC 9106 section 3.1 recommends
	keySize  = 32 // bytes
)

// hashed is a PHC string taken apart.
type hashed struct {
	params
	salt, key []byte
}

// derive makes a fresh hash of the password.
func derive(password string) hashed {
	h := hashed{params: current, salt: make([]byte, saltSize)}
	rand.Read(h.salt) // never fails: crypto/rand ends the program instead
	h.key = h.compute(password, keySize)
	return h
}

func (h hashed) compute(password string, size int) []byte {
	return argon2.IDKey([]byte(password), h.salt, h.time, h.memory, h.threads, uint32(size))
}

// matches compares in constant time.
func (h hashed) matches(password string) bool {
	return subtle.ConstantTimeCompare(h.key, h.compute(password, len(h.key))) == 1
}

// String writes the PHC string:
// $argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>, both in base64 without padding
// (https://github.com/P-H-C/phc-string-format/blob/master/phc-sf-spec.md).
func (h hashed) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.time, h.threads, b64.EncodeToString(h.salt), b64.EncodeToString(h.key))
}

// parse reads what [hashed.String] writes. Its errors wrap [ErrBadHash] and do not show the hash.
func parse(phc string) (hashed, error) {
	fields := strings.Split(phc, "$")
	if len(fields) != 6 || fields[0] != "" || fields[1] != "argon2id" || fields[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return hashed{}, fmt.Errorf("%w: want $argon2id$v=%d$m=…,t=…,p=…$salt$hash", ErrBadHash, argon2.Version)
	}
	var h hashed
	if n, err := fmt.Sscanf(fields[3], "m=%d,t=%d,p=%d", &h.memory, &h.time, &h.threads); n != 3 || err != nil || fields[3] != fmt.Sprintf("m=%d,t=%d,p=%d", h.memory, h.time, h.threads) {
		return hashed{}, fmt.Errorf("%w: the costs are not m=…,t=…,p=…", ErrBadHash)
	}
	// RFC 9106 section 3.1: at least one pass, one lane, and 8 KiB a lane.
	if h.time < 1 || h.threads < 1 || h.memory < 8*uint32(h.threads) || h.time > largest.time || h.threads > largest.threads || h.memory > largest.memory {
		return hashed{}, fmt.Errorf("%w: costs %s are out of bounds", ErrBadHash, fields[3])
	}
	var err1, err2 error
	h.salt, err1 = base64.RawStdEncoding.Strict().DecodeString(fields[4])
	h.key, err2 = base64.RawStdEncoding.Strict().DecodeString(fields[5])
	// Line breaks, which the decoder passes over, are no part of it.
	if err1 != nil || err2 != nil || strings.ContainsAny(phc, "\r\n") || len(h.salt) < 8 || len(h.salt) > 64 || len(h.key) < 16 || len(h.key) > 64 {
		return hashed{}, fmt.Errorf("%w: salt or hash is not base64 of a usable length", ErrBadHash)
	}
	return h, nil
}

package contract

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// An application id tells JetStream that an event which is said again is the same one: who said it gave it the id, and
// gives it again when no ack came. [Rule.ID] says where it stands.

// MaxApplicationID is the greatest length of an application id, in bytes.
const MaxApplicationID = 128

// ErrBadApplicationID says that what stands in an application id's place is none.
var ErrBadApplicationID = fmt.Errorf("not an application id: want a string of 1 to %d bytes", MaxApplicationID)

// IDPath is where an application id stands in an event: in one of its arguments, or in a field of it.
type IDPath struct {
	Arg    int      // counted from 0, without the event's name
	Fields []string // names of fields, from the outside in; none if the argument itself is the id
}

var errIDPath = errors.New(`want args[1], or args[1].id for a field of the argument`)

// ParseIDPath reads args[<n>] and args[<n>].<field>.<field>…, as [Rule.ID] has it.
func ParseIDPath(text string) (IDPath, error) {
	rest, ok := strings.CutPrefix(text, "args[")
	index, rest, closed := strings.Cut(rest, "]")
	n, err := strconv.Atoi(index)
	if !ok || !closed || err != nil || n < 0 || n > maxArgs || strconv.Itoa(n) != index {
		return IDPath{}, fmt.Errorf("%s: %w", clip(text), errIDPath)
	}
	p := IDPath{Arg: n}
	if rest == "" {
		return p, nil
	}
	fields := strings.Split(rest, ".")
	p.Fields = fields[1:]
	if fields[0] != "" || len(p.Fields) == 0 || len(p.Fields) > 8 || strings.Contains(rest, "..") || strings.HasSuffix(rest, ".") {
		return IDPath{}, fmt.Errorf("%s: %w", clip(text), errIDPath)
	}
	return p, nil
}

// String is what [ParseIDPath] reads.
func (p IDPath) String() string {
	text := "args[" + strconv.Itoa(p.Arg) + "]"
	for _, field := range p.Fields {
		text += "." + field
	}
	return text
}

// Find returns the application id in an event's arguments, each of which is JSON; "" if there is none, which is no
// error: the argument or field is missing or null. It fails with [ErrBadApplicationID].
func (p IDPath) Find(args [][]byte) (string, error) {
	if p.Arg >= len(args) {
		return "", nil
	}
	value := json.RawMessage(args[p.Arg])
	for _, field := range p.Fields {
		var object map[string]json.RawMessage
		if json.Unmarshal(value, &object) != nil {
			return "", nil // no object, so that there is no such field
		}
		if value = object[field]; value == nil {
			return "", nil
		}
	}
	if bytes.Equal(bytes.TrimSpace(value), []byte("null")) {
		return "", nil
	}
	var id string
	if json.Unmarshal(value, &id) != nil || id == "" || len(id) > MaxApplicationID || !utf8.ValidString(id) {
		return "", fmt.Errorf("%s: %w", p, ErrBadApplicationID)
	}
	return id, nil
}

// Author is who gave an application id: ids of different authors never mean the same event, so that nobody can have
// JetStream take what another says for a duplicate.
type Author struct {
	kind, id string
}

// ByUser is a verified user, on any number of connections.
func ByUser(user string) Author { return Author{"user", user} }

// ByGuest is a client without a verified user. The secret is known to the client and to gateways alone.
func ByGuest(secret string) Author { return Author{"guest", secret} }

// ByService is all instances of a service, by its name.
func ByService(name string) Author { return Author{"service", name} }

// MsgID makes the Nats-Msg-Id of an event: the same for the same author, subject (rooms, of the target many) and
// application id, and else another. It is 43 characters of A-Z a-z 0-9 _ - whatever these are, and tells none of them.
func MsgID(by Author, subject, rooms, id string) string {
	h := sha256.New()
	for _, part := range []string{by.kind, by.id, subject, rooms, id} {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write([]byte(part))
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

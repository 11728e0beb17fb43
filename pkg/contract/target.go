package contract

import (
	"errors"
	"fmt"
	"strings"
)

// Target says which sockets of a namespace a subject means. The zero value is every socket.
type Target struct {
	rooms []string
}

// All means every socket of the namespace.
func All() Target { return Target{} }

// To means the sockets in any of the rooms, each socket once. A name in the form of a socket id means that
// socket, as io.to(id) does in Socket.IO. Without rooms it means every socket.
func To(rooms ...string) Target { return Target{rooms: rooms} }

// Rooms are the rooms and socket ids of the target; none means every socket.
func (t Target) Rooms() []string { return t.rooms }

// IsAll says whether the target is every socket of the namespace.
func (t Target) IsAll() bool { return len(t.rooms) == 0 }

// IsMany says whether the target's rooms travel in the header [HeaderRooms].
func (t Target) IsMany() bool { return len(t.rooms) > 1 }

// Socket is the socket's id when the target is exactly one socket, else "".
func (t Target) Socket() string {
	if len(t.rooms) == 1 && IsSocketID(t.rooms[0]) {
		return t.rooms[0]
	}
	return ""
}

// The first token of a target.
const (
	TargetAll    = "all"
	TargetRoom   = "room"
	TargetSocket = "socket"
	TargetMany   = "many"
)

// tokens writes the target as the last tokens of a subject.
func (t Target) tokens() (string, error) {
	switch {
	case t.IsAll():
		return TargetAll, nil
	case t.IsMany():
		return TargetMany, nil
	case t.Socket() != "":
		return TargetSocket + "." + t.rooms[0], nil
	}
	token, err := EncodeToken(t.rooms[0])
	if err != nil {
		return "", fmt.Errorf("room: %w", err)
	}
	return TargetRoom + "." + token, nil
}

// String is the target as it stands in a subject, for logs.
func (t Target) String() string {
	s, err := t.tokens()
	if err != nil {
		return "invalid"
	}
	return s
}

// parseTarget reads the tokens of a target. The rooms of "many" stand in a header and are not known here:
// the result then has no rooms and many is true.
func parseTarget(tokens []string) (t Target, many bool, err error) {
	switch {
	case len(tokens) == 1 && tokens[0] == TargetAll:
		return All(), false, nil
	case len(tokens) == 1 && tokens[0] == TargetMany:
		return Target{}, true, nil
	case len(tokens) == 2 && tokens[0] == TargetRoom:
		room, err := DecodeToken(tokens[1])
		if err != nil {
			return Target{}, false, fmt.Errorf("room: %w", err)
		}
		if IsSocketID(room) {
			return Target{}, false, fmt.Errorf("%w: a room's name cannot have the form of a socket id; write %s.%s", ErrBadSubject, TargetSocket, room)
		}
		return To(room), false, nil
	case len(tokens) == 3 && tokens[0] == TargetSocket:
		id := tokens[1] + "." + tokens[2]
		if !IsSocketID(id) {
			return Target{}, false, fmt.Errorf("%w: %s is not a socket id", ErrBadSubject, clip(id))
		}
		return To(id), false, nil
	}
	return Target{}, false, fmt.Errorf("%w: target %s: must be all, room.<room>, socket.<gateway>.<id> or many", ErrBadSubject, clip(strings.Join(tokens, ".")))
}

// SocketIDLength is the length of the second part of a socket id, which Engine.IO draws at random.
const SocketIDLength = 20

// MaxGatewayID is the greatest length of a gateway's id, the first part of a socket id.
const MaxGatewayID = 32

// ErrBadSocketID says that a string has not the form of a socket id.
var ErrBadSocketID = errors.New("not a socket id")

// IsSocketID says whether s has the form of a socket id, <gateway>.<id>: the gateway's id, a dot, and
// [SocketIDLength] characters, all of A-Z a-z 0-9 _ -.
func IsSocketID(s string) bool {
	_, _, err := SplitSocketID(s)
	return err == nil
}

// SplitSocketID takes a socket id apart.
func SplitSocketID(s string) (gateway, id string, err error) {
	gateway, id, ok := strings.Cut(s, ".")
	if !ok || !ValidGatewayID(gateway) || len(id) != SocketIDLength || !allPlain(id) {
		return "", "", fmt.Errorf("%w: %s: want <gateway>.<%d characters>", ErrBadSocketID, clip(s), SocketIDLength)
	}
	return gateway, id, nil
}

// ValidGatewayID says whether s can be a gateway's id: 1 to [MaxGatewayID] characters of A-Z a-z 0-9 _ -.
func ValidGatewayID(s string) bool {
	return s != "" && len(s) <= MaxGatewayID && allPlain(s)
}

func allPlain(s string) bool {
	for i := 0; i < len(s); i++ {
		if !plain(s[i]) {
			return false
		}
	}
	return true
}

// userRoomPrefix begins the name of a room that holds the sockets of one signed-in user.
const userRoomPrefix = "user:"

// UserRoom is the room that gateways put every socket of a verified user into, in each namespace. Clients
// cannot join it by a rule.
func UserRoom(user string) string { return userRoomPrefix + user }

// IsReservedRoom says whether only gateways and services may put sockets into the room: a user's room
// (see [UserRoom]) and names in the form of a socket id.
func IsReservedRoom(room string) bool {
	return strings.HasPrefix(room, userRoomPrefix) || IsSocketID(room)
}

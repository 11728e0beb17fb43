package contract

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Kind is the second token of a subject: what a message is for.
type Kind string

// The kinds of the contract. docs/contract.md has payload, reply and headers of each.
const (
	Use      Kind = "use"      // gateway asks: may this client enter the namespace?
	Allow    Kind = "allow"    // gateway asks: may this client connect at all?
	On       Kind = "on"       // a client said this, or a socket's life: connect, disconnecting, disconnect
	Room     Kind = "room"     // who comes into rooms and leaves them
	Take     Kind = "take"     // gateway asks: which instance of a service takes this socket?
	Alive    Kind = "alive"    // an instance that takes sockets is there, or leaves
	Emit     Kind = "emit"     // say this to clients; stored for the recovery window
	Post     Kind = "post"     // the same, and keep it: history
	Do       Kind = "do"       // act on sockets: join, leave, disconnect
	Live     Kind = "live"     // what gateways deliver: JetStream's republish of the three above
	Volatile Kind = "volatile" // now or never
	Ask      Kind = "ask"      // emit with acks
	List     Kind = "list"     // fetch sockets
	Server   Kind = "server"   // back ends among themselves
	Auth     Kind = "auth"     // the auth service's endpoints
	History  Kind = "history"  // the history service's endpoints
	Event    Kind = "event"    // facts between services
	Gateway  Kind = "gateway"  // between gateways alone: requests that reached another gateway than their session
)

// ErrBadSubject says that a subject is none of the contract.
var ErrBadSubject = errors.New("subject outside the contract")

// Subjects builds and parses the subjects under one prefix. The zero value uses [DefaultPrefix]. It is a
// value: copy it freely.
type Subjects struct{ prefix string }

// NewSubjects returns the subjects under the prefix, one token of A-Z a-z 0-9 _ -.
func NewSubjects(prefix string) (Subjects, error) {
	if prefix == "" || len(prefix) > 32 || !allPlain(prefix) {
		return Subjects{}, fmt.Errorf("subject prefix %s: must be 1 to 32 characters of A-Z a-z 0-9 _ -", clip(prefix))
	}
	return Subjects{prefix: prefix}, nil
}

// Prefix is the first token of every subject.
func (s Subjects) Prefix() string {
	if s.prefix == "" {
		return DefaultPrefix
	}
	return s.prefix
}

// To is the subject of kind Emit, Post, Do, Live, Volatile, Ask or List for a target in a namespace. The
// rooms of a target with several must also go into the header [HeaderRooms]: see [FormatNames].
func (s Subjects) To(kind Kind, namespace string, target Target) (string, error) {
	ns, err := EncodeNamespace(namespace)
	if err != nil {
		return "", err
	}
	t, err := target.tokens()
	if err != nil {
		return "", err
	}
	return s.Prefix() + "." + string(kind) + "." + ns + "." + t, nil
}

// Use is the subject on which a namespace's middleware is asked.
func (s Subjects) Use(namespace, middleware string) (string, error) {
	ns, err := EncodeNamespace(namespace)
	if err != nil {
		return "", err
	}
	m, err := EncodeToken(middleware)
	if err != nil {
		return "", fmt.Errorf("middleware: %w", err)
	}
	return s.Prefix() + ".use." + ns + "." + m, nil
}

// UseAny matches the requests to a middleware from every namespace.
func (s Subjects) UseAny(middleware string) (string, error) {
	m, err := EncodeToken(middleware)
	if err != nil {
		return "", fmt.Errorf("middleware: %w", err)
	}
	return s.Prefix() + ".use.*." + m, nil
}

// Allow is the subject on which the service of the name, any name, is asked whether a client may connect.
func (s Subjects) Allow(name string) (string, error) {
	token, err := EncodeToken(name)
	if err != nil {
		return "", fmt.Errorf("name: %w", err)
	}
	return s.Prefix() + "." + string(Allow) + "." + token, nil
}

// On is the subject of an event from a socket.
func (s Subjects) On(namespace, event, socket string) (string, error) {
	ns, err := EncodeNamespace(namespace)
	if err != nil {
		return "", err
	}
	e, err := EncodeToken(event)
	if err != nil {
		return "", fmt.Errorf("event: %w", err)
	}
	if !IsSocketID(socket) {
		return "", fmt.Errorf("%w: %s", ErrBadSocketID, clip(socket))
	}
	return s.Prefix() + ".on." + ns + "." + e + "." + socket, nil
}

// Server is the subject of an event that back ends say to each other.
func (s Subjects) Server(namespace, event string) (string, error) {
	ns, err := EncodeNamespace(namespace)
	if err != nil {
		return "", err
	}
	e, err := EncodeToken(event)
	if err != nil {
		return "", fmt.Errorf("event: %w", err)
	}
	return s.Prefix() + ".server." + ns + "." + e, nil
}

// Room is the subject of one of the room events, such as [EventJoinRoom], at a gateway.
func (s Subjects) Room(namespace, event, room, gateway string) (string, error) {
	ns, err := EncodeNamespace(namespace)
	if err != nil {
		return "", err
	}
	r, err := EncodeToken(room)
	if err != nil {
		return "", fmt.Errorf("room: %w", err)
	}
	if !ValidGatewayID(gateway) || !slices.Contains(roomEvents, event) {
		return "", fmt.Errorf("%w: room event %s of the gateway %s", ErrBadSubject, clip(event), clip(gateway))
	}
	return s.Prefix() + ".room." + ns + "." + event + "." + r + "." + gateway, nil
}

// RoomAny matches the room events of a namespace; for a pattern those of every namespace, as [Subjects.OnAny] does.
func (s Subjects) RoomAny(namespace string) (string, error) {
	ns, err := EncodeNamespace(namespace)
	if err != nil {
		return "", err
	}
	if IsPattern(namespace) {
		ns = "*"
	}
	return s.Prefix() + ".room." + ns + ".>", nil
}

// OnAny matches every event of a namespace from every socket; with an event, that event only. For a pattern it
// matches those of every namespace: tell them by [HeaderPattern].
func (s Subjects) OnAny(namespace string, event ...string) (string, error) {
	ns, err := subscribed(namespace)
	if err != nil {
		return "", err
	}
	if len(event) == 0 {
		return s.Prefix() + ".on." + ns + ".>", nil
	}
	e, err := EncodeToken(event[0])
	if err != nil {
		return "", fmt.Errorf("event: %w", err)
	}
	return s.Prefix() + ".on." + ns + "." + e + ".>", nil
}

// EveryTarget matches what is said with the kind to a target of the form in every namespace: for
// [TargetRoom] every room, for [TargetSocket] the sockets of the gateway.
func (s Subjects) EveryTarget(kind Kind, form, gateway string) string {
	subject := s.Prefix() + "." + string(kind) + ".*." + form
	switch form {
	case TargetRoom:
		return subject + ".*"
	case TargetSocket:
		return subject + "." + gateway + ".*"
	}
	return subject
}

// Within matches what is said with the kind to a namespace or pattern, but for single sockets: three subjects.
func (s Subjects) Within(kind Kind, namespace string) ([]string, error) {
	ns, err := EncodeNamespace(namespace)
	if err != nil {
		return nil, err
	}
	head := s.Prefix() + "." + string(kind) + "." + ns + "."
	return []string{head + TargetAll, head + TargetMany, head + TargetRoom + ".*"}, nil
}

// Fence is a subject of the main stream that reaches nobody: gateways publish there what JetStream must refuse, to learn
// its last sequence, and store an empty message there now and then if the stream has replicas, which says how far
// a replica is. "=fence" is no namespace's token.
func (s Subjects) Fence() string { return s.Prefix() + ".do.=fence.all" }

// AllOf matches every subject of a kind.
func (s Subjects) AllOf(kind Kind) string { return s.Prefix() + "." + string(kind) + ".>" }

// Endpoint is the subject of an endpoint of the auth or history service, or of a fact between services:
// Endpoint(History, "page") is natter.history.page.
func (s Subjects) Endpoint(kind Kind, name ...string) string {
	return s.Prefix() + "." + string(kind) + "." + strings.Join(name, ".")
}

// Carry is the subject on which the gateway from sends the gateway to what belongs to its sessions: requests
// that clients sent to the wrong one, and the answers. It names no session, since an Engine.IO session's id
// is a secret. Only gateways may publish and subscribe here; with a user of its own each, a gateway publishes
// as itself alone, on natter.gateway.*.carry.<itself>, and subscribes to natter.gateway.<itself>.carry.*. The
// payload is private between gateways of one version.
func (s Subjects) Carry(to, from string) (string, error) {
	for _, id := range []string{to, from} {
		if !ValidGatewayID(id) {
			return "", fmt.Errorf("%w: %s is not a gateway's id", ErrBadSubject, clip(id))
		}
	}
	return s.Prefix() + "." + string(Gateway) + "." + to + ".carry." + from, nil
}

// Claim is the subject on which the gateway from tells the gateway to that it has taken over a socket of its. The
// same permissions as for [Subjects.Carry] apply.
func (s Subjects) Claim(to, from string) (string, error) {
	if !ValidGatewayID(to) || !ValidGatewayID(from) {
		return "", fmt.Errorf("%w: gateways %s and %s", ErrBadSubject, clip(to), clip(from))
	}
	return s.Prefix() + "." + string(Gateway) + "." + to + ".claim." + from, nil
}

// ClaimAny matches what all gateways tell the gateway to by [Subjects.Claim]. The last token is the sender.
func (s Subjects) ClaimAny(to string) string {
	return s.Prefix() + "." + string(Gateway) + "." + to + ".claim.*"
}

// CarryAny matches what all gateways send to the gateway to by [Subjects.Carry]. The last token is the sender.
func (s Subjects) CarryAny(to string) string {
	return s.Prefix() + "." + string(Gateway) + "." + to + ".carry.*"
}

// Parsed is a subject taken apart. Which fields are set depends on the kind.
type Parsed struct {
	Kind       Kind
	Namespace  string
	Target     Target // kinds with a target, and Room; for "many" without its rooms, which stand in a header
	Many       bool   // the target is "many"
	Middleware string // Use
	Event      string // On, Room, Server
	Socket     string // On: the sender's socket id
	Gateway    string // Room: the gateway that says it
	Instance   string // On: the instance that has taken the socket, or ""
	Service    string // Take
}

// Parse takes a subject with a namespace apart: every kind but Allow, Alive, Auth, History, Event and Gateway. It fails with an
// error that wraps [ErrBadSubject] or [ErrBadToken].
func (s Subjects) Parse(subject string) (Parsed, error) {
	tokens := strings.Split(subject, ".")
	if len(tokens) < 4 || tokens[0] != s.Prefix() {
		return Parsed{}, fmt.Errorf("%w: %s: want %s.<kind>.<namespace>.…", ErrBadSubject, clip(subject), s.Prefix())
	}
	p := Parsed{Kind: Kind(tokens[1])}
	var err error
	if p.Namespace, err = DecodeNamespace(tokens[2]); err != nil {
		return Parsed{}, err
	}
	rest := tokens[3:]
	switch p.Kind {
	case Emit, Post, Do, Live, Volatile, Ask, List:
		p.Target, p.Many, err = parseTarget(rest)
	case Use:
		if len(rest) != 1 {
			return Parsed{}, fmt.Errorf("%w: %s: want %s.use.<namespace>.<middleware>", ErrBadSubject, clip(subject), s.Prefix())
		}
		p.Middleware, err = DecodeToken(rest[0])
	case Take:
		if len(rest) != 1 || !ValidService(rest[0]) {
			return Parsed{}, fmt.Errorf("%w: %s: want %s.take.<namespace>.<service>", ErrBadSubject, clip(subject), s.Prefix())
		}
		p.Service = rest[0]
	case Server:
		if len(rest) != 1 {
			return Parsed{}, fmt.Errorf("%w: %s: want %s.server.<namespace>.<event>", ErrBadSubject, clip(subject), s.Prefix())
		}
		p.Event, err = DecodeToken(rest[0])
	case Room:
		if len(rest) != 3 || !slices.Contains(roomEvents, rest[0]) || !ValidGatewayID(rest[2]) {
			return Parsed{}, fmt.Errorf("%w: %s: want %s.room.<namespace>.<event>.<room>.<gateway>, one of the events %v", ErrBadSubject, clip(subject), s.Prefix(), roomEvents)
		}
		p.Event, p.Gateway = rest[0], rest[2]
		var room string
		room, err = DecodeToken(rest[1])
		p.Target = To(room)
	case On:
		if len(rest) == 4 && ValidInstance(rest[3]) {
			p.Instance = rest[3]
			rest = rest[:3]
		}
		if len(rest) != 3 || !IsSocketID(rest[1]+"."+rest[2]) {
			return Parsed{}, fmt.Errorf("%w: %s: want %s.on.<namespace>.<event>.<gateway>.<id>, and an instance if one has taken the socket", ErrBadSubject, clip(subject), s.Prefix())
		}
		p.Socket = rest[1] + "." + rest[2]
		p.Event, err = DecodeToken(rest[0])
	default:
		return Parsed{}, fmt.Errorf("%w: kind %s has no namespace", ErrBadSubject, clip(tokens[1]))
	}
	if err != nil {
		return Parsed{}, err
	}
	return p, nil
}

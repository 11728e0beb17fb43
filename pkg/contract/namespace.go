package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Namespace is the configuration of one namespace, or of all that a pattern stands for ([IsPattern]): who may enter it and what a client's event does. It
// is a file's text in a gateway's configuration and a value in the bucket [Names.Namespaces], which
// gateways watch; a namespace that is not there does not exist.
type Namespace struct {
	// Use names the middlewares that are asked in order: natter.use.<namespace>.<middleware>.
	Use []string `json:"use,omitempty" yaml:"use"`
	// Guests lets clients in without asking a middleware if their handshake's auth has no "token".
	Guests bool `json:"guests,omitempty" yaml:"guests"`
	// Registered names the middlewares that services have added themselves; they are asked after Use, and
	// guests are asked too.
	Registered []string `json:"registered,omitempty" yaml:"-"`
	// HandshakeAuth has services told what clients gave as auth, in connect events and lists. Without it
	// middlewares alone are told, since it holds secrets.
	HandshakeAuth bool `json:"handshakeAuth,omitempty" yaml:"handshakeAuth"`
	// RoomEvents has gateways say who comes into rooms and leaves them: [Room].
	RoomEvents bool `json:"roomEvents,omitempty" yaml:"roomEvents"`
	// Role that the middlewares must have granted; without it the client is refused.
	Role string `json:"role,omitempty" yaml:"role"`
	// Ordered names the service whose instances take the sockets: what a socket says goes to the one instance that has
	// taken it, in order. Empty: the instances of each service share the events.
	Ordered string `json:"ordered,omitempty" yaml:"ordered"`
	// Events says what an event of a client does, by name. What is not named goes to services: [On].
	Events map[string]Rule `json:"events,omitempty" yaml:"events"`
}

// Rule says what a gateway does with one event of a client.
type Rule struct {
	Action Action `json:"action" yaml:"action"`
	// To says who hears a post, emit or volatile: "all" or "room" (the room that the first argument names).
	To string `json:"to,omitempty" yaml:"to"`
	// Args is how many arguments the client must give (not counting the ack); another number is refused,
	// so that the stamp always stands at the same place.
	Args int `json:"args,omitempty" yaml:"args"`
	// ID says where an application id stands ([IDPath]), such as args[1] or args[1].id: a post or emit that is said again
	// with the same id, since no ack came, is stored and heard once. It may be left out. One that stands right behind
	// the Args arguments is not passed on. For Post and Emit.
	ID string `json:"id,omitempty" yaml:"id"`
	// Members demands that the sender is in the room. What concerns history always does.
	Members bool `json:"members,omitempty" yaml:"members"`
	// Except may be "sender": the sender does not hear what it said.
	Except string `json:"except,omitempty" yaml:"except"`
	// Announce tells the room's members when someone comes or goes: the volatile events "joined" and
	// "left" with the room and the stamp. For Join.
	Announce bool `json:"announce,omitempty" yaml:"announce"`
}

// maxArgs is the greatest number of arguments that a rule can ask for.
const maxArgs = 32

// Action is what a rule does with an event.
type Action string

// The actions. The first argument of those that concern a room is its name.
const (
	ActionPost     Action = "post"     // store, deliver and keep
	ActionEmit     Action = "emit"     // store and deliver
	ActionVolatile Action = "volatile" // deliver to who is there
	ActionJoin     Action = "join"     // the sender enters the room
	ActionLeave    Action = "leave"    // the sender leaves the room
	ActionWho      Action = "who"      // ack: who is in the room
	ActionHistory  Action = "history"  // ack: the room's messages, from the history service
	ActionSearch   Action = "search"   // ack: messages with words, from the history service
	ActionEdit     Action = "edit"     // a message becomes another: its author and administrators may
	ActionDelete   Action = "delete"   // a message goes, likewise
	ActionRead     Action = "read"     // the sender has read a room up to a message
	ActionUnread   Action = "unread"   // ack: how much the sender has not read
	ActionService  Action = "service"  // to services, as any event without a rule
	ActionRefuse   Action = "refuse"   // nobody hears it
)

// The events that [Rule.Announce] sends.
const (
	EventJoined = "joined"
	EventLeft   = "left"
)

// Lifecycle events of [On]. Clients cannot send events of these names.
const (
	EventConnect       = "connect"
	EventDisconnecting = "disconnecting"
	EventDisconnect    = "disconnect"
)

// The events of [Room]. Each gateway speaks of its own sockets: a room is created with the first that joins it at that
// gateway, and deleted when the last one there has left.
const (
	EventCreateRoom = "create-room"
	EventJoinRoom   = "join-room"
	EventLeaveRoom  = "leave-room"
	EventDeleteRoom = "delete-room"
)

var roomEvents = []string{EventCreateRoom, EventJoinRoom, EventLeaveRoom, EventDeleteRoom}

var actions = []Action{ActionPost, ActionEmit, ActionVolatile, ActionJoin, ActionLeave, ActionWho, ActionHistory, ActionSearch, ActionEdit, ActionDelete, ActionRead,
	ActionUnread, ActionService, ActionRefuse}

// Validate checks the rule and says which field is wrong.
func (r Rule) Validate() error {
	if !slices.Contains(actions, r.Action) {
		return fmt.Errorf("action: %q is none of %v", r.Action, actions)
	}
	if r.Args < 0 || r.Args > maxArgs {
		return fmt.Errorf("args: %d is not from 0 to %d", r.Args, maxArgs)
	}
	relays := r.Action == ActionPost || r.Action == ActionEmit || r.Action == ActionVolatile
	switch {
	case relays && r.To != "all" && r.To != "room":
		return fmt.Errorf(`to: %q: a rule with action %s says "all" or "room"`, r.To, r.Action)
	case !relays && r.To != "":
		return fmt.Errorf("to: has no meaning with action %s", r.Action)
	case relays && r.Args == 0:
		return fmt.Errorf("args: a rule with action %s says how many arguments it keeps, at least 1", r.Action)
	case r.To != "room" && r.Action != ActionWho && r.Members:
		return fmt.Errorf(`members: has a meaning only with to "room" and with action who`)
	case r.Except != "" && r.Except != "sender":
		return fmt.Errorf(`except: %q: only "sender" is possible`, r.Except)
	case r.Announce && r.Action != ActionJoin:
		return fmt.Errorf("announce: has no meaning with action %s", r.Action)
	}
	return r.validateID()
}

func (r Rule) validateID() error {
	if r.ID == "" {
		return nil
	}
	if r.Action != ActionPost && r.Action != ActionEmit {
		return fmt.Errorf("id: has no meaning with action %s, which stores nothing", r.Action)
	}
	p, err := ParseIDPath(r.ID)
	switch {
	case err != nil:
		return fmt.Errorf("id: %w", err)
	case p.Arg > r.Args:
		return fmt.Errorf("id: %s: the rule keeps %d arguments, so args[%d] is the last that can be", r.ID, r.Args, r.Args)
	case p.Arg == r.Args && len(p.Fields) > 0:
		return fmt.Errorf("id: %s: an id behind the arguments is an argument by itself: args[%d]", r.ID, r.Args)
	case p.Arg == 0 && r.To == "room" && len(p.Fields) == 0:
		return fmt.Errorf("id: %s is the name of the room", r.ID)
	}
	return nil
}

// Middlewares lists what is asked about a client, in order; token says whether its handshake carries one.
func (n Namespace) Middlewares(token bool) []string {
	if n.Guests && !token {
		return n.Registered
	}
	return slices.Concat(n.Use, n.Registered)
}

// Validate checks the namespace under its name ("/", "/admin", "/game-*") and says which setting is wrong.
func (n Namespace) Validate(name string) error {
	if _, err := EncodeNamespace(name); err != nil {
		return err
	}
	if err := validPattern(name); err != nil {
		return err
	}
	for _, m := range slices.Concat(n.Use, n.Registered) {
		if _, err := EncodeToken(m); err != nil {
			return fmt.Errorf("namespace %s: use: %w", name, err)
		}
	}
	if n.Ordered != "" && !ValidService(n.Ordered) {
		return fmt.Errorf("namespace %s: ordered: %q is not a service's name: A-Z a-z 0-9 _ -, at most %d of them", name, n.Ordered, MaxToken)
	}
	if n.Role != "" && len(n.Use)+len(n.Registered) == 0 {
		return fmt.Errorf("namespace %s: role: %q cannot be granted, since use names no middleware", name, n.Role)
	}
	if n.Role != "" && n.Guests {
		return fmt.Errorf("namespace %s: guests: contradicts role, which guests never have", name)
	}
	for event, rule := range n.Events {
		if err := rule.Validate(); err != nil {
			return fmt.Errorf("namespace %s: events: %q: %w", name, event, err)
		}
	}
	return nil
}

// ParseNamespace reads a value of the bucket [Names.Namespaces] whose key is the namespace's token. A field that nobody knows
// makes it fail: what was misspelt, such as a role, would not be demanded.
func ParseNamespace(key string, value []byte) (name string, n Namespace, err error) {
	if name, err = DecodeNamespace(key); err != nil {
		return "", Namespace{}, err
	}
	d := json.NewDecoder(bytes.NewReader(value))
	d.DisallowUnknownFields()
	if err = d.Decode(&n); err == nil && d.InputOffset() < int64(len(bytes.TrimRight(value, " \t\r\n"))) {
		err = errors.New("there is more behind the JSON object")
	}
	if err != nil {
		return "", Namespace{}, fmt.Errorf("namespace %s: %w", name, err)
	}
	return name, n, n.Validate(name)
}

package contract

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// MaxInstance is the greatest length of the id of a service's instance.
const MaxInstance = 64

// ErrBadInstance says that something is not the id of a service's instance.
var ErrBadInstance = errors.New("not the id of an instance")

// ValidService says whether a name is one for a service: 1 to [MaxToken] characters of A-Z a-z 0-9 _ -.
func ValidService(name string) bool { return name != "" && len(name) <= MaxToken && allPlain(name) }

// ValidInstance says whether a string is the id of a service's instance: 1 to [MaxInstance] characters of
// A-Z a-z 0-9 _ -.
func ValidInstance(id string) bool { return id != "" && len(id) <= MaxInstance && allPlain(id) }

// Taking is the payload of a [Take] request: who takes this socket?
type Taking struct {
	ID        string `json:"id"` // the socket id that the client will have
	Namespace string `json:"namespace"`
}

// Taken is the reply to a [Take] request.
type Taken struct {
	Instance string `json:"instance"` // the id of the instance that takes the socket
}

// ParseTaken reads the reply to a [Take] request.
func ParseTaken(payload []byte) (Taken, error) {
	var t Taken
	if err := json.Unmarshal(payload, &t); err != nil {
		return Taken{}, fmt.Errorf("not an answer to %s: %w", Take, err)
	}
	if !ValidInstance(t.Instance) {
		return Taken{}, fmt.Errorf("instance: %w: %s", ErrBadInstance, clip(t.Instance))
	}
	return t, nil
}

// Vital is the payload of [Alive]; nothing at all is the zero value.
type Vital struct {
	Leaving bool `json:"leaving,omitempty"` // close the connections of its sockets, so that others take them
}

// ParseVital reads the payload of [Alive].
func ParseVital(payload []byte) (v Vital, err error) {
	if len(payload) > 0 {
		err = json.Unmarshal(payload, &v)
	}
	if err != nil {
		return Vital{}, fmt.Errorf(`neither nothing nor {"leaving":true}: %w`, err)
	}
	return v, nil
}

// Take is the subject on which gateways ask the instances of a service for one that takes a socket.
func (s Subjects) Take(namespace, service string) (string, error) {
	ns, err := EncodeNamespace(namespace)
	if err != nil {
		return "", err
	}
	if !ValidService(service) {
		return "", fmt.Errorf("%w: %s is not a service's name", ErrBadSubject, clip(service))
	}
	return s.Prefix() + "." + string(Take) + "." + ns + "." + service, nil
}

// TakeAny is [Subjects.Take] for subscribers: for a pattern it matches the requests of every namespace.
func (s Subjects) TakeAny(namespace, service string) (string, error) {
	subject, err := s.Take(namespace, service)
	if err == nil && IsPattern(namespace) {
		subject = s.Prefix() + "." + string(Take) + ".*." + service
	}
	return subject, err
}

// Alive is the subject on which an instance of a service says that it is there, or leaves.
func (s Subjects) Alive(service, instance string) (string, error) {
	if !ValidService(service) || !ValidInstance(instance) {
		return "", fmt.Errorf("%w: %s, %s: not a service's name and the id of its instance", ErrBadSubject, clip(service), clip(instance))
	}
	return s.Prefix() + "." + string(Alive) + "." + service + "." + instance, nil
}

// AliveAny matches what all instances of all services say by [Subjects.Alive].
func (s Subjects) AliveAny() string { return s.Prefix() + "." + string(Alive) + ".*.*" }

// ParseAlive takes a subject of [Alive] apart.
func (s Subjects) ParseAlive(subject string) (service, instance string, err error) {
	tokens := strings.Split(subject, ".")
	if len(tokens) != 4 || tokens[0] != s.Prefix() || tokens[1] != string(Alive) || !ValidService(tokens[2]) || !ValidInstance(tokens[3]) {
		return "", "", fmt.Errorf("%w: %s: want %s.%s.<service>.<instance>", ErrBadSubject, clip(subject), s.Prefix(), Alive)
	}
	return tokens[2], tokens[3], nil
}

// OnTaken is the subject of an event from a socket that an instance has taken.
func (s Subjects) OnTaken(namespace, event, socket, instance string) (string, error) {
	subject, err := s.On(namespace, event, socket)
	if err == nil && !ValidInstance(instance) {
		err = fmt.Errorf("%w: %s", ErrBadInstance, clip(instance))
	}
	if err != nil {
		return "", err
	}
	return subject + "." + instance, nil
}

// OnMine matches the events of a namespace from the sockets that an instance has taken; for a pattern, those of every
// namespace.
func (s Subjects) OnMine(namespace, instance string) (string, error) {
	ns, err := subscribed(namespace)
	if err == nil && !ValidInstance(instance) {
		err = fmt.Errorf("%w: %s", ErrBadInstance, clip(instance))
	}
	if err != nil {
		return "", err
	}
	return s.Prefix() + ".on." + ns + ".*.*.*." + instance, nil
}

// OnFree is [Subjects.OnAny] without the events of sockets that an instance has taken.
func (s Subjects) OnFree(namespace string, event ...string) (string, error) {
	ns, err := subscribed(namespace)
	if err != nil {
		return "", err
	}
	e := "*"
	if len(event) > 0 {
		if e, err = EncodeToken(event[0]); err != nil {
			return "", fmt.Errorf("event: %w", err)
		}
	}
	return s.Prefix() + ".on." + ns + "." + e + ".*.*", nil
}

// subscribed is the token of a namespace for who subscribes: a subject has no wildcard for a part of a token, so a
// pattern is every namespace.
func subscribed(namespace string) (string, error) {
	ns, err := EncodeNamespace(namespace)
	if err == nil && IsPattern(namespace) {
		ns = "*"
	}
	return ns, err
}

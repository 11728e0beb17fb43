package contract

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// Handshake is what a gateway knows of a client that asks to connect or to enter a namespace, as in
// socket.handshake.
type Handshake struct {
	Headers map[string]string `json:"headers"` // lower-case names; several values joined by ", "
	Time    time.Time         `json:"time"`    // when the connection was made
	Issued  int64             `json:"issued"`  // the same in Unix milliseconds
	Address string            `json:"address"` // the client's host and port
	XDomain bool              `json:"xdomain"` // whether the request named an Origin
	Secure  bool              `json:"secure"`  // whether the connection is encrypted
	URL     string            `json:"url"`     // path and query of the request
	Query   map[string]string `json:"query"`
	Auth    json.RawMessage   `json:"auth,omitempty"` // what the client gave as auth, {} if nothing; in [Entry], elsewhere with [Namespace.HandshakeAuth] alone
}

// Entry is the payload of a [Use] request.
type Entry struct {
	ID        string    `json:"id"` // the socket id that the client will have
	Namespace string    `json:"namespace"`
	Handshake Handshake `json:"handshake"`
}

// Admission is the reply to a [Use] request: admit (OK) or refuse.
type Admission struct {
	OK bool `json:"ok"`

	// When admitted. Each middleware of a namespace adds to what the ones before it said.
	User    string          `json:"user,omitempty"`    // verified user id
	Name    string          `json:"name,omitempty"`    // the user's name
	Roles   []string        `json:"roles,omitempty"`   // what the namespace's role is looked up in
	Rooms   []string        `json:"rooms,omitempty"`   // rooms to join before the client hears that it is in
	Data    json.RawMessage `json:"data,omitempty"`    // admitted: socket.data; refused: data of the connect_error
	Expires time.Time       `json:"expires,omitzero"`  // when the gateway must close the socket
	Emit    []Greeting      `json:"emit,omitempty"`    // events that the client is sent before it hears that it is in
	Message string          `json:"message,omitempty"` // refused: message of the connect_error
}

// AllowRequest is the payload of an [Allow] request.
type AllowRequest struct {
	Handshake Handshake `json:"handshake"` // without auth, which a client gives for a namespace
}

// Allowance is the reply to an [Allow] request.
type Allowance struct {
	OK      bool   `json:"ok"`
	Message string `json:"message,omitempty"` // refused: what the client is told; "Forbidden" if there is none
}

// Greeting is an event in an [Admission].
type Greeting struct {
	Event       json.RawMessage `json:"event"`                 // the event array
	Attachments [][]byte        `json:"attachments,omitempty"` // for the placeholders in it
}

// Connected is the second element of a connect event on [On]: ["connect", {…}].
type Connected struct {
	SocketInfo
	Recovered bool `json:"recovered"`
}

// MaxData is the greatest size of the data that [Do] gives a socket, in bytes of JSON: it is in every answer that lists
// the socket.
const MaxData = 64 << 10

// SocketInfo describes a socket, in the answers to [List] and in connect events.
type SocketInfo struct {
	ID        string          `json:"id"`
	Namespace string          `json:"namespace,omitempty"` // in answers to a List of a pattern
	User      string          `json:"user,omitempty"`
	Name      string          `json:"name,omitempty"`
	Roles     []string        `json:"roles,omitempty"`
	Rooms     []string        `json:"rooms"` // without the room of its own id
	Data      json.RawMessage `json:"data,omitempty"`
	Transport string          `json:"transport,omitempty"` // "polling" or "websocket", at this moment
	Handshake Handshake       `json:"handshake"`           // without cookies and authorization, which hold tokens
}

// Answer is one client's ack in the answers to [Ask].
type Answer struct {
	ID          string          `json:"id"`                    // the client's socket id
	Ack         json.RawMessage `json:"ack"`                   // the ack's arguments, a JSON array
	Attachments [][]byte        `json:"attachments,omitempty"` // for the placeholders in it
}

// Stamp is the argument that gateways append to every post, and to what carries [HeaderStamp].
type Stamp struct {
	ID     string    `json:"id,omitempty"`     // <stream creation>-<sequence>; none for volatile events
	Socket string    `json:"socket,omitempty"` // the sender's socket id, if a client said it
	User   string    `json:"user,omitempty"`   // the sender's verified user id
	Name   string    `json:"name,omitempty"`   // the sender's name
	Time   time.Time `json:"time"`             // when it was stored, or published if volatile
}

// Codes of refusals. They end an ack with {"ok":false} and stand in [HeaderError].
const (
	CodeForbidden    = "forbidden"    // the sender may not do this
	CodeUnauthorized = "unauthorized" // who the sender is was not proven
	CodeInvalid      = "invalid"      // the request is malformed
	CodeNotFound     = "not_found"    // what was asked for does not exist
	CodeConflict     = "conflict"     // it exists already, or changed meanwhile
	CodeUnavailable  = "unavailable"  // a part of the system does not answer; try again
	CodeRateLimited  = "rate_limited"
	CodeInternal     = "internal" // it failed; back ends say so in development alone
)

// Status is a code as HTTP numbers it, also in the error headers of NATS micro services.
func Status(code string) int {
	switch code {
	case CodeInvalid:
		return 400
	case CodeUnauthorized:
		return 401
	case CodeForbidden:
		return 403
	case CodeNotFound:
		return 404
	case CodeConflict:
		return 409
	case CodeRateLimited:
		return 429
	case CodeUnavailable:
		return 503
	}
	return 500
}

// Refusal is the JSON of an error, for clients (the ack of a rule) and services alike.
type Refusal struct {
	OK      bool   `json:"ok"` // false
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Refuse makes a [Refusal] with a message for the person who reads it.
func Refuse(code, message string) Refusal { return Refusal{Code: code, Message: message} }

// Header is what an answer that carries the refusal says in its headers: [HeaderError], and the two by which clients of NATS
// micro services know an error (NATS ADR-32).
func (r Refusal) Header() Header {
	return Header{
		HeaderError:      {r.Code},
		HeaderMicroError: {strings.Map(oneLine, r.Message)},
		HeaderMicroCode:  {strconv.Itoa(Status(r.Code))},
	}
}

// oneLine keeps a message within its header.
func oneLine(r rune) rune {
	if r < ' ' {
		return ' '
	}
	return r
}

// UserDeleted is the fact on natter.event.user.deleted.
type UserDeleted struct {
	User string    `json:"user"`
	Name string    `json:"name"`
	By   string    `json:"by"` // user id of the admin who did it, or "" if a service did
	Time time.Time `json:"time"`
}

// UserErased is the fact on natter.event.user.erased: what the user said until then was taken out of history.
type UserErased struct {
	User string    `json:"user"`
	Time time.Time `json:"time"`
}

// MessageDeleted is the fact on natter.event.message.deleted. It says nothing of what the message was.
type MessageDeleted struct {
	ID   string    `json:"id"`
	User string    `json:"user,omitempty"` // user id of who deleted it, if verified
	Time time.Time `json:"time"`
}

// Facts between services, as the tokens behind natter.event.
const (
	FactUserDeleted    = "user.deleted"    // [UserDeleted]
	FactUserErased     = "user.erased"     // [UserErased]
	FactMessageDeleted = "message.deleted" // [MessageDeleted]
)

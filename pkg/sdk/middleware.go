package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
)

// Client is who asks a [Middleware] to enter a namespace. What is set on it counts if it is admitted. It
// belongs to the middleware's goroutine.
type Client struct {
	entry     contract.Entry
	admission contract.Admission
	data      any
	emits     []emit
}

// emit is an event for a client that is admitted.
type emit struct {
	event string
	args  []any
}

// ID is the id that the client's socket will have.
func (c *Client) ID() string { return c.entry.ID }

// Namespace is the namespace that the client wants to enter.
func (c *Client) Namespace() string { return c.entry.Namespace }

// Handshake is what the gateway knows of the client's connection.
func (c *Client) Handshake() contract.Handshake { return c.entry.Handshake }

// Auth decodes what the client gave as auth: io("/admin", {auth: {token: "…"}}). Its error is a [Refusal].
func (c *Client) Auth(pointer any) error { return decodeAuth(c.entry.Handshake.Auth, pointer) }

func decodeAuth(auth json.RawMessage, pointer any) error {
	if len(auth) == 0 {
		auth = json.RawMessage("{}")
	}
	if err := json.Unmarshal(auth, pointer); err != nil {
		return &Refusal{Code: contract.CodeInvalid, Message: "auth cannot be read", cause: err}
	}
	return nil
}

// SetUser says who the client is. The user's id stands in the headers of its events, the name in stamps. The socket is in the
// room user:<id> of its namespace from then on.
func (c *Client) SetUser(id, name string) { c.admission.User, c.admission.Name = id, name }

// Grant gives roles, which a namespace's configuration may demand.
func (c *Client) Grant(roles ...string) { c.admission.Roles = append(c.admission.Roles, roles...) }

// Join puts the client into rooms before it hears that it is in.
func (c *Client) Join(rooms ...string) { c.admission.Rooms = append(c.admission.Rooms, rooms...) }

// SetData sets socket.data, encoded as JSON. A client that is given more than contract.MaxData bytes is refused, and the error
// logged ([ErrDataTooLarge]).
func (c *Client) SetData(data any) { c.data = data }

// Emit has the client sent an event if it is admitted, before it hears that it is in; the stock client keeps such events
// until then. Arguments are as in [Broadcast.Emit]; what cannot be encoded is an error of the middleware.
func (c *Client) Emit(event string, args ...any) { c.emits = append(c.emits, emit{event, args}) }

// ExpireAt has the gateway close the socket then.
func (c *Client) ExpireAt(t time.Time) { c.admission.Expires = t }

// admit answers a gateway's request, or says nothing so that the gateway asks again.
func (r *run) admit(msg *nats.Msg, u *use, namespace string) {
	log := r.server.log.With("subject", msg.Subject)
	c := &Client{}
	if err := json.Unmarshal(msg.Data, &c.entry); err != nil || msg.Reply == "" {
		r.server.stats.malformed.Add(1)
		log.Warn("a request to enter that cannot be read was ignored", "error", err, "reply", msg.Reply)
		return
	}
	c.entry.Namespace = namespace
	err := r.guard(func(ctx context.Context) error {
		for _, m := range u.chain {
			if err := m(ctx, c); err != nil {
				return err
			}
		}
		return nil
	})
	answer, err := c.answer(err)
	if err != nil && r.server.opts.ErrorDetail {
		r.failed("middleware failed, the client is refused", err, "subject", msg.Subject, "socket", c.entry.ID)
		answer, err = c.answer(&Refusal{Message: err.Error()})
	}
	if errors.Is(err, ErrDataTooLarge) {
		r.failed("middleware gave a client too much data, it is refused", err, "subject", msg.Subject, "socket", c.entry.ID)
		answer, err = c.answer(&Refusal{Message: "the server has too much data for the socket"})
	}
	if err != nil {
		r.failed("middleware failed, the client waits", err, "subject", msg.Subject, "socket", c.entry.ID)
		return
	}
	if err := msg.Respond(answer); err != nil {
		log.Error("answer of a middleware was not sent, the client waits", "socket", c.entry.ID, "error", err)
	}
}

// answer is the admission or the refusal; an error is neither.
func (c *Client) answer(err error) ([]byte, error) {
	var refusal *Refusal
	data := c.data
	switch {
	case err == nil:
		c.admission.OK = true
		if err := c.greet(); err != nil {
			return nil, err
		}
	case errors.As(err, &refusal):
		c.admission = contract.Admission{Message: refusal.Message}
		data = refusal.Data
	default:
		return nil, err
	}
	if data != nil {
		encode := encodeJSON // a refusal's are for the client, not the socket's
		if c.admission.OK {
			encode = encodeData
		}
		encoded, err := encode(data)
		if err != nil {
			return nil, fmt.Errorf("data: %w", err)
		}
		c.admission.Data = encoded
	}
	return encodeJSON(c.admission)
}

// greet encodes what the client is to be sent.
func (c *Client) greet() error {
	for _, e := range c.emits {
		text, attachments, err := encodeEvent(e.event, e.args)
		if err != nil {
			return fmt.Errorf("emit %q: %w", e.event, err)
		}
		c.admission.Emit = append(c.admission.Emit, contract.Greeting{Event: text, Attachments: attachments})
	}
	return nil
}

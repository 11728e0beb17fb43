package sdk

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
)

// Decider says whether a namespace exists for a client: [Client.Namespace] is its name, anything that a client may ask
// for. What is set on the client has no effect, that is for a [Middleware] of the namespace. An error gives no answer,
// so that the gateway holds the client and asks again; a [Refusal] is a no.
type Decider func(ctx context.Context, c *Client) (exists bool, err error)

// OfFunc is all namespaces that the function says exist, as io.of((name, auth, next) => …) in Socket.IO. It stands
// under the service's name: see [Server.OfFuncAs].
func (s *Server) OfFunc(exists Decider, config ...contract.Namespace) *Namespace {
	return s.OfFuncAs(s.opts.Name, exists, config...)
}

// OfFuncAs is OfFunc under a name of its own, for a service with several functions. Gateways ask about namespaces that
// have no configuration and no pattern: the functions by their names' alphabet, for each client anew, until one says
// yes. While somebody is in a namespace at a gateway, its function is the only one that is asked there.
//
// The result is a pattern of the name contract.Function(name), with what [Server.Of] says of those. It stays registered
// when the service ends, and clients of unknown namespaces wait until the service is back, rather than hear that there
// is no such namespace; an operator who wants it gone takes it out of the bucket of namespaces.
func (s *Server) OfFuncAs(name string, exists Decider, config ...contract.Namespace) *Namespace {
	n := s.Of(contract.Function(name), config...)
	n.add("function "+name, name, func() { n.exists = exists })
	return n
}

// subjects that a function is asked on.
func (n *Namespace) functionSubjects() ([]string, error) {
	if n.exists == nil {
		return nil, nil
	}
	subject, err := n.server.subjects.Use(n.name, contract.MiddlewareExists)
	return []string{subject}, err
}

// decide answers a gateway that asks whether a namespace exists, or says nothing so that it asks again.
func (r *run) decide(msg *nats.Msg, n *Namespace) {
	log := r.server.log.With("subject", msg.Subject)
	c := &Client{}
	if err := json.Unmarshal(msg.Data, &c.entry); err != nil || msg.Reply == "" || n.exists == nil {
		r.server.stats.malformed.Add(1)
		log.Warn("a question whether a namespace exists that cannot be read was ignored", "error", err, "reply", msg.Reply)
		return
	}
	var a contract.Admission
	err := r.guard(func(ctx context.Context) (err error) {
		a.OK, err = n.exists(ctx, c)
		return err
	})
	var refusal *Refusal
	if errors.As(err, &refusal) {
		a.OK, err = false, nil
	}
	var answer []byte
	if err == nil {
		answer, err = encodeJSON(a)
	}
	if err == nil {
		err = msg.Respond(answer)
	}
	if err != nil {
		r.failed("whether a namespace exists was not answered, the client waits", err, "subject", msg.Subject, "namespace", c.entry.Namespace, "socket", c.entry.ID)
	}
}

package bridge

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/internal/hub"
	"github.com/natter-io/natter/services/gateway/internal/session"
)

var errLeaving = errors.New("the instance that answered is about to leave")

// Take asks the instances of a service, which share a queue group, until one takes the socket or the context ends.
func (b *Bridge) Take(ctx context.Context, s *session.Socket, service string) (string, error) {
	subject, err := b.opts.Subjects.Take(s.Namespace(), service)
	if err != nil {
		return "", err
	}
	request := &nats.Msg{Subject: subject, Header: nats.Header{}}
	b.signPattern(request, s.Namespace())
	if request.Data, err = json.Marshal(contract.Taking{ID: s.ID(), Namespace: s.Namespace()}); err != nil {
		return "", err
	}
	var taken contract.Taken
	err = b.again(ctx, func() error {
		reply, err := b.askOnce(ctx, request)
		if err == nil {
			taken, err = contract.ParseTaken(reply.Data)
		}
		if err == nil && !b.takers.add(taker{service, taken.Instance}, s) {
			err = errLeaving
		}
		if err != nil {
			b.often(&b.lately.use, "no instance takes a socket; the client is held and they are asked again", "subject", subject, "socket", s.ID(), "error", err)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	return taken.Instance, nil
}

// Untake forgets who has taken a socket.
func (b *Bridge) Untake(s *session.Socket) { b.takers.remove(s) }

// closeUntaken has the members of a namespace enter again, but for those whom the service that it names now has taken.
func (b *Bridge) closeUntaken(namespace string) {
	_ = b.meant(hub.Selection{Namespace: namespace}, func(sel hub.Selection) error { // f never fails
		_, ns, _ := b.spaces.find(sel.Namespace)
		for _, s := range b.hub.Select(sel) {
			if ns.Ordered != "" && s.TakenBy() != ns.Ordered {
				s.CloseTransport()
			}
		}
		return nil
	})
}

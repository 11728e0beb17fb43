package sdk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/gather"
)

// ordered says whether this service takes the sockets of the namespace.
func (n *Namespace) ordered() bool {
	return n.config.Ordered != "" && n.config.Ordered == n.server.opts.Name
}

// hears says whether anything is done with an event.
func (n *Namespace) hears(event string) bool {
	switch event {
	case contract.EventConnect:
		return len(n.connect) > 0
	case contract.EventDisconnecting:
		return len(n.disconnecting) > 0
	case contract.EventDisconnect:
		return len(n.disconnect) > 0
	}
	return len(n.any) > 0 || len(n.eventUses) > 0 || len(n.events[event]) > 0
}

const (
	pulse    = time.Second // between two signs of life
	takeRoom = 1024        // requests that wait; beyond it gateways ask again
	grace    = 5 * time.Second
	gone     = 4 * time.Second // for gateways to close connections, beyond the grace
)

// takes is how an instance takes the sockets of ordered namespaces. It keeps nothing about them: gateways address what
// they say.
type takes struct {
	alive    string // the subject of its signs of life
	requests chan *nats.Msg
	subs     []*nats.Subscription
	done     chan struct{} // closed when no more is taken
}

// takeSockets begins to answer gateways and to give signs of life. They are not in the run's inbox, so that an instance
// that has much to do does not look dead.
func (r *run) takeSockets() error {
	s := r.server
	for name, n := range r.namespaces {
		if !n.ordered() {
			continue
		}
		if r.takes == nil {
			alive, err := s.subjects.Alive(s.opts.Name, s.id)
			if err != nil {
				return err
			}
			r.takes = &takes{alive: alive, requests: make(chan *nats.Msg, takeRoom), done: make(chan struct{})}
			go r.answerTakes(r.takes)
		}
		subject, err := s.subjects.TakeAny(name, s.opts.Name)
		if err != nil {
			return err
		}
		sub, err := s.nc.ChanQueueSubscribe(subject, s.opts.Name, r.takes.requests)
		if err != nil {
			return fmt.Errorf("subscribing to %s: %w", subject, err)
		}
		r.takes.subs = append(r.takes.subs, sub)
	}
	return nil
}

// answerTakes runs until the context of the run ends.
func (r *run) answerTakes(t *takes) {
	defer close(t.done)
	beat := time.NewTicker(pulse)
	defer beat.Stop()
	for {
		select {
		case <-r.ctx.Done():
			for _, sub := range t.subs {
				_ = sub.Unsubscribe() // unsubscribed already, unless Start failed
			}
			return
		case msg := <-t.requests:
			r.take(msg)
		case <-beat.C:
			_ = r.server.nc.Publish(t.alive, nil) // while disconnected gateways wait, or take it for gone
		}
	}
}

// take answers that this instance takes a socket.
func (r *run) take(msg *nats.Msg) {
	s := r.server
	what, err := s.subjects.Parse(msg.Subject)
	if err != nil || msg.Reply == "" {
		s.stats.malformed.Add(1)
		s.log.Warn("a request to take a socket that cannot be read was ignored", "subject", msg.Subject, "error", err, "reply", msg.Reply)
		return
	}
	if n := r.declared(what.Namespace, contract.Header(msg.Header)); n == nil || !n.ordered() {
		return // of a namespace that is somebody else's
	}
	answer, err := encodeJSON(contract.Taken{Instance: s.id})
	if err == nil {
		err = msg.Respond(answer)
	}
	if err != nil {
		s.log.Error("a socket was not taken, its gateway asks again", "subject", msg.Subject, "error", err)
	}
}

// leave has gateways let go of the sockets that this instance has taken: they close the connections, after the acks
// that clients wait for, and their clients come back to other instances. What was said before is in the inbox when it
// returns.
func (r *run) leave(ctx context.Context) {
	t, s := r.takes, r.server
	if t == nil {
		return
	}
	for _, sub := range t.subs {
		_ = sub.Unsubscribe() // fails only if the connection is closed
	}
	if !s.nc.IsConnected() {
		return
	}
	left := s.opts.StopTimeout
	if end, ok := ctx.Deadline(); ok {
		left = time.Until(end)
	}
	wait := min(grace, left/3)
	if wait <= 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, min(wait+gone, left*2/3))
	defer cancel()
	msg := nats.NewMsg(t.alive)
	msg.Header.Set(contract.HeaderTimeout, wait.String())
	data, err := encodeJSON(contract.Vital{Leaving: true})
	if err == nil {
		msg.Data = data
		err = gather.All(ctx, s.nc, msg, func(*nats.Msg) error { return nil })
	}
	if err != nil && !errors.Is(err, gather.ErrNoGateway) {
		s.log.Warn("not every gateway has let go of the sockets that this instance had taken; when it is missed they will", "error", err)
	}
}

// wait returns when nothing is taken any more, after the context of the run has ended.
func (t *takes) wait() {
	if t != nil {
		<-t.done
	}
}

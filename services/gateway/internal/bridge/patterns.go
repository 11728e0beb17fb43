package bridge

import (
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/internal/hub"
	"github.com/natter-io/natter/services/gateway/internal/session"
)

// patterns holds the subscriptions to what is said to all namespaces that a pattern stands for. They are there as long
// as the pattern is configured, whoever is connected: so they are in force before anybody enters such a namespace, and
// a room costs no more in it than in any other. It belongs to the bridge's maintenance.
type patterns struct {
	nc             *nats.Conn
	subjects       contract.Subjects
	live, volatile chan *nats.Msg
	subs           map[string][]*nats.Subscription
}

func (p *patterns) add(pattern string) error {
	if p.subs[pattern] != nil {
		return nil
	}
	var subs []*nats.Subscription
	for _, s := range []struct {
		kind contract.Kind
		to   chan *nats.Msg
	}{{contract.Live, p.live}, {contract.Volatile, p.volatile}} {
		within, err := p.subjects.Within(s.kind, pattern)
		for i := 0; err == nil && i < len(within); i++ {
			var sub *nats.Subscription
			if sub, err = p.nc.ChanSubscribe(within[i], s.to); err == nil {
				subs = append(subs, sub)
			}
		}
		if err != nil {
			unsubscribe(subs)
			return fmt.Errorf("subscribing to what is said to %s: %w", pattern, err)
		}
	}
	p.subs[pattern] = subs
	return nil
}

func (p *patterns) remove(pattern string) {
	unsubscribe(p.subs[pattern])
	delete(p.subs, pattern)
}

func (p *patterns) close() {
	for pattern := range p.subs {
		p.remove(pattern)
	}
}

func unsubscribe(subs []*nats.Subscription) {
	for _, sub := range subs {
		_ = sub.Unsubscribe() // fails only on a closed connection
	}
}

// meant calls f for each namespace with sockets here that a selection means: its own, or those that have their
// configuration from the pattern that it names.
func (b *Bridge) meant(sel hub.Selection, f func(hub.Selection) error) error {
	if !contract.IsPattern(sel.Namespace) {
		return f(sel)
	}
	pattern := sel.Namespace
	for _, sel.Namespace = range b.hub.Namespaces() {
		if b.spaces.pattern(sel.Namespace) == pattern {
			if err := f(sel); err != nil {
				return err
			}
		}
	}
	return nil
}

// members are the sockets that a selection means, by namespace.
func (b *Bridge) members(sel hub.Selection) [][]*session.Socket {
	var all [][]*session.Socket
	_ = b.meant(sel, func(sel hub.Selection) error { // f never fails
		if members := b.hub.Select(sel); len(members) > 0 {
			all = append(all, members)
		}
		return nil
	})
	return all
}

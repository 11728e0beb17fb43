package bridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/provision"
)

// ErrTaken says that another gateway with this one's id lives: both would answer for each other's sockets.
var ErrTaken = errors.New("another gateway with this id is running")

// answerWithin is how long a gateway that lives may take to answer a question about a socket that it has not.
const answerWithin = time.Second

// life is what is known of a gateway that was asked.
type life int

const (
	unknown life = iota // nobody answered, but somebody may have heard the question
	gone                // nobody heard it
	living              // it answered
)

// alone fails with [ErrTaken] if a gateway with this one's id answers. One that was killed does not: its subscriptions end
// with its connection. Nothing of this gateway may hear the question, so it comes before the subscriptions.
func (b *Bridge) alone(ctx context.Context) error {
	if b.inquire(ctx, b.opts.Gateway) != living {
		return nil
	}
	return fmt.Errorf("gatewayId: %w: %q; give each gateway its own --gateway-id, or leave it out to have one drawn", ErrTaken, b.opts.Gateway)
}

// inquire finds out whether a gateway lives, by a question that it alone hears.
func (b *Bridge) inquire(ctx context.Context, gateway string) life {
	subject, err := b.opts.Subjects.ListNobody("/", gateway)
	if err != nil {
		return unknown
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	reply, err := b.nc.RequestWithContext(ctx, subject, nil)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return gone
	case err == nil && reply.Header.Get(contract.HeaderGateway) == gateway:
		return living
	}
	return unknown
}

// hasPeers says whether other gateways hold leases, not counting those that were killed as far as NATS can tell.
func (b *Bridge) hasPeers(ctx context.Context, leases jetstream.KeyValue) (bool, error) {
	ids, err := b.meetPeers(ctx, leases)
	if err != nil {
		return false, err
	}
	for _, id := range ids {
		if id != b.opts.Gateway && b.inquire(ctx, id) != gone {
			return true, nil
		}
	}
	return false, nil
}

// meetPeers finds out which gateways hold leases, and takes note of them.
func (b *Bridge) meetPeers(ctx context.Context, leases jetstream.KeyValue) ([]string, error) {
	ids, err := holders(ctx, leases)
	if err == nil {
		b.gateways.meet(ids)
	}
	return ids, err
}

// holders are the gateways that hold leases.
func holders(ctx context.Context, leases jetstream.KeyValue) ([]string, error) {
	ids, err := provision.Repeat(ctx, func(ctx context.Context) ([]string, error) { return leases.Keys(ctx) })
	if err != nil && !errors.Is(err, jetstream.ErrNoKeysFound) {
		return nil, fmt.Errorf("leases: %w", err)
	}
	return ids, nil
}

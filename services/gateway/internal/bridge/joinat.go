package bridge

import (
	"context"
	"errors"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/internal/session"
)

// errLater says that NATS went away while an order was about to take effect.
var errLater = errors.New("the order cannot take effect now")

// joinAt puts sockets of one namespace into rooms from the command's own sequence on: what the rooms were sent between that
// and the moment at which their subscriptions were in force is fetched and takes its place in the order. Delivery waits
// while that cannot be done: a socket that was closed instead would come back as one for whom the order took effect. It
// fails with [errLater] if it must be done anew; who is in already stays in.
func (b *Bridge) joinAt(ctx context.Context, epoch string, members []*session.Socket, rooms []string, sequence uint64) error {
	paths := make([]string, len(rooms))
	for i, room := range rooms {
		var err error
		if paths[i], err = b.rooms.path(members[0].Namespace(), contract.To(room)); err != nil {
			return err
		}
	}
	done := b.persist(ctx, epoch, func(ctx context.Context) error {
		if err := b.settleAt(ctx, paths, sequence); err != nil {
			return err
		}
		defer b.releaseAll(paths) // settleAt's own hold; the members have theirs
		for _, s := range members {
			for _, room := range rooms {
				if err := s.JoinAt(ctx, room, sequence); err != nil {
					return err
				}
			}
			s.Obeyed(sequence)
		}
		return nil
	})
	if !done {
		return errLater
	}
	return nil
}

// settleAt subscribes to the paths, holds them, and puts what they were sent after the sequence into the backlog, of those whose
// subscriptions were not in force by then: a client may have come into the room while the reader was behind. Delivery waits
// meanwhile, for a single fence however many they are.
func (b *Bridge) settleAt(ctx context.Context, paths []string, after uint64) error {
	var fresh []string
	var wants []want
	for i, path := range paths {
		since, settled, err := b.rooms.acquire(path)
		if err != nil {
			b.releaseAll(paths[:i])
			return err
		}
		if !settled || since > after {
			fresh = append(fresh, path)
			wants = append(wants, everything(path, after))
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	last, err := b.fence.wait(ctx)
	var missed []stored
	if err == nil && last > after {
		missed, err = b.tail.read(ctx, wants, last)
	}
	if err != nil {
		b.releaseAll(paths)
		return err
	}
	for _, path := range fresh {
		b.rooms.settle(path, after)
	}
	b.merge(missed)
	return nil
}

func (b *Bridge) releaseAll(paths []string) {
	for _, path := range paths {
		b.rooms.release(path)
	}
}

package bridge

import (
	"context"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/internal/session"
)

// joinAt puts sockets of one namespace into rooms from the command's own sequence on: what the rooms were sent between that
// and the moment at which their subscriptions were in force is fetched and takes its place in the order.
func (b *Bridge) joinAt(ctx context.Context, members []*session.Socket, rooms []string, sequence uint64) {
	paths := make([]string, len(rooms))
	var err error
	for i, room := range rooms {
		if paths[i], err = b.rooms.path(members[0].Namespace(), contract.To(room)); err != nil {
			break
		}
	}
	if err == nil {
		// Delivery waits: a socket that was closed instead would go on without the rooms, as one for whom the order took effect.
		if b.persist(ctx, b.epoch.get(), func(ctx context.Context) error { return b.settleAt(ctx, paths, sequence) }) {
			defer b.releaseAll(paths) // settleAt's own hold; the members have theirs
		} else {
			err = errNotReady
		}
	}
	for _, s := range members {
		for i := 0; err == nil && i < len(rooms); i++ {
			err = s.JoinAt(ctx, rooms[i], sequence)
		}
		if err != nil {
			b.opts.Log.Warn("a socket could not join its rooms as ordered; its connection is closed so that it starts afresh",
				"socket", s.ID(), "rooms", len(rooms), "error", err)
			s.CloseTransport()
		}
	}
}

// settleAt subscribes to the paths, holds them, and puts what they were sent after the sequence into the backlog, of those whose
// subscriptions were not in force already. Delivery waits meanwhile, for a single fence however many they are.
func (b *Bridge) settleAt(ctx context.Context, paths []string, after uint64) error {
	var fresh []string
	var wants []want
	for i, path := range paths {
		settled, err := b.rooms.acquire(path)
		if err != nil {
			b.releaseAll(paths[:i])
			return err
		}
		if !settled {
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

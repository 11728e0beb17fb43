package bridge

import (
	"context"

	"github.com/natter-io/natter/pkg/contract"
)

// Enter hears what is said to all of a namespace, or to several of its rooms.
func (b *Bridge) Enter(ctx context.Context, namespace string) (uint64, error) {
	first, err := b.subscribeTo(ctx, namespace, contract.All())
	if err != nil {
		return 0, err
	}
	second, err := b.subscribeTo(ctx, namespace, many)
	if err != nil {
		b.unsubscribeFrom(namespace, contract.All())
		return 0, err
	}
	return min(first, second), nil
}

// many is the target of several rooms, whichever.
var many = contract.To("", "")

// Exit undoes one Enter.
func (b *Bridge) Exit(namespace string) {
	b.unsubscribeFrom(namespace, contract.All())
	b.unsubscribeFrom(namespace, many)
}

// Acquire hears what is said to a room.
func (b *Bridge) Acquire(ctx context.Context, namespace, room string) (uint64, error) {
	return b.subscribeTo(ctx, namespace, contract.To(room))
}

// Release undoes one Acquire.
func (b *Bridge) Release(namespace, room string) { b.unsubscribeFrom(namespace, contract.To(room)) }

// Adopt hears what is said and asked to a socket whose id is another gateway's.
func (b *Bridge) Adopt(ctx context.Context, namespace, id string) error {
	_, err := b.subscribeTo(ctx, namespace, contract.To(id))
	return err
}

// Abandon undoes one Adopt.
func (b *Bridge) Abandon(namespace, id string) { b.unsubscribeFrom(namespace, contract.To(id)) }

// subscribeTo returns how far the stream was when the subscription was in force, or earlier.
func (b *Bridge) subscribeTo(ctx context.Context, namespace string, target contract.Target) (uint64, error) {
	path, err := b.rooms.path(namespace, target)
	if err != nil {
		return 0, err
	}
	read := b.position.Load() // before the member is there: all that is read from now on is for it
	since, settled, err := b.rooms.acquire(path)
	if err != nil {
		return 0, err
	}
	if settled {
		return max(read, since), nil
	}
	last, err := b.fence.wait(ctx)
	if err != nil {
		b.rooms.release(path)
		return 0, err
	}
	b.rooms.settle(path, last)
	return last, nil
}

func (b *Bridge) unsubscribeFrom(namespace string, target contract.Target) {
	if path, err := b.rooms.path(namespace, target); err == nil {
		b.rooms.release(path)
	}
}

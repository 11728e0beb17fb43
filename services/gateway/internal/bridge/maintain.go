package bridge

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/provision"
)

// maintain makes the streams and buckets, when the gateway starts and whenever NATS has come back (it may
// have come back empty), and follows the buckets.
func (b *Bridge) maintain(ctx context.Context) {
	status := b.nc.StatusChanged(nats.RECONNECTING, nats.CONNECTED)
	defer b.nc.RemoveStatusListener(status)
	var once sync.Once
	for ctx.Err() == nil {
		following, stop := context.WithCancel(ctx)
		var wg sync.WaitGroup
		if b.provision(following, &wg) {
			once.Do(func() { close(b.ready) })
		}
		b.reconnected(ctx, status)
		stop()
		wg.Wait()
	}
	b.gateways.release()
}

// reconnected waits until NATS was away and is back, or the stream or the bucket of sessions is another one. What was known of it does
// not hold from the first of these moments on.
func (b *Bridge) reconnected(ctx context.Context, status <-chan nats.Status) {
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	look := time.NewTicker(min(b.opts.Lease, b.opts.StreamAge/4))
	defer look.Stop()
	same := make(chan bool, 1) // the answer may be lost with the connection, whose end must be noticed at once
	tick := look.C
	for {
		select {
		case s := <-status:
			if s == nats.CONNECTED {
				return
			}
			b.epoch.forget()
			b.outbox.lost()
			b.rooms.unsettle()
		case <-tick:
			tick = nil // one at a time
			wg.Go(func() { same <- !b.nc.IsConnected() || b.sameStream(ctx) && b.sessions.same(ctx) })
		case ok := <-same:
			if !ok {
				b.epoch.forget()
				return
			}
			tick = look.C
		case <-ctx.Done():
			return
		}
	}
}

// sameStream says whether the main stream is the one that messages come from, unless nobody can tell.
func (b *Bridge) sameStream(ctx context.Context) bool {
	epoch := b.epoch.get()
	if epoch == "" {
		return false // a change of the connection's status went by unnoticed
	}
	ctx, cancel := context.WithTimeout(ctx, fenceTimeout)
	defer cancel()
	known := b.known()
	stream, err := b.js.Stream(ctx, b.opts.Subjects.Names().Stream)
	if err != nil {
		return !errors.Is(err, jetstream.ErrStreamNotFound)
	}
	info := stream.CachedInfo()
	if contract.IncarnationOf(info.Created, info.Config.Metadata).Epoch != epoch {
		return false
	}
	if expired(epoch, info, known[1]) { // a route to the stream was broken; live messages may have come since
		b.startAfresh()
	}
	_, _, back, err := b.wentBack(ctx, known, info)
	return err != nil || !back
}

// provision tries until everything is there, or the context ends.
func (b *Bridge) provision(ctx context.Context, wg *sync.WaitGroup) bool {
	wait := 100 * time.Millisecond
	for {
		err := b.provisionOnce(ctx, wg)
		if err == nil || ctx.Err() != nil {
			return err == nil
		}
		b.opts.Log.Warn("the gateway's streams are not there yet, trying again", "error", err, "in", wait)
		select {
		case <-ctx.Done():
			return false
		case <-time.After(wait):
		}
		wait = min(2*wait, 5*time.Second)
	}
}

func (b *Bridge) provisionOnce(ctx context.Context, wg *sync.WaitGroup) error {
	limited, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	o := b.opts
	known := b.known()
	stream, err := provision.Main(limited, b.js, o.Subjects, o.StreamAge, o.Duplicates, o.Storage)
	if err != nil {
		return err
	}
	if err := b.copies.begin(limited, stream.CachedInfo().Created); err != nil {
		return err
	}
	is, floor, err := b.incarnation(limited, known, stream)
	if err != nil {
		return err
	}
	leases, err := provision.Gateways(limited, b.js, o.Subjects, o.Lease, o.Storage)
	if err != nil {
		return err
	}
	spaces, err := provision.Namespaces(limited, b.js, o.Subjects, o.Storage)
	if err != nil {
		return err
	}
	// Who sees the lease waits for this one's answers, which say who else there is.
	if _, err := b.meetPeers(limited, leases); err != nil {
		return err
	}
	// The lease comes before the namespaces, so that of two gateways that start together one at least sees the other.
	if _, err := provision.Repeat(limited, func(ctx context.Context) (any, error) { return nil, b.gateways.hold(ctx, leases) }); err != nil {
		return err
	}
	peers, err := b.hasPeers(limited, leases)
	if err != nil {
		return err
	}
	if err := b.spaces.declare(limited, spaces, peers); err != nil {
		return err
	}
	if err := b.spaces.load(limited, spaces); err != nil {
		return err
	}
	if b.opts.Recovery {
		kept, err := provision.Sessions(limited, b.js, o.Subjects, o.Storage)
		if err != nil {
			return err
		}
		if err := b.sessions.open(limited, kept); err != nil {
			return err
		}
		if _, err := b.sessions.beat(limited); err != nil {
			return err
		}
		if err := b.sessions.lookForOwn(limited); err != nil {
			return err
		}
	}
	b.tail.replicated.Store(stream.CachedInfo().Config.Replicas > 1)
	if err := b.tail.anchor(limited, b.js); err != nil {
		return err
	}
	last, err := b.fence.wait(limited)
	if err != nil {
		return err
	}
	// Once nothing can fail any more: what they follow is of one goroutine at a time.
	wg.Go(func() { b.spaces.follow(ctx, spaces) })
	wg.Go(func() { b.gateways.follow(ctx, leases) })
	wg.Go(func() { b.gateways.askSilent(ctx, b.inquire) })
	if b.overdue {
		b.overdue = false
		b.startAfresh()
	}
	b.rooms.begin(last)
	b.suspect("connected")
	b.position.begin(is.Epoch)
	b.epoch.begin(is.Epoch, floor)
	return nil
}

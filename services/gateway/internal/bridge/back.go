package bridge

import (
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/provision"
)

// The main stream may go back to what it was earlier: nats-server gives what it stores to the operating system, which loses
// what it has not written when the power fails; or a backup is put back. Then sequences repeat, with other messages. A gateway that has
// seen a message that is there no more begins a new incarnation of the stream, with an epoch of its own: ids and offsets differ from then
// on, and all gateways and the history service tell it from the one before as if the stream had been made anew.

// sight is the newest message that is known of an incarnation of the stream.
type sight struct {
	epoch    string
	sequence uint64
	stored   time.Time // by the clock of the stream's leader
}

// witness remembers it.
type witness struct {
	mu sync.Mutex
	sight
}

func (w *witness) note(n sight) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n.epoch != w.epoch || n.sequence > w.sequence {
		w.sight = n
	}
}

func (w *witness) get() sight {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sight
}

// isThere says whether the stream has the message, or had it and has dropped it since.
func (b *Bridge) isThere(ctx context.Context, n sight, info *jetstream.StreamInfo) (bool, error) {
	if n.sequence > info.State.LastSeq {
		return false, nil
	}
	at, err := provision.StoredAt(ctx, b.nc, info.Config.Name, n.sequence)
	return at.IsZero() || n.stored.IsZero() || at.Equal(n.stored), err
}

// known is what is known of the stream. It is asked for before the stream is.
func (b *Bridge) known() [2]sight { return [2]sight{b.heard.get(), b.looked.get()} }

// wentBack says whether the stream seems not to be what it was, by which message, and when the newest one was stored that is known of it.
func (b *Bridge) wentBack(ctx context.Context, known [2]sight, info *jetstream.StreamInfo) (lost provision.Seen, after time.Time, back bool, err error) {
	epoch := contract.IncarnationOf(info.Created, info.Config.Metadata).Epoch
	for _, n := range known {
		if n.sequence == 0 || n.epoch != epoch {
			continue
		}
		there, err := b.isThere(ctx, n, info)
		if err != nil {
			return lost, after, false, err
		}
		if !there {
			back, lost = true, provision.Seen{Sequence: n.sequence, Stored: n.stored}
		}
		if n.stored.After(after) {
			after = n.stored
		}
	}
	if !back {
		b.looked.note(sight{epoch, info.State.LastSeq, info.State.LastTime})
	}
	return lost, after, back, nil
}

// incarnation is the stream's, a new one if it went back; and the sequence after which nothing of it was heard.
func (b *Bridge) incarnation(ctx context.Context, known [2]sight, stream jetstream.Stream) (is contract.Incarnation, floor uint64, err error) {
	if had := b.had; stream.CachedInfo().Created.Equal(had.made) {
		if stream, err = provision.PutBack(ctx, b.js, b.opts.Subjects, had.made, had.is, b.opts.Storage); err != nil {
			return is, 0, err
		}
	}
	info := stream.CachedInfo()
	is = contract.IncarnationOf(info.Created, info.Config.Metadata)
	b.overdue = b.overdue || expired(is.Epoch, info, known[:]...)
	lost, after, back, err := b.wentBack(ctx, known, info)
	if err != nil {
		return is, 0, err
	}
	if !back { // what is copied for history outlives gateways
		if lost.Sequence, after, err = b.copied(ctx, info); err != nil {
			return is, 0, err
		}
		back = lost.Sequence > info.State.LastSeq
	}
	if back {
		was := is
		if is, err = provision.Renew(ctx, b.js, b.opts.Subjects, is, lost, after, b.opts.Storage); err != nil {
			return is, 0, err
		}
		back = is != was
	}
	if back {
		b.opts.Log.Warn("the main stream went back to what it was earlier: did nats-server lose power, or was a backup put back? "+
			"What was stored since then is gone from it; ids of what comes begin with a new epoch", "stream", info.Config.Name, "epoch", is.Epoch, "from", is.First)
	}
	floor = is.First - 1
	if heard := known[0]; heard.sequence > 0 && heard.epoch == b.Epoch() && heard.epoch != is.Epoch {
		if there, err := b.isThere(ctx, heard, info); err != nil {
			return is, 0, err
		} else if there { // another gateway has seen more
			floor = max(floor, heard.sequence)
		}
	}
	b.had.made, b.had.is = info.Created, is
	return is, floor, nil
}

// copied is the main stream's sequence of what the posts stream has copied of it last, and when that was; 0 if it was of a stream that
// was there before.
func (b *Bridge) copied(ctx context.Context, info *jetstream.StreamInfo) (sequence uint64, made time.Time, err error) {
	stream, err := b.js.Stream(ctx, b.opts.Subjects.Names().Posts)
	if err != nil {
		return 0, made, err
	}
	made = stream.CachedInfo().State.LastTime
	if made.Before(info.Created) {
		return 0, made, nil
	}
	sequence, err = provision.Copied(ctx, b.nc, stream.CachedInfo())
	return sequence, made, err
}

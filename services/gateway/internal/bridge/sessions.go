package bridge

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/internal/session"
)

// sessions keeps what another gateway needs to go on with a socket, in a bucket under the socket's private id. Each
// write expects the revision of the one before it: a gateway that is no longer the holder learns it by its next write.
type sessions struct {
	bridge *Bridge
	clock  clock
	bucket atomic.Pointer[jetstream.KeyValue]
	made   time.Time // when the bucket was; of who opens it
	stores *replies
	claims chan *nats.Msg // other gateways took over sockets of ours

	looked  atomic.Bool                        // it is known which ids of this gateway's another one has
	anew    atomic.Pointer[jetstream.KeyValue] // a bucket that is another one than before: it does not know the sockets here until they are stored again
	unheard atomic.Bool                        // the connection to NATS is another one: claims may have gone unheard

	mu      sync.Mutex
	moved   map[string]time.Time // ids of this gateway's that another one has, until when that is remembered
	newest  map[string]newest    // claims that were heard of lately, by socket id
	beats   map[string]lastBeat  // when gateways that are gone were seen last
	since   uint64               // the revision with which this gateway's own writes begin
	earlier time.Time            // when a gateway with this one's id was seen before; zero: never
	unkept  []unkept             // ends of sockets that could not be stored
	over    bool                 // nobody will try to store these again
}

// newest is the claim that counts.
type newest struct {
	number int
	heard  time.Time
}

// lastBeat is a gateway's last sign of life, as it was at a moment.
type lastBeat struct {
	at, read time.Time
}

// unkept is the end of a session, to be stored as soon as that is possible.
type unkept struct {
	claim session.Claim
	record
	since time.Time                        // when it was
	done  func(revision uint64, err error) // waits for it, as [Bridge.Keep] says; nil: nobody does any more
}

const (
	keepTimeout = 5 * time.Second
	keepMargin  = time.Minute // that a session is kept beyond the recovery window
	findTimeout = 3 * time.Second
	claimTries  = 5
	claimsFor   = time.Minute // that a claim is remembered, at least
	beatFor     = time.Second // that another gateway's sign of life is remembered
	maxUnkept   = 100_000
	endPatience = 30 * time.Second // that services wait for the end of a socket to be stored; a broken link to NATS is noticed earlier
	burials     = 64               // writes for gateways that are gone, at a time
)

func newSessions(b *Bridge) *sessions {
	return &sessions{bridge: b, clock: clock{local: time.Now}, stores: newReplies(b.nc, b.opts), claims: make(chan *nats.Msg, b.opts.Queue), moved: make(map[string]time.Time), newest: make(map[string]newest), beats: make(map[string]lastBeat)}
}

// open takes a bucket, which may be another one than it was before.
func (s *sessions) open(ctx context.Context, kv jetstream.KeyValue) error {
	info, err := s.status(ctx, kv)
	if err != nil {
		return err
	}
	before := s.made
	s.made = info.Created
	s.bucket.Store(&kv)
	s.unheard.Store(true)
	if !before.IsZero() && !before.Equal(info.Created) {
		s.bridge.opts.Log.Warn("the bucket of sessions was deleted, and made anew; clients that were away start afresh", "bucket", kv.Bucket())
		s.anew.Store(&kv) // once it is what is written to
	}
	return nil
}

// same says whether the bucket is the one that was opened, unless nobody can tell; the clock is set.
func (s *sessions) same(ctx context.Context) bool {
	if !s.bridge.opts.Recovery {
		return true
	}
	info, err := s.status(ctx, *s.bucket.Load())
	if err != nil {
		return !errors.Is(err, jetstream.ErrStreamNotFound)
	}
	return info.Created.Equal(s.made)
}

// FindSession looks for a session that may go on. A stock client has no offset if and only if it has heard nothing since it
// connected for the first time: every event moves it that wants no ack and came after the answer to CONNECT.
func (b *Bridge) FindSession(ctx context.Context, namespace, pid, offset string) (*session.Found, error) {
	var epoch string
	var sequence uint64
	if offset != "" {
		var err error
		if epoch, sequence, err = contract.SplitMessageID(offset); err != nil {
			return nil, nil
		}
	}
	ctx, cancel := context.WithTimeout(ctx, findTimeout)
	defer cancel()
	current := b.epoch.wait(ctx)
	if current == "" || current != b.Epoch() { // nobody can go on before the reader of live messages has heard of it
		return nil, errNotReady
	}
	r, revision, err := b.sessions.read(ctx, pid)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", session.ErrUnavailable, err)
	}
	if r == nil || r.Ended || r.Namespace != namespace || r.Epoch != current || offset != "" && epoch != current {
		return nil, nil
	}
	away, err := b.away(ctx, r, revision)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", session.ErrUnavailable, err)
	}
	if away > b.opts.Window {
		return nil, nil
	}
	r.Since = r.unheard(b.sessions.clock.now().UTC().Add(-away))
	return &session.Found{
		Saved:  r.Saved,
		Claim:  session.Claim{PID: pid, Number: r.Claim, Revision: revision},
		Offset: sequence, Holder: r.Gateway, Left: r.Left,
	}, nil
}

// away is for how long the client has been away: since its gateway said so, or was seen last.
func (b *Bridge) away(ctx context.Context, r *record, revision uint64) (time.Duration, error) {
	now := b.sessions.clock.now
	switch {
	case !r.Left.IsZero():
		return now().Sub(r.Left), nil
	case b.sessions.stale(r, revision):
		return now().Sub(b.sessions.seenEarlier()), nil
	case r.Gateway == b.opts.Gateway, b.gateways.alive(r.Gateway):
		return 0, nil
	}
	beat, err := b.sessions.lastBeat(ctx, r.Gateway)
	return now().Sub(beat), err
}

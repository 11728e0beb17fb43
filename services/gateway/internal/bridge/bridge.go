// Package bridge connects the gateway's sockets with NATS by the subject contract: it subscribes to what is
// said to rooms that have members here, hands it to the hub, publishes what clients say, and answers
// services that ask or list.
//
// It knows sockets and the hub; it does not know HTTP, nor what a client's event does.
package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/time/rate"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/gather"
	"github.com/natter-io/natter/pkg/kit/provision"
	"github.com/natter-io/natter/services/gateway/internal/hub"
	"github.com/natter-io/natter/services/gateway/internal/parser"
	"github.com/natter-io/natter/services/gateway/internal/session"
)

// Options of a bridge.
type Options struct {
	Gateway    string // this gateway's id
	FreshID    bool   // no gateway had the id before
	Subjects   contract.Subjects
	Namespaces map[string]contract.Namespace // those that this gateway's configuration declares
	BuiltIn    map[string][]string           // those among them that nobody has stated, with the fingerprints of what earlier versions had built in
	Unique     bool                          // the id was drawn: nobody else can have it
	Storage    provision.Storage

	StreamAge  time.Duration // how long the main stream keeps messages
	Duplicates time.Duration // how long a Nats-Msg-Id is remembered
	Recovery   bool          // whether clients that come back may go on as the same socket
	Window     time.Duration // for how long
	Lease      time.Duration // a gateway not heard of for so long is gone
	Linger     time.Duration // how long a room without members stays subscribed
	AckTimeout time.Duration // how long a service may take to answer a client's event
	MaxAsk     time.Duration // the longest that an ask or a list may take
	Queue      int           // messages that wait for the readers of the subscriptions
	MaxPending int           // replies awaited at one time

	Parser  parser.Parser // how packets for clients are spelled
	Log     *slog.Logger
	Metrics Metrics
}

// Metrics counts what happens between NATS and the sockets. All methods may be called concurrently.
type Metrics interface {
	Delivered(kind contract.Kind) // a message handed to the hub
	Skipped(kind contract.Kind)   // a message that is outside the contract
	Duplicate()                   // a stored message that was heard already
	Doubted(reason string)        // stored messages may have gone unheard, and are looked for
	Repaired(messages int)        // stored messages that went unheard and were found
	Dropped(reason string)        // a message that had to be given up
	StoredAgain()                 // a client's message that had to be published again, since JetStream did not confirm it
	Missed()                      // a volatile event that a socket could not take
	LateReply()                   // a reply for which nobody waits any more
	Rooms(n int)                  // rooms subscribed to
	Gateways(n int)               // gateways alive
	Overridden(n int)             // namespaces that the gateway's settings have otherwise than they are
	// Copies says for how long the oldest post that is not copied for history has waited, and whether clients' posts are held.
	Copies(lag time.Duration, held bool)
}

// Bridge implements [session.Backend].
type Bridge struct {
	opts     Options
	nc       *nats.Conn
	js       jetstream.JetStream
	gatherer *gather.Gatherer // asks the other gateways
	hub      *hub.Hub[*session.Socket]
	acks     func() uint64 // draws ids for acks that clients owe

	rooms    *rooms
	replies  *replies // to events and questions of clients
	stores   *replies // to posts, which a flood of questions must not stop
	outbox   *outbox
	changes  *changes
	copies   *copies
	sessions *sessions
	packets  packets
	fence    *fence
	tail     *tail
	gateways *gateways
	spaces   *namespaces
	takers   *takers
	turns    *turns
	pulse    pulse

	live     chan *nats.Msg // what JetStream republished
	volatile chan *nats.Msg
	requests chan *nats.Msg // ask and list

	// Of the reader of live messages.
	backlog  []incoming       // to be read before live
	first    [1]incoming      // what next returns
	beat     beat             // the last live message
	caught   uint64           // all that was stored up to here was heard, or is in the backlog
	position progress         // what was handed to the hub; others read it
	doubt    atomic.Bool      // something may have been missed
	doubted  chan struct{}    // wakes the reader to a doubt
	broke    chan nats.Status // the connection has

	// handing is held while an event with an offset is handed to the hub, so that none with an earlier one comes after it.
	// Held while the hub's queues are waited for; the hub's workers do not take it.
	handing sync.Mutex

	epoch  *epoch
	heard  witness  // the newest message that was handed on
	looked witness  // the stream's last one, when that was looked at
	had    struct { // the incarnation that was seen last, of the stream that was made at a time; of who provides it
		made time.Time
		is   contract.Incarnation
	}

	overdue bool // all clients are to start afresh; of the goroutine that maintains

	ready chan struct{} // closed when the streams are there for the first time
	later chan struct{} // bounds services' questions that wait for their turn
	asked chan struct{} // bounds the questions whether a client may connect

	moving sync.Mutex // held while it is said that a socket came into a room or left it; before the rooms' own

	lately struct{ store, use, allow, skip, ack, answer, repair, room rate.Sometimes } // warnings that many messages could cause at once
}

// errNotReady says that the streams are not there yet.
var errNotReady = fmt.Errorf("%w: the streams are not there yet", session.ErrUnavailable)

// New makes a bridge over a connection that is the gateway's own. Nothing happens before Run.
func New(nc *nats.Conn, h *hub.Hub[*session.Socket], acks func() uint64, opts Options) (*Bridge, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("jetstream: %w", err)
	}
	b := &Bridge{
		opts: opts, nc: nc, js: js, gatherer: gather.New(nc), hub: h, acks: acks,
		live:     make(chan *nats.Msg, opts.Queue),
		volatile: make(chan *nats.Msg, opts.Queue),
		requests: make(chan *nats.Msg, opts.Queue),
		epoch:    newEpoch(),
		doubted:  make(chan struct{}, 1),
		ready:    make(chan struct{}),
		later:    make(chan struct{}, maxLater),
		broke:    nc.StatusChanged(nats.RECONNECTING),
		asked:    make(chan struct{}, maxAllow),
		pulse:    pulse{lease: opts.Lease},
	}
	for _, s := range []*rate.Sometimes{&b.lately.store, &b.lately.use, &b.lately.allow, &b.lately.skip, &b.lately.ack, &b.lately.answer, &b.lately.repair, &b.lately.room} {
		*s = rate.Sometimes{First: 10, Interval: time.Second}
	}
	b.rooms = newRooms(nc, opts, b.live, b.volatile, b.requests)
	b.replies = newReplies(nc, opts)
	b.stores = newReplies(nc, opts)
	b.outbox = newOutbox(b)
	b.changes = newChanges(b)
	b.gateways = newGateways(opts)
	b.copies = newCopies(nc, js, b.epoch, b.gateways.renewed, opts)
	b.sessions = newSessions(b)
	b.turns = newTurns(b)
	b.fence = newFence(nc, opts)
	b.tail = newTail(nc, opts)
	b.takers = newTakers(nc, opts, b.gateways.count)
	b.spaces = newNamespaces(opts, &patterns{nc: nc, subjects: opts.Subjects, live: b.live, volatile: b.volatile, subs: make(map[string][]*nats.Subscription)})
	b.spaces.reordered = b.closeUntaken
	return b, nil
}

// Run serves until the context ends. It returns early only if another gateway has this one's id ([ErrTaken]), or the first
// subscriptions fail.
func (b *Bridge) Run(ctx context.Context) error {
	if !b.opts.Unique {
		if err := b.alone(ctx); err != nil {
			return err
		}
	}
	defer b.hearOfDrops()()
	defer b.nc.RemoveStatusListener(b.broke)
	subs, err := b.subscribe()
	defer func() {
		unsubscribe(subs)
		b.spaces.patterns.close()
	}()
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	for _, part := range []func(context.Context){b.pulse.run, b.readLive, b.readVolatile, b.readRequests, b.replies.run, b.stores.run, b.outbox.run, b.copies.run, b.rooms.run, b.takers.run, b.turns.run, b.tail.run, b.sweep, b.sessions.stores.runOn, b.sessions.run, b.maintain} {
		wg.Go(func() { part(ctx) })
	}
	wg.Wait()
	return nil
}

// subscribe makes the subscriptions that every gateway has, whoever is connected.
func (b *Bridge) subscribe() ([]*nats.Subscription, error) {
	s, gw := b.opts.Subjects, b.opts.Gateway
	var subs []*nats.Subscription
	for _, w := range []struct {
		subject string
		to      chan *nats.Msg
	}{
		{s.EveryTarget(contract.Live, contract.TargetSocket, gw), b.live},
		{s.EveryTarget(contract.Volatile, contract.TargetSocket, gw), b.volatile},
		{s.EveryTarget(contract.Ask, contract.TargetAll, gw), b.requests},
		{s.EveryTarget(contract.Ask, contract.TargetRoom, gw), b.requests},
		{s.EveryTarget(contract.Ask, contract.TargetMany, gw), b.requests},
		{s.EveryTarget(contract.Ask, contract.TargetSocket, gw), b.requests},
		{s.EveryTarget(contract.List, contract.TargetAll, gw), b.requests},
		{s.EveryTarget(contract.List, contract.TargetRoom, gw), b.requests},
		{s.EveryTarget(contract.List, contract.TargetMany, gw), b.requests},
		{s.EveryTarget(contract.List, contract.TargetSocket, gw), b.requests},
		{s.AliveAny(), b.takers.words},
		{electedSubject + b.opts.Subjects.Names().Stream, b.live},
		{b.replies.inbox + ".*", b.replies.in},
		{b.stores.inbox + ".*", b.stores.in},
		{b.sessions.stores.inbox + ".*", b.sessions.stores.in},
		{s.ClaimAny(gw), b.sessions.claims},
	} {
		sub, err := b.nc.ChanSubscribe(w.subject, w.to)
		if err != nil {
			return subs, fmt.Errorf("subscribing to %s: %w", w.subject, err)
		}
		subs = append(subs, sub)
	}
	return subs, nil
}

// often warns of what may happen to every message: the first times, then once a second. Counters have them all.
func (b *Bridge) often(lately *rate.Sometimes, message string, args ...any) {
	lately.Do(func() { b.opts.Log.Warn(message, args...) })
}

// Ready returns nil once the gateway can serve: its streams are there and NATS is connected.
func (b *Bridge) Ready(context.Context) error {
	if b.epoch.get() == "" {
		return errNotReady
	}
	if !b.nc.IsConnected() {
		return errors.New("not connected to NATS")
	}
	return nil
}

// WaitReady blocks until the streams are there for the first time.
func (b *Bridge) WaitReady(ctx context.Context) error {
	select {
	case <-b.ready:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Alive says whether a gateway holds a lease, as far as this one has heard.
func (b *Bridge) Alive(gateway string) bool { return b.gateways.alive(gateway) }

// Namespace looks up a namespace's configuration.
func (b *Bridge) Namespace(name string) (configured string, ns contract.Namespace, ok bool) {
	return b.spaces.find(name)
}

var _ session.Backend = (*Bridge)(nil)

package bridge

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/time/rate"
)

// gateways knows how many gateways are alive. Each holds a key in a bucket and renews it. One that was not heard of for the length
// of a lease is asked, since it may be the bucket that is silent: an answer that counts too few gateways would be taken for
// complete. If it does not answer it is gone.
type gateways struct {
	opts     Options
	instance string // tells this process from another one with the same id
	twins    rate.Sometimes
	lapsed   atomic.Bool // this one's lease had ended: others may have taken it for gone

	mu      sync.Mutex
	leases  jetstream.KeyValue
	held    time.Time            // when the lease was taken or renewed last
	longest time.Duration        // for which there was no lease, until it was taken again; see settle
	heard   map[string]time.Time // gateways that are alive, and when they were heard of last
	met     bool                 // it is known who else there is
}

func newGateways(opts Options) *gateways {
	return &gateways{opts: opts, instance: rand.Text(), twins: rate.Sometimes{Interval: time.Minute}, heard: make(map[string]time.Time)}
}

// count is how many gateways there are, this one included; 0 as long as that is not known.
func (g *gateways) count() int {
	others, met := g.others()
	if !met {
		return 0
	}
	return len(others) + 1
}

// others are the gateways that there are beside this one, if that is known.
func (g *gateways) others() (all []string, met bool) {
	all = slices.DeleteFunc(g.list(), func(id string) bool { return id == g.opts.Gateway })
	g.mu.Lock()
	defer g.mu.Unlock()
	return all, g.met
}

// list is which gateways are alive.
func (g *gateways) list() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Sorted(maps.Keys(g.heard))
}

// alive says whether a gateway is.
func (g *gateways) alive(id string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, ok := g.heard[id]
	return ok
}

// meet takes note of gateways that hold leases.
func (g *gateways) meet(ids []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, id := range ids {
		g.heard[id] = time.Now()
	}
	g.met = true
}

// backAgain is how long gateways may take to connect again when NATS was away: 250 ms and up to a second of jitter, and some more.
const backAgain = 2 * time.Second

// askSilent asks gateways that were not heard of for a lease whether they are alive, until the context ends.
func (g *gateways) askSilent(ctx context.Context, inquire func(context.Context, string) life) {
	g.forgive()
	tick := time.NewTicker(g.opts.Lease / 8)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var wg sync.WaitGroup
		for id, at := range g.silent() {
			wg.Go(func() {
				if alive := inquire(ctx, id) == living; ctx.Err() == nil {
					g.answered(id, at, alive)
				}
			})
		}
		wg.Wait()
		g.opts.Metrics.Gateways(g.count())
	}
}

// forgive has no gateway be asked before it can be here again, as NATS may have been away for all.
func (g *gateways) forgive() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for id, at := range g.heard {
		if earliest := time.Now().Add(backAgain - g.opts.Lease); at.Before(earliest) {
			g.heard[id] = earliest
		}
	}
}

// silent are the other gateways that were not heard of for a lease, with when they were heard of last.
func (g *gateways) silent() map[string]time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := maps.Clone(g.heard)
	maps.DeleteFunc(all, func(id string, at time.Time) bool { return id == g.opts.Gateway || time.Since(at) <= g.opts.Lease })
	return all
}

// answered takes note of whether a gateway answered that was heard of last at a time.
func (g *gateways) answered(id string, at time.Time, alive bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.heard[id] != at: // it was heard of meanwhile
	case alive:
		g.heard[id] = time.Now()
	default:
		delete(g.heard, id)
		g.opts.Log.Info("another gateway is taken for gone: it has not renewed its lease and does not answer; its clients come back to others", "gone", id, "silent", time.Since(at).Round(time.Millisecond))
	}
}

// lease is the value of a gateway's key.
type lease struct {
	Renewed  time.Time `json:"renewed"`
	Instance string    `json:"instance"`
}

const (
	// holdAgain is when a lease that could not be renewed is tried again: an election takes long enough.
	holdAgain = 500 * time.Millisecond
	holdWarn  = 30 * time.Second // that is said once in so long
)

// hold takes or renews this gateway's lease.
func (g *gateways) hold(ctx context.Context, leases jetstream.KeyValue) error {
	value, err := json.Marshal(lease{Renewed: time.Now().UTC(), Instance: g.instance})
	if err != nil {
		return err
	}
	began := time.Now()
	if _, err := leases.Put(ctx, g.opts.Gateway, value); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.leases = leases
	if gap := time.Since(g.held); !g.held.IsZero() && gap > g.opts.Lease*3/4 {
		g.lapsed.Store(true)
		g.longest = max(g.longest, gap)
	}
	g.held = began
	return nil
}

// outage is for how long this gateway has had no lease, or had none when it took it again and what follows is not settled.
func (g *gateways) outage() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held.IsZero() {
		return 0
	}
	return max(g.longest, time.Since(g.held))
}

// settle notes that what follows from an outage is done, unless there was a longer one since.
func (g *gateways) settle(outage time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.longest <= outage {
		g.longest = 0
	}
}

// renewed is when this gateway's lease was taken or renewed last.
func (g *gateways) renewed() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held
}

// holds says whether a gateway holds a lease, though nothing is heard of it and it does not answer: this one may be what is cut off.
// It says so too if that cannot be found out.
func (g *gateways) holds(ctx context.Context, id string) bool {
	g.mu.Lock()
	leases := g.leases
	g.mu.Unlock()
	if leases == nil {
		return true
	}
	ids, err := holders(ctx, leases)
	return err != nil || slices.Contains(ids, id)
}

// release gives the lease back, so that nobody waits for this gateway's answers.
func (g *gateways) release() {
	g.mu.Lock()
	leases := g.leases
	g.mu.Unlock()
	if leases == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := leases.Delete(ctx, g.opts.Gateway); err != nil {
		g.opts.Log.Debug("the lease ends by itself", "error", err)
	}
}

// follow renews the lease and hears of the others', until the context ends.
func (g *gateways) follow(ctx context.Context, leases jetstream.KeyValue) {
	renew := time.NewTicker(g.opts.Lease / 3)
	defer renew.Stop()
	updates := watch(ctx, leases, g.opts.Log)
	lately := rate.Sometimes{Interval: holdWarn}
	for {
		select {
		case <-ctx.Done():
			return
		case <-renew.C:
			next := g.opts.Lease / 3
			if err := g.hold(ctx, leases); err != nil && ctx.Err() == nil {
				lately.Do(func() { g.opts.Log.Warn("the gateway's lease was not renewed; trying on", "error", err) })
				next = min(next, holdAgain)
			}
			renew.Reset(next)
		case entry := <-updates:
			g.hear(entry)
		}
		g.opts.Metrics.Gateways(g.count())
	}
}

func (g *gateways) hear(entry jetstream.KeyValueEntry) {
	g.lookForTwin(entry)
	if entry.Key() == g.opts.Gateway && entry.Operation() != jetstream.KeyValuePut {
		g.lapsed.Store(true)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if entry.Operation() == jetstream.KeyValuePut {
		g.heard[entry.Key()] = time.Now()
	} else {
		delete(g.heard, entry.Key())
	}
}

// lookForTwin warns of another process with this one's id, which was not to be heard when this one started.
func (g *gateways) lookForTwin(entry jetstream.KeyValueEntry) {
	var l lease
	if entry.Key() != g.opts.Gateway || entry.Operation() != jetstream.KeyValuePut || json.Unmarshal(entry.Value(), &l) != nil || l.Instance == "" || l.Instance == g.instance {
		return
	}
	g.twins.Do(func() {
		g.opts.Log.Warn("another gateway with this one's id is running: each answers for the other's sockets; stop one, and give it a --gateway-id of its own")
	})
}

package bridge

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/time/rate"
)

// gateways knows how many gateways are alive. Each holds a key in a bucket and renews it; one that was not
// heard of for the length of a lease is gone.
type gateways struct {
	opts     Options
	instance string // tells this process from another one with the same id
	twins    rate.Sometimes
	lapsed   atomic.Bool // this one's lease had ended: others may have taken it for gone

	mu     sync.Mutex
	leases jetstream.KeyValue
	held   time.Time // when the lease was taken or renewed last
	heard  map[string]time.Time
}

func newGateways(opts Options) *gateways {
	return &gateways{opts: opts, instance: rand.Text(), twins: rate.Sometimes{Interval: time.Minute}, heard: make(map[string]time.Time)}
}

// count is how many gateways there are, this one included.
func (g *gateways) count() int { return len(g.others()) + 1 }

// others are the gateways that there are beside this one.
func (g *gateways) others() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []string
	for id, at := range g.heard {
		if time.Since(at) > g.opts.Lease {
			delete(g.heard, id)
		} else if id != g.opts.Gateway {
			all = append(all, id)
		}
	}
	slices.Sort(all)
	return all
}

// list is which gateways were heard of lately.
func (g *gateways) list() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []string
	for id, at := range g.heard {
		if time.Since(at) <= g.opts.Lease {
			all = append(all, id)
		}
	}
	return all
}

// alive says whether a gateway was heard of lately.
func (g *gateways) alive(id string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	at, ok := g.heard[id]
	return ok && time.Since(at) <= g.opts.Lease
}

// lease is the value of a gateway's key.
type lease struct {
	Renewed  time.Time `json:"renewed"`
	Instance string    `json:"instance"`
}

// holdAgain is when a lease that could not be renewed is tried again: an election takes long enough.
const holdAgain = 500 * time.Millisecond

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
	if !g.held.IsZero() && time.Since(g.held) > g.opts.Lease*3/4 {
		g.lapsed.Store(true)
	}
	g.held = began
	return nil
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
	for {
		select {
		case <-ctx.Done():
			return
		case <-renew.C:
			next := g.opts.Lease / 3
			if err := g.hold(ctx, leases); err != nil && ctx.Err() == nil {
				g.opts.Log.Warn("the gateway's lease was not renewed", "error", err)
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

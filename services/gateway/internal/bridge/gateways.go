package bridge

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// gateways knows how many gateways are alive. Each holds a key in a bucket and renews it; one that was not
// heard of for the length of a lease is gone.
type gateways struct {
	opts Options

	mu     sync.Mutex
	leases jetstream.KeyValue
	heard  map[string]time.Time
}

func newGateways(opts Options) *gateways {
	return &gateways{opts: opts, heard: make(map[string]time.Time)}
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

// hold takes or renews this gateway's lease.
func (g *gateways) hold(ctx context.Context, leases jetstream.KeyValue) error {
	value, err := json.Marshal(map[string]time.Time{"renewed": time.Now().UTC()})
	if err != nil {
		return err
	}
	if _, err := leases.Put(ctx, g.opts.Gateway, value); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.leases = leases
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
			if err := g.hold(ctx, leases); err != nil && ctx.Err() == nil {
				g.opts.Log.Warn("the gateway's lease was not renewed", "error", err)
			}
		case entry := <-updates:
			g.hear(entry)
		}
		g.opts.Metrics.Gateways(g.count())
	}
}

func (g *gateways) hear(entry jetstream.KeyValueEntry) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if entry.Operation() == jetstream.KeyValuePut {
		g.heard[entry.Key()] = time.Now()
	} else {
		delete(g.heard, entry.Key())
	}
}

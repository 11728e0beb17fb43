package bridge

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/provision"
)

// namespaces is the configuration of all namespaces, as it stands in a bucket that this gateway, its peers
// and services write; a change applies at once.
type namespaces struct {
	opts Options

	patterns  *patterns         // subscriptions; of the goroutine that loads and follows
	reordered func(name string) // told, after the fact, that another service than before shall take sockets

	mu        sync.RWMutex
	known     map[string]contract.Namespace
	order     []string          // the patterns among them, by precedence
	functions []string          // the functions among them
	claims    map[string]*claim // namespaces that exist because a function said so, while somebody is in them

	// Of the goroutine that declares, loads and follows.
	declared bool      // once, since this process has started
	made     time.Time // when the bucket was
	latest   map[string]jetstream.KeyValueEntry
}

func newNamespaces(opts Options, p *patterns) *namespaces {
	return &namespaces{opts: opts, patterns: p, known: make(map[string]contract.Namespace), latest: make(map[string]jetstream.KeyValueEntry), claims: make(map[string]*claim)}
}

// find looks up a namespace's configuration and the name under which it stands: its own, else that of the first
// pattern that stands for it, else that of the function that made it exist. A pattern itself is no namespace that anybody is in.
func (n *namespaces) find(name string) (configured string, ns contract.Namespace, ok bool) {
	if contract.IsPattern(name) {
		return "", contract.Namespace{}, false
	}
	n.mu.RLock()
	defer n.mu.RUnlock()
	if ns, ok = n.known[name]; ok {
		return name, ns, true
	}
	for _, p := range n.order {
		if contract.MatchNamespace(p, name) {
			_, err := contract.EncodeNamespace(name) // clients choose it
			return p, n.known[p], err == nil
		}
	}
	if c := n.claims[name]; c != nil {
		ns, ok = n.known[c.function]
		return c.function, ns, ok
	}
	return "", contract.Namespace{}, false
}

// patternNames lists the patterns.
func (n *namespaces) patternNames() []string {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return slices.Clone(n.order)
}

// pattern is the pattern from which a namespace has its configuration, or "".
func (n *namespaces) pattern(name string) string {
	if configured, _, ok := n.find(name); ok && configured != name {
		return configured
	}
	return ""
}

// set makes a configuration known, or forgets it.
func (n *namespaces) set(name string, ns *contract.Namespace) {
	isPattern := contract.IsPattern(name)
	if isPattern && ns != nil {
		if err := n.patterns.add(name); err != nil { // before anybody can enter
			n.opts.Log.Error("a namespace pattern cannot be served", "namespace", name, "error", err)
			return
		}
	}
	n.mu.Lock()
	reordered := ns != nil && ns.Ordered != "" && ns.Ordered != n.known[name].Ordered
	if ns != nil {
		n.known[name] = *ns
	} else {
		delete(n.known, name)
	}
	if isPattern {
		n.order, n.functions = nil, nil
		for known := range n.known {
			switch {
			case contract.IsFunction(known):
				n.functions = append(n.functions, known)
			case contract.IsPattern(known):
				n.order = append(n.order, known)
			}
		}
		slices.SortFunc(n.order, contract.ComparePatterns)
		slices.Sort(n.functions)
	}
	n.mu.Unlock()
	if isPattern && ns == nil {
		n.patterns.remove(name)
	}
	if reordered {
		n.reordered(name)
	}
}

// load reads all that is there, and forgets what was removed while NATS was away. It asks again what is not answered: until
// then nothing is delivered, and an answer may be lost with a server that has just gone.
//
// What was removed has left a mark. What is not there at all is removed only if the bucket is another one: else the copy that answers
// may be behind, or servers have forgotten it, and it stays in force.
func (n *namespaces) load(ctx context.Context, kv jetstream.KeyValue) error {
	status, err := provision.Repeat(ctx, func(ctx context.Context) (jetstream.KeyValueStatus, error) { return kv.Status(ctx) })
	if err != nil {
		return fmt.Errorf("namespaces: %w", err)
	}
	bucket, ok := status.(*jetstream.KeyValueBucketStatus)
	if !ok {
		return fmt.Errorf("namespaces: not a bucket: %T", status)
	}
	entries, err := provision.Repeat(ctx, func(ctx context.Context) ([]jetstream.KeyValueEntry, error) {
		return listed(ctx, kv, bucket.StreamInfo().State.LastSeq)
	})
	if err != nil {
		return fmt.Errorf("namespaces: %w", err)
	}
	if made := bucket.StreamInfo().Created; !made.Equal(n.made) {
		n.made = made
		clear(n.latest)
		n.mu.RLock()
		known := slices.Collect(maps.Keys(n.known))
		n.mu.RUnlock()
		for _, name := range known {
			key, err := contract.EncodeNamespace(name)
			if err != nil || !slices.ContainsFunc(entries, func(e jetstream.KeyValueEntry) bool { return e.Key() == key }) {
				n.set(name, nil)
			}
		}
	}
	for _, entry := range entries {
		n.apply(entry)
	}
	return nil
}

const (
	listTries = 20
	listAgain = 50 * time.Millisecond
)

// listed are the latest entries of all keys, marks of those that were removed among them. It asks again, for a second, while the copy that
// answers has not come to a revision. One that was purged never comes.
func listed(ctx context.Context, kv jetstream.KeyValue, revision uint64) (all []jetstream.KeyValueEntry, err error) {
	for range listTries {
		if all, err = list(ctx, kv); err != nil || len(all) > 0 && all[len(all)-1].Revision() >= revision {
			return all, err
		}
		if revision == 0 {
			break
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(listAgain):
		}
	}
	return all, nil
}

func list(ctx context.Context, kv jetstream.KeyValue) (all []jetstream.KeyValueEntry, err error) {
	watcher, err := kv.WatchAll(ctx)
	if err != nil {
		return nil, err
	}
	defer watcher.Stop() //nolint:errcheck // fails only on a closed connection
	for {
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case entry, ok := <-watcher.Updates():
			if !ok {
				return nil, nats.ErrConnectionClosed
			}
			if entry == nil { // those were all
				return all, nil
			}
			all = append(all, entry)
		}
	}
}

// follow applies changes until the context ends.
func (n *namespaces) follow(ctx context.Context, kv jetstream.KeyValue) {
	updates := watch(ctx, kv, n.opts.Log)
	for {
		select {
		case <-ctx.Done():
			return
		case entry := <-updates:
			n.apply(entry)
		}
	}
}

// apply takes over an entry, unless a later one is known, which a copy of the bucket that is behind has not.
func (n *namespaces) apply(entry jetstream.KeyValueEntry) {
	// By both, since revisions repeat where a server lost power, and clocks of servers differ.
	if latest := n.latest[entry.Key()]; latest != nil && entry.Revision() < latest.Revision() && entry.Created().Before(latest.Created()) {
		return
	}
	n.latest[entry.Key()] = entry
	if entry.Operation() != jetstream.KeyValuePut {
		if name, err := contract.DecodeNamespace(entry.Key()); err == nil {
			n.mu.RLock()
			_, known := n.known[name]
			n.mu.RUnlock()
			if !known {
				return // it was removed before this gateway started
			}
			n.set(name, nil)
			n.opts.Log.Info("a namespace was removed; who is in it stays", "namespace", name)
		}
		return
	}
	name, ns, err := contract.ParseNamespace(entry.Key(), entry.Value())
	if err != nil {
		n.opts.Log.Error("a namespace's configuration is not valid; what was known of it stays in force", "key", entry.Key(), "error", err)
		return
	}
	n.set(name, &ns)
}

// watch hands out the bucket's entries, those that are there and every later change, until the context
// ends. It begins again when it fails.
func watch(ctx context.Context, kv jetstream.KeyValue, log *slog.Logger) <-chan jetstream.KeyValueEntry {
	out := make(chan jetstream.KeyValueEntry)
	go func() {
		for ctx.Err() == nil {
			w, err := kv.WatchAll(ctx)
			if err != nil && ctx.Err() != nil {
				return
			}
			if err != nil {
				log.Warn("following a bucket failed, trying again", "bucket", kv.Bucket(), "error", err)
				select {
				case <-ctx.Done():
				case <-time.After(time.Second):
				}
				continue
			}
			forward(ctx, w, out)
			_ = w.Stop() // fails only on a closed connection
		}
	}()
	return out
}

func forward(ctx context.Context, w jetstream.KeyWatcher, out chan<- jetstream.KeyValueEntry) {
	for {
		select {
		case <-ctx.Done():
			return
		case entry, ok := <-w.Updates():
			if !ok {
				return
			}
			if entry == nil {
				continue // all that was there has been said
			}
			select {
			case out <- entry:
			case <-ctx.Done():
				return
			}
		}
	}
}

package bridge

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/provision"
)

// declare writes the namespaces of this gateway's own configuration: when it starts, where they differ from what is there;
// later, when NATS has come back, maybe empty, only those that are missing, since what differs was changed by
// somebody after this gateway had its say. What services have added stays, and which of them takes the sockets if the
// configuration does not say.
//
// What is built in yields to what other gateways go by, except to what was built into an earlier version: the latest
// version's counts, in whatever order gateways start. What somebody has stated yields to nothing.
func (n *namespaces) declare(ctx context.Context, kv jetstream.KeyValue, peers bool) error {
	for _, name := range slices.Sorted(maps.Keys(n.opts.Namespaces)) {
		key, err := contract.EncodeNamespace(name)
		if err != nil {
			return err
		}
		for {
			_, err := provision.Repeat(ctx, func(ctx context.Context) (any, error) {
				return nil, n.declareOne(ctx, kv, name, key, peers)
			})
			if err == nil {
				break
			}
			if !errors.Is(err, jetstream.ErrKeyExists) {
				return fmt.Errorf("declaring the namespace %s: %w", name, err)
			}
		}
	}
	n.declared = true
	return nil
}

// declareOne fails with ErrKeyExists when somebody else wrote at the same time.
func (n *namespaces) declareOne(ctx context.Context, kv jetstream.KeyValue, name, key string, peers bool) error {
	ns := n.opts.Namespaces[name]
	earlier, builtIn := n.opts.BuiltIn[name]
	entry, err := kv.Get(ctx, key)
	if err != nil && !errors.Is(err, jetstream.ErrKeyNotFound) {
		return err
	}
	var outdated bool // what is there was built into an earlier version
	if entry != nil {
		if _, there, err := contract.ParseNamespace(key, entry.Value()); err == nil {
			ns = withAdded(ns, there)
			if reflect.DeepEqual(normal(ns), normal(there)) {
				return nil
			}
			outdated = slices.Contains(earlier, Fingerprint(there))
		}
		switch {
		case outdated:
		case n.declared:
			return nil
		case builtIn && peers:
			n.opts.Log.Warn("a namespace has another configuration than the built-in one while other gateways run; it stays in force for this gateway too. "+
				"Unless it is that of a later version, start this one with the same settings as they have: --no-chat, or the same namespaces: in its file",
				"namespace", name)
			return nil
		}
	}
	value, err := json.Marshal(ns)
	if err != nil {
		return err
	}
	if entry == nil {
		_, err = kv.Create(ctx, key, value)
		return err
	}
	if _, err = kv.Update(ctx, key, value, entry.Revision()); err != nil {
		return err
	}
	switch {
	case outdated:
		n.opts.Log.Info("the built-in configuration of a namespace has replaced that of an earlier version, for all gateways", "namespace", name)
	case peers:
		n.opts.Log.Warn("this gateway's settings have replaced the configuration of a namespace, for the gateways that run already too; run all of them with the same settings", "namespace", name)
	}
	return nil
}

// withAdded is the configuration with what services add to one that is there.
func withAdded(ns, there contract.Namespace) contract.Namespace {
	ns.Registered = there.Registered
	ns.RoomEvents = ns.RoomEvents || there.RoomEvents
	if ns.Ordered == "" {
		ns.Ordered = there.Ordered
	}
	return ns
}

// Fingerprint tells a namespace's configuration from others, whatever services have added to it: 16 hex digits.
func Fingerprint(ns contract.Namespace) string {
	ns.Registered, ns.RoomEvents, ns.Ordered = nil, false, ""
	b, err := json.Marshal(ns)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// normal is the namespace as it comes out of JSON.
func normal(ns contract.Namespace) contract.Namespace {
	b, err := json.Marshal(ns)
	if err != nil {
		return ns
	}
	var out contract.Namespace
	if json.Unmarshal(b, &out) != nil {
		return ns
	}
	return out
}

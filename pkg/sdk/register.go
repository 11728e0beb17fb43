package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
)

const (
	registerTimeout = 2 * time.Second // of one attempt
	retryFirst      = 250 * time.Millisecond
	retryMost       = 5 * time.Second
	dropReport      = 10 * time.Second // between looks at what was dropped
)

// wanted is the configuration with which the namespace is made if it is not there.
func (n *Namespace) wanted() contract.Namespace {
	c := n.config
	c.Registered = n.missing(c)
	c.RoomEvents = c.RoomEvents || len(n.rooms) > 0
	return c
}

// missing is what the namespace's configuration registers, with the middlewares that it does not ask yet.
func (n *Namespace) missing(c contract.Namespace) []string {
	registered := slices.Clone(c.Registered)
	for _, u := range n.uses {
		if !slices.Contains(c.Use, u.name) && !slices.Contains(registered, u.name) {
			registered = append(registered, u.name)
		}
	}
	return registered
}

// register makes the namespaces known to the gateways; one that cannot be does not keep the others from it.
func (r *run) register(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, registerTimeout)
	defer cancel()
	s := r.server
	bucket := s.subjects.Names().Namespaces
	if len(r.namespaces) == 0 {
		return nil
	}
	kv, err := s.js.KeyValue(ctx, bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return fmt.Errorf("%w: a gateway makes the bucket %s when it starts", err, bucket)
	}
	if err != nil {
		return fmt.Errorf("bucket %s: %w", bucket, err)
	}
	var failed []error
	for _, name := range slices.Sorted(maps.Keys(r.namespaces)) {
		if err := r.namespaces[name].publish(ctx, kv); err != nil {
			failed = append(failed, fmt.Errorf("bucket %s: namespace %s: %w", bucket, name, err))
		}
	}
	return errors.Join(failed...)
}

// publish makes the namespace if it is not there, else adds the middlewares that it does not use yet, and that the service
// takes its sockets if it does.
func (n *Namespace) publish(ctx context.Context, kv jetstream.KeyValue) error {
	key, err := contract.EncodeNamespace(n.name)
	if err != nil {
		return err
	}
	value, err := encodeJSON(n.wanted())
	if err != nil {
		return err
	}
	for {
		_, err := kv.Create(ctx, key, value)
		if !errors.Is(err, jetstream.ErrKeyExists) {
			return err
		}
		entry, err := kv.Get(ctx, key)
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			continue // deleted in between
		}
		if err != nil {
			return err
		}
		n.warnOfRules(entry.Value())
		changed, err := n.amend(entry.Value())
		if err != nil || changed == nil {
			return err
		}
		_, err = kv.Update(ctx, key, changed, entry.Revision())
		if !errors.Is(err, jetstream.ErrKeyExists) {
			return err
		}
	}
}

// warnOfRules says which handlers are never called, since gateways do something else with the event or let nobody in.
func (n *Namespace) warnOfRules(value []byte) {
	var known contract.Namespace
	if json.Unmarshal(value, &known) != nil {
		return // amend says so
	}
	if known.Ordered == n.server.opts.Name && !n.ordered() {
		n.server.log.Warn("nobody can enter the namespace: its configuration has this service take the sockets, which was not made to; declare it with Ordered, or take ordered out of the configuration",
			"namespace", n.name)
	}
	for _, event := range slices.Sorted(maps.Keys(n.events)) {
		if rule, ok := known.Events[event]; ok && rule.Action != contract.ActionService {
			n.server.log.Warn("the handlers of this event are never called: the namespace's configuration has a rule for it; take the rule out, or give the event another name",
				"namespace", n.name, "event", event, "action", string(rule.Action))
		}
	}
}

// amend adds the middlewares, who takes the sockets, and that room events are wanted to a configuration and leaves its other fields as they are, those too that this
// version does not know. nil: nothing to add.
func (n *Namespace) amend(value []byte) ([]byte, error) {
	var fields map[string]json.RawMessage
	var known contract.Namespace
	if err := errors.Join(json.Unmarshal(value, &fields), json.Unmarshal(value, &known)); err != nil || fields == nil {
		return nil, fmt.Errorf("the configuration is not what it should be, correct it: %.100q: %w", value, err)
	}
	if n.ordered() && known.Ordered != "" && known.Ordered != n.config.Ordered {
		return nil, fmt.Errorf("%w: %s", ErrOrdered, known.Ordered)
	}
	registered := n.missing(known)
	takes := n.ordered() && known.Ordered == ""
	rooms := len(n.rooms) > 0 && !known.RoomEvents
	if len(registered) == len(known.Registered) && !takes && !rooms {
		return nil, nil
	}
	var err error
	if len(registered) > 0 {
		if fields["registered"], err = encodeJSON(registered); err != nil {
			return nil, err
		}
	}
	if rooms {
		fields["roomEvents"] = json.RawMessage("true")
	}
	if takes {
		if fields["ordered"], err = encodeJSON(n.config.Ordered); err != nil {
			return nil, err
		}
	}
	return encodeJSON(fields)
}

// keep registers again until it succeeds and after every reconnect, since the bucket may be a new one then,
// and reports what was dropped.
func (r *run) keep(failed error) {
	defer close(r.keeper)
	nc, log := r.server.nc, r.server.log
	status := nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer nc.RemoveStatusListener(status)
	if nc.IsClosed() {
		close(r.closed)
		return
	}
	report := time.NewTicker(dropReport)
	defer report.Stop()
	retry := time.NewTimer(retryFirst)
	defer retry.Stop()
	wait := retryFirst
	var said string
	settle := func() {
		if failed == nil {
			retry.Stop()
			return
		}
		starting := errors.Is(failed, jetstream.ErrBucketNotFound) && wait < retryMost // so may be the first gateway
		if r.ctx.Err() == nil && failed.Error() != said && !starting {
			said = failed.Error()
			log.Warn("namespaces are not registered yet, trying on", "error", failed)
		}
		retry.Reset(wait)
		wait = min(2*wait, retryMost)
	}
	settle()
	for {
		select {
		case <-r.ctx.Done():
			return
		case now, ok := <-status:
			if !ok || now == nats.CLOSED {
				close(r.closed)
				return
			}
			wait = retryFirst
		case <-retry.C:
		case <-report.C:
			r.reportDrops()
			continue
		}
		failed = r.register(r.ctx)
		r.announce(failed)
		settle()
	}
}

// announce says, once, which namespaces are registered.
func (r *run) announce(failed error) {
	if failed != nil || r.announced || len(r.namespaces) == 0 {
		return
	}
	r.announced = true
	r.server.log.Info("namespaces are registered", "namespaces", slices.Sorted(maps.Keys(r.namespaces)))
}

// reportDrops says how many events were dropped since the last report, and what bounds them.
func (r *run) reportDrops() {
	log := r.server.log
	if n := r.dropped(); n > r.dropsTold[0] {
		log.Warn("events came faster than handlers could take them and were dropped: Options.Backlog may wait", "dropped", n-r.dropsTold[0], "total", n)
		r.dropsTold[0] = n
	}
	if n := r.server.stats.flooded.Load(); n > r.dropsTold[1] {
		log.Warn("events of sockets that said more than their handlers could take were dropped: an eighth of Options.Backlog may wait for one socket",
			"dropped", n-r.dropsTold[1], "total", n, "may wait", r.lanes.keyed)
		r.dropsTold[1] = n
	}
	r.flooded.Store(false)
}

// subscription remembers its drops beyond its end.
type subscription struct {
	*nats.Subscription
	drops atomic.Uint64
}

// dropped is how many messages NATS could not hand over.
func (r *run) dropped() uint64 {
	var sum uint64
	for _, sub := range r.subs {
		if n, err := sub.Dropped(); err == nil {
			sub.drops.Store(uint64(n))
		}
		sum += sub.drops.Load()
	}
	return sum
}

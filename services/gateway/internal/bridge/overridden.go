package bridge

import "github.com/natter-io/natter/pkg/contract"

// compare warns when somebody replaces the configuration of a namespace that was in force as this gateway's own settings have it: that is so
// while gateways get new settings one after the other, and if one was started with other settings by mistake.
func (n *namespaces) compare(name string, now contract.Namespace) {
	own, stated := n.opts.Namespaces[name]
	if !stated {
		return
	}
	differs := Fingerprint(now) != Fingerprint(own)
	if differs == n.overridden[name] {
		return
	}
	if differs {
		n.overridden[name] = true
	} else {
		delete(n.overridden, name)
	}
	n.opts.Metrics.Overridden(len(n.overridden))
	if before, known := n.known[name]; differs && known && Fingerprint(before) == Fingerprint(own) { // else this gateway has just started, and declare says so
		n.opts.Log.Warn("the rules of a namespace were replaced by others than this gateway's settings have; what clients say goes by the new ones, at all gateways. "+
			"Unless that is meant: nats kv history "+n.opts.Subjects.Names().Namespaces+", and nats kv revert", "namespace", name)
	}
}

package bridge

import "github.com/natter-io/natter/pkg/contract"

// claim is why a namespace exists that has no configuration: a function said so to the sockets that are in it.
type claim struct {
	function string
	sockets  int
}

// Functions lists what to ask whether a namespace exists, in order; if somebody is in it, the function that said so
// alone: all that are in a namespace at this gateway have one configuration.
func (b *Bridge) Functions(namespace string) []string {
	n := b.spaces
	if _, err := contract.EncodeNamespace(namespace); err != nil || contract.IsPattern(namespace) {
		return nil
	}
	n.mu.RLock()
	defer n.mu.RUnlock()
	if c := n.claims[namespace]; c != nil {
		return []string{c.function}
	}
	return n.functions
}

// Claim gives the namespace its configuration from the function.
func (b *Bridge) Claim(namespace, function string) bool {
	n := b.spaces
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.claims[namespace]
	if c == nil {
		c = &claim{function: function}
		n.claims[namespace] = c
	}
	if c.function != function {
		return false
	}
	c.sockets++
	return true
}

// Disclaim undoes one Claim.
func (b *Bridge) Disclaim(namespace string) {
	n := b.spaces
	n.mu.Lock()
	defer n.mu.Unlock()
	if c := n.claims[namespace]; c != nil {
		if c.sockets--; c.sockets == 0 {
			delete(n.claims, namespace)
		}
	}
}

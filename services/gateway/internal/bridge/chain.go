package bridge

import (
	"time"

	"github.com/natter-io/natter/pkg/contract"
)

// chain is what was read of one path, by kind: JetStream says with each message which one was stored before it on
// the same subject, so that one which was stored but not heard shows with the next.
type chain struct {
	last  [3]uint64 // the last sequence that was read: emit, post, do
	whole bool      // nothing after floor went unnoticed: a fence has passed since the subscription was made
	floor uint64    // what was stored up to here is no concern
	heard time.Time // when a message was read last; of chains without a subscription of their own
}

// link is the place of a kind in a chain.
func link(kind contract.Kind) int {
	switch kind {
	case contract.Emit:
		return 0
	case contract.Post:
		return 1
	}
	return 2
}

// verdict says what to do with a message.
type verdict int

const (
	deliver verdict = iota
	twice           // it was read before
	gap             // messages before it were not
)

// judge looks at a message without taking note of it. before is the sequence of its predecessor, if that is known.
func (c *chain) judge(kind contract.Kind, sequence, before uint64) verdict {
	known := c.read(kind)
	switch {
	case sequence <= c.last[link(kind)]:
		return twice
	case c.whole && before > known && before < sequence:
		return gap
	}
	return deliver
}

// read is how far messages of a kind were read.
func (c chain) read(kind contract.Kind) uint64 { return max(c.last[link(kind)], c.floor) }

// rest is what was not read yet.
func (c chain) rest(path string) want {
	w := want{path: path}
	for i := range w.after {
		w.after[i] = max(c.last[i], c.floor)
	}
	return w
}

package provision

import (
	"maps"

	"github.com/nats-io/nats.go/jetstream"
)

// unowned is the metadata of a stream that was made by another than its owner, who has not said yet how much it keeps.
const unowned = "natter.unowned"

// ownership is the setting that changes when the owner takes a stream over.
const ownership = "owner"

// Unowned says whether the owner of a stream has not taken it over.
func Unowned(cfg jetstream.StreamConfig) bool { return cfg.Metadata[unowned] != "" }

// owner says what follows from who owns a stream: which limits are not raised as usual, and what is changed instead.
type owner struct {
	decided map[string]bool // settings of limits that stand
	changes []change
}

// newOwner compares a stream with what is wanted by its owner, or by another (marked as unowned), who has no say in what
// the stream keeps. The owner takes over one that another made: what that chose was nobody's wish, and may be lowered.
func newOwner(have, want jetstream.StreamConfig) (o owner) {
	another, free := want.Metadata[unowned] != "", have.Metadata[unowned] != ""
	if !another && !free {
		return o
	}
	o.decided = make(map[string]bool)
	for _, l := range limits {
		if l.setting == replicas {
			continue // raised by whoever has more
		}
		o.decided[l.setting] = true
		if is, n := l.of(&have), l.of(&want); !another && max(is, 0) != max(n, 0) {
			o.changes = append(o.changes, change{l.setting, l.show(is), l.show(n), false, func(c *jetstream.StreamConfig) { l.set(c, n) }})
		}
	}
	if !another {
		o.changes = append(o.changes, change{ownership, "", "", false, func(c *jetstream.StreamConfig) {
			c.Metadata = maps.Clone(c.Metadata)
			delete(c.Metadata, unowned)
		}})
	}
	return o
}

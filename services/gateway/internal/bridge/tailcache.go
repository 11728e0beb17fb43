package bridge

import (
	"cmp"
	"slices"
	"time"

	"github.com/natter-io/natter/pkg/contract"
)

// tailCache is what was read lately, by subject.
type tailCache struct {
	parts map[string]*part
	paths map[string][]string // the subjects of a path that were read
	size  int
}

// part is all that was stored on a subject after a sequence, up to another.
type part struct {
	path        string
	kind        contract.Kind
	after, upTo uint64
	messages    []stored // in order
	used        time.Time
}

// Bounds of the cache: it serves those who come back at about the same time.
const (
	cacheFor  = 15 * time.Second
	cacheSize = 64 << 20
)

// part finds what was read of a subject; if nothing was, it begins after a sequence.
func (c *tailCache) part(subject, path string, kind contract.Kind, after uint64) *part {
	p := c.parts[subject]
	if p == nil {
		if c.parts == nil {
			c.parts = make(map[string]*part)
			c.paths = make(map[string][]string)
		}
		p = &part{path: path, kind: kind, after: after, upTo: after}
		c.parts[subject] = p
		c.paths[path] = append(c.paths[path], subject)
	}
	p.used = time.Now()
	return p
}

// prepend takes in what was read after a sequence that is before the part; what the part has may be among it.
func (c *tailCache) prepend(p *part, after uint64, messages []stored) {
	n, _ := position(messages, p.after+1)
	for _, m := range messages[:n] {
		c.size += m.msg.Size()
	}
	// Those that are handed out are slices of the old array.
	p.messages = slices.Concat(messages[:n], p.messages)
	p.after = after
}

// expected is how many messages there may be among n sequences, if they are as frequent as those that are known: a Direct
// Get says how many it wants, not where it ends.
func (p *part) expected(n uint64) int {
	if p.upTo == p.after {
		return 1
	}
	return min(fetchBatch, 1+int(float64(n)*float64(len(p.messages))/float64(p.upTo-p.after)))
}

// add takes in what was read after the part's end, up to a sequence.
func (c *tailCache) add(p *part, upTo uint64, messages []stored) {
	p.messages = append(p.messages, messages...)
	for _, m := range messages {
		c.size += m.msg.Size()
		upTo = max(upTo, m.sequence) // what was stored meanwhile came along
	}
	p.upTo = max(p.upTo, upTo)
}

// position finds the first message with a sequence, or after it.
func position(messages []stored, sequence uint64) (int, bool) {
	return slices.BinarySearchFunc(messages, sequence, func(m stored, sequence uint64) int { return cmp.Compare(m.sequence, sequence) })
}

func (c *tailCache) remove(subject string) {
	p := c.parts[subject]
	for _, m := range p.messages {
		c.size -= m.msg.Size()
	}
	delete(c.parts, subject)
	c.paths[p.path] = slices.DeleteFunc(c.paths[p.path], func(s string) bool { return s == subject })
	if len(c.paths[p.path]) == 0 {
		delete(c.paths, p.path)
	}
}

// collect is what one reading wants, in order.
func (c *tailCache) collect(r *reading) []stored {
	var all []stored
	for _, w := range r.wants {
		for _, subject := range c.paths[w.path] {
			p := c.parts[subject]
			after := w.after[link(p.kind)]
			if after >= r.upTo {
				continue
			}
			from, _ := position(p.messages, after+1)
			to, _ := position(p.messages, r.upTo+1)
			all = append(all, p.messages[from:to]...)
		}
	}
	slices.SortFunc(all, func(a, b stored) int { return cmp.Compare(a.sequence, b.sequence) })
	return all
}

// trim forgets what was not used for a while, or everything if it is too much.
func (c *tailCache) trim(now time.Time) {
	for subject, p := range c.parts {
		if c.size > cacheSize || now.Sub(p.used) > cacheFor {
			c.remove(subject)
		}
	}
}

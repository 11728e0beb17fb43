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
	owed        bool // to one whose round failed, and who goes on from here
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

// take takes in what was read of a subject, all after a sequence up to another. The part reaches to the first of them at least.
func (c *tailCache) take(p *part, after, upTo uint64, messages []stored) {
	if after < p.after && upTo < p.after { // something between is not here
		c.size -= size(p.messages)
		p.after, p.upTo, p.messages = after, after, nil
	}
	if after < p.after {
		n, _ := position(messages, p.after+1)
		c.size += size(messages[:n])
		p.messages = slices.Concat(messages[:n], p.messages) // those that are handed out are slices of the old array
		p.after = after
	}
	if upTo > p.upTo {
		n, _ := position(messages, p.upTo+1)
		c.size += size(messages[n:])
		p.messages = append(p.messages, messages[n:]...)
		p.upTo = upTo
	}
}

func size(messages []stored) (bytes int) {
	for _, m := range messages {
		bytes += m.msg.Size()
	}
	return bytes
}

// expected is how many messages there may be among n sequences, if they are as frequent as those that are known: a Direct
// Get says how many it wants, not where it ends.
func (p *part) expected(n uint64) int {
	if p.upTo == p.after {
		return 1
	}
	return min(fetchBatch, 1+int(float64(n)*float64(len(p.messages))/float64(p.upTo-p.after)))
}

// position finds the first message with a sequence, or after it.
func position(messages []stored, sequence uint64) (int, bool) {
	return slices.BinarySearchFunc(messages, sequence, func(m stored, sequence uint64) int { return cmp.Compare(m.sequence, sequence) })
}

func (c *tailCache) remove(subject string) {
	p := c.parts[subject]
	c.size -= size(p.messages)
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
			p.owed = false
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

// owe keeps what there is for a reading that failed.
func (c *tailCache) owe(r *reading) {
	for _, w := range r.wants {
		for _, subject := range c.paths[w.path] {
			c.parts[subject].used, c.parts[subject].owed = time.Now(), true
		}
	}
}

// trim forgets what was not used for a while, or, if it is too much, all that nobody goes on from.
func (c *tailCache) trim(now time.Time, limit int) {
	for subject, p := range c.parts {
		if c.size > limit && !p.owed || now.Sub(p.used) > cacheFor {
			c.remove(subject)
		}
	}
}

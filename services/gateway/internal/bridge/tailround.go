package bridge

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
)

// readBehind is how many sequences before the one that is wanted are read, too: others who come back may want them.
const readBehind = 256

// errand is to read a subject, all that is not in its part yet.
type errand struct {
	subject  string
	part     *part
	from, to uint64   // after, up to
	found    []stored // by readAll
}

// serve sees to it that the cache has what the group wants. That is in memory once, however many want it, and the cache is trimmed
// afterwards: so it is at most what the stream holds for the rooms and sockets of this gateway, of the few minutes that it keeps
// (streamMaxBytes bounds it in bytes). The reader of live messages cannot do with less, since it may pass nothing over; what is
// too much for a client's queue its session refuses.
//
// A round that takes too long fails, so that others have their turn. What it got is in the cache, and who asks for the same again
// goes on from there. Then it returns the paths of which something is missing, with how many subjects; nil if it is not known.
func (t *tail) serve(ctx context.Context, group []*reading) (open map[string]int, err error) {
	after, upTo := together(group)
	errands, err := t.errands(ctx, after, upTo)
	if err != nil {
		return nil, err
	}
	open = make(map[string]int)
	for _, e := range errands {
		open[e.part.path]++
	}
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	for _, orders := range []bool{false, true} { // which may be wanted from much further back
		some := slices.DeleteFunc(slices.Clone(errands), func(e *errand) bool { return (e.part.kind == contract.Do) != orders })
		if err := t.readAll(ctx, some); err != nil {
			return open, err
		}
	}
	for _, e := range errands {
		if err := t.do(ctx, e); err != nil {
			return open, err
		}
		e.part.upTo = max(e.part.upTo, upTo)
		open[e.part.path]--
	}
	return open, nil
}

// together is what a group wants: what was stored on each path after a sequence, by link, and up to which one.
func together(group []*reading) (after map[string][3]uint64, upTo uint64) {
	after = make(map[string][3]uint64)
	for _, r := range group {
		upTo = max(upTo, r.upTo)
		for _, w := range r.wants {
			a, ok := after[w.path]
			for i := range a {
				if !ok || w.after[i] < a[i] {
					a[i] = w.after[i]
				}
			}
			after[w.path] = a
		}
	}
	return after, upTo
}

// errands finds out what the cache does not have. What is stored meanwhile is left for later: else a round that
// goes on from a failed one might never end.
func (t *tail) errands(ctx context.Context, after map[string][3]uint64, upTo uint64) (errands []*errand, err error) {
	for paths := range slices.Chunk(slices.Sorted(maps.Keys(after)), pathsAtOnce) {
		lasts, err := t.lasts(ctx, paths, earliest(paths, after), upTo)
		if err != nil {
			return nil, err
		}
		for subject, last := range lasts {
			path, kind, err := t.path(subject)
			if err != nil {
				return nil, err
			}
			after, to := after[path][link(kind)], min(last, upTo)
			if after >= to {
				continue
			}
			p := t.cache.part(subject, path, kind, before(after, readBehind))
			e := &errand{subject: subject, part: p, from: p.upTo, to: to}
			if after < p.after { // what is between is not here
				e.from = before(after, p.after-after)
			}
			errands = append(errands, e)
		}
	}
	return errands, nil
}

// earliest is the sequence after which anything on the paths is wanted.
func earliest(paths []string, after map[string][3]uint64) uint64 {
	first := after[paths[0]][0]
	for _, path := range paths {
		a := after[path]
		first = min(first, a[0], a[1], a[2])
	}
	return first
}

// before is a sequence that is n before another, or 0.
func before(sequence, n uint64) uint64 { return sequence - min(sequence, n) }

// do reads what is missing of one subject.
func (t *tail) do(ctx context.Context, e *errand) error {
	p := e.part
	if e.from < p.after {
		earlier, err := t.fetch(ctx, e.subject, e.from, p.after, p.expected(p.after-e.from))
		if err != nil {
			t.cache.take(p, e.from, reached(earlier, e.from), earlier)
			return err
		}
		t.cache.take(p, e.from, reached(earlier, p.after), earlier)
	}
	if p.upTo < e.to {
		later, err := t.fetch(ctx, e.subject, p.upTo, e.to, fetchBatch)
		t.cache.take(p, p.upTo, reached(later, p.upTo), later)
		return err
	}
	return nil
}

// reached is the sequence of the last message, or one that was reached without it.
func reached(messages []stored, sequence uint64) uint64 {
	if len(messages) == 0 {
		return sequence
	}
	return max(sequence, messages[len(messages)-1].sequence)
}

// readAll reads, for many subjects at once, all that is in the stream, whomever it is for, if that is quicker: JetStream looks for the
// messages of each subject by itself.
func (t *tail) readAll(ctx context.Context, errands []*errand) error {
	wanted := make(map[string]*errand)
	var from, to uint64
	for _, e := range errands {
		if e.from >= e.part.after && e.to <= e.part.upTo {
			continue
		}
		if len(wanted) == 0 || e.from < from {
			from = e.from
		}
		to = max(to, e.to)
		wanted[e.subject] = e
	}
	if len(wanted) < 2 || to-from > uint64(messagesPerQuestion*len(wanted)) {
		return nil
	}
	last, err := t.between(ctx, from, to, betweenBytes*(1+len(wanted)/pathsAtOnce), func(msg *nats.Msg, s contract.Stored) bool {
		e := wanted[s.Subject]
		if e == nil || s.Sequence <= e.from {
			return false
		}
		e.found = append(e.found, stored{msg, s.Sequence, new(parsed)})
		return true
	})
	for _, e := range wanted {
		if last > e.from {
			t.cache.take(e.part, e.from, last, e.found)
		}
	}
	if errors.Is(err, errTooMuch) {
		return nil // the rest is read one by one
	}
	return err
}

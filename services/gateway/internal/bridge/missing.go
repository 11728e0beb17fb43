package bridge

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/internal/hub"
)

// messagesPerQuestion is how many messages can be read in the time in which the stream says how far it is on pathsAtOnce.
const messagesPerQuestion = 32

// missing returns the subjects on which something for somebody here was stored after a sequence, up to another that is in
// the stream, and was not heard, each with the sequence of such a message, the last but for what was stored since. What is
// under way is among it.
//
// It looks at the messages in between, whomever they are for, or at the subjects that are followed here, whichever are
// fewer. The stream cannot be asked which subjects have changed: it answers only if it has no more than 1024 at all.
func (b *Bridge) missing(ctx context.Context, after, upTo uint64) (map[string]uint64, error) {
	found := make(map[string]uint64)
	see := func(subject string, sequence uint64) {
		if b.unheard(subject, sequence) {
			found[subject] = max(found[subject], sequence)
		}
	}
	if upTo <= after {
		return found, nil
	}
	followed := b.rooms.count() + b.hub.Len()
	if upTo-after <= uint64(messagesPerQuestion*(1+followed/pathsAtOnce)) {
		_, err := b.tail.between(ctx, after, upTo, betweenBytes, func(_ *nats.Msg, s contract.Stored) bool {
			see(s.Subject, s.Sequence)
			return false
		})
		if !errors.Is(err, errTooMuch) {
			return found, err
		}
	}
	for paths := range slices.Chunk(slices.Collect(maps.Keys(b.positions())), pathsAtOnce) {
		lasts, err := b.tail.lasts(ctx, paths, after, upTo)
		if err != nil {
			return nil, err
		}
		for subject, sequence := range lasts {
			see(subject, sequence)
		}
	}
	return found, nil
}

// wants are the parts of the stream that were not read, on the paths of subjects with something that was not.
func (b *Bridge) wants(missing map[string]uint64) (wants []want) {
	seen := make(map[string]bool)
	for subject := range missing {
		path, _, err := b.tail.path(subject)
		if err != nil || seen[path] {
			continue
		}
		seen[path] = true
		if c, ok := b.followed(path); ok {
			wants = append(wants, c.rest(path))
		}
	}
	return wants
}

// unheard says whether a stored message is for somebody here and was not read.
func (b *Bridge) unheard(subject string, sequence uint64) bool {
	path, kind, err := b.tail.path(subject)
	if err != nil {
		return false
	}
	c, ok := b.followed(path)
	return ok && sequence > c.read(kind)
}

// followed is what positions has of one path, without looking at the others.
func (b *Bridge) followed(path string) (chain, bool) {
	if c, known := b.rooms.followed(path); known {
		return c, c.whole
	}
	p, err := b.opts.Subjects.Parse(b.opts.Subjects.Prefix() + "." + string(contract.Emit) + "." + path)
	if err != nil {
		return chain{}, false
	}
	token, rest, _ := strings.Cut(path, ".")
	here := false
	if strings.HasPrefix(rest, contract.TargetSocket+".") {
		here = len(b.hub.Select(hub.Selection{Namespace: p.Namespace, Rooms: p.Target.Rooms()})) > 0
	} else if b.rooms.isWide(token) {
		for _, namespace := range b.hub.Namespaces() {
			own, err := contract.EncodeNamespace(namespace)
			if err != nil || b.spaces.pattern(namespace) != p.Namespace {
				continue
			}
			c, _ := b.rooms.followed(own + "." + rest)
			here = here || c.whole
		}
	}
	c := b.rooms.position(path)
	return c, here && c.whole
}

// positions is how far each path has been read, on which something for a socket here may be stored.
func (b *Bridge) positions() map[string]chain {
	all := b.rooms.positions()
	for _, namespace := range b.hub.Namespaces() {
		token, err := contract.EncodeNamespace(namespace)
		if err != nil {
			continue
		}
		for _, s := range b.hub.Select(hub.Selection{Namespace: namespace}) {
			path := token + "." + contract.TargetSocket + "." + s.ID()
			if c := b.rooms.position(path); c.whole {
				all[path] = c
			}
		}
		if pattern, err := contract.EncodeNamespace(b.spaces.pattern(namespace)); err == nil && b.spaces.pattern(namespace) != "" {
			for path := range all {
				if rest, ok := strings.CutPrefix(path, token+"."); ok && !strings.HasPrefix(rest, contract.TargetSocket) {
					if c := b.rooms.position(pattern + "." + rest); c.whole {
						all[pattern+"."+rest] = c
					}
				}
			}
		}
	}
	return all
}

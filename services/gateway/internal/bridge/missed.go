package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/internal/hub"
	"github.com/natter-io/natter/services/gateway/internal/session"
	"github.com/natter-io/natter/services/gateway/internal/transport"
)

// Missed reads what a socket missed until now: what was said to it, and what services ordered for it, in the order of the
// stream. A room into which it was moved meanwhile is joined here and read, too.
func (b *Bridge) Missed(ctx context.Context, s *session.Socket, from uint64, was session.Saved) (session.Missed, error) {
	epoch := b.Epoch()
	if epoch != s.Epoch() { // what it missed is gone
		return session.Missed{Ended: true}, nil
	}
	last, err := b.fence.wait(ctx)
	if err != nil {
		return session.Missed{}, err
	}
	if b.sessions.superseded(s.ID(), s.Claimed()) {
		return session.Missed{}, session.ErrClaimed
	}
	if from > last { // the client lies; or whoever answered the fence leads the stream no more, which is for the client to try again
		certain, err := b.reached(ctx)
		if err == nil && certain > from {
			err = fmt.Errorf("%w: a server that leads the stream no more has answered", session.ErrUnavailable)
		}
		return session.Missed{Ended: err == nil}, err
	}
	read := make(map[string]uint64)
	maps.Copy(read, was.Rooms)
	for _, stay := range was.Stays {
		if after, ok := read[stay.Room]; stay.UpTo > from && (!ok || stay.After < after) {
			read[stay.Room] = stay.After
		}
	}
	for {
		wants, err := b.wantsOf(s, from, was.At, read)
		if err != nil {
			return session.Missed{}, err
		}
		messages, err := b.tail.read(ctx, wants, last)
		if err != nil {
			return session.Missed{}, err
		}
		r := replay{bridge: b, socket: s, epoch: epoch, at: was.At, rooms: make(map[string]uint64), stays: slices.Clone(was.Stays)}
		maps.Copy(r.rooms, was.Rooms)
		for _, m := range messages {
			r.take(m)
		}
		grew := false
		for room, sequence := range r.joined {
			if _, ok := read[room]; !ok {
				grew, read[room] = true, sequence
			}
		}
		if grew {
			continue
		}
		if gone, err := b.forgotten(ctx, from, was.Since); err != nil || gone {
			return session.Missed{Ended: gone}, err
		}
		r.missed.UpTo = last
		r.missed.More, err = s.MoveTo(ctx, r.rooms, r.stays)
		return r.missed, err
	}
}

// wantsOf are the parts of the stream that are for a socket: what was said after a sequence, and what was ordered after another. The client
// may have heard what came after an order whose effect was not stored.
func (b *Bridge) wantsOf(s *session.Socket, from, at uint64, rooms map[string]uint64) ([]want, error) {
	names := []string{s.Namespace()}
	if pattern := b.spaces.pattern(s.Namespace()); pattern != "" {
		names = append(names, pattern)
	}
	var wants []want
	for _, name := range names {
		for _, target := range []contract.Target{contract.All(), many, contract.To(s.ID())} {
			path, err := b.rooms.path(name, target)
			if err != nil {
				return nil, err
			}
			wants = append(wants, want{path, [3]uint64{from, from, at}})
		}
		for room, joined := range rooms {
			path, err := b.rooms.path(name, contract.To(room))
			if err != nil {
				return nil, err
			}
			from, at := max(from, joined), max(at, joined)
			wants = append(wants, want{path, [3]uint64{from, from, at}})
		}
	}
	return wants, nil
}

// replay goes through what was stored while a client was away.
type replay struct {
	bridge *Bridge
	socket *session.Socket
	epoch  string
	at     uint64            // orders up to here have taken effect
	rooms  map[string]uint64 // in which the socket is at this point of the stream, with where it joined
	stays  []session.Stay    // in which it was before
	joined map[string]uint64 // by order, for the first time
	missed session.Missed
}

func (r *replay) take(m stored) {
	a := m.address(r.bridge)
	if a.err != nil || !a.here || !r.means(a.sel, m.sequence) {
		return // the reader of live messages tells of malformed ones
	}
	if a.kind == contract.Do {
		if m.sequence > r.at {
			r.order(m.sequence, m.msg.Data)
		}
		return
	}
	packet, err := r.bridge.packets.get(r.epoch, r.socket.Namespace(), m.sequence, func() (*transport.Message, error) {
		h := contract.Header(m.msg.Header)
		s, err := contract.ParseStored(h)
		if err != nil {
			return nil, err
		}
		return r.bridge.packet(r.socket.Namespace(), a.kind, s, r.epoch, m.sequence, h, m.msg.Data)
	})
	if err == nil {
		r.missed.Packets = append(r.missed.Packets, packet)
	}
}

// means says whether a message at a sequence is for the socket.
func (r *replay) means(sel hub.Selection, sequence uint64) bool {
	in := func(name string) bool {
		joined, ok := r.rooms[name]
		return name == r.socket.ID() || ok && sequence > joined || slices.ContainsFunc(r.stays, func(stay session.Stay) bool {
			return stay.Room == name && sequence > stay.After && sequence <= stay.UpTo
		})
	}
	return (len(sel.Rooms) == 0 || slices.ContainsFunc(sel.Rooms, in)) && !slices.ContainsFunc(sel.Except, in)
}

// order applies an order of services. What is malformed was told of by the reader of live messages.
func (r *replay) order(sequence uint64, payload []byte) {
	var array []any
	if json.Unmarshal(payload, &array) != nil || len(array) == 0 {
		return
	}
	r.missed.Moved = true
	switch array[0] {
	case "join", "leave":
		rooms, err := roomsOf(array[1:])
		if err != nil {
			return
		}
		for _, room := range rooms {
			if array[0] == "join" {
				r.join(room, sequence)
			} else {
				r.leave(room, sequence)
			}
		}
	case "data":
		if data, err := dataOf(payload); err == nil {
			r.missed.Data = &data
		}
	case "disconnect":
		r.missed.Ended = true
	}
}

func (r *replay) join(room string, sequence uint64) {
	if _, in := r.rooms[room]; in {
		return
	}
	r.rooms[room] = sequence
	if r.joined == nil {
		r.joined = make(map[string]uint64)
	}
	if _, before := r.joined[room]; !before {
		r.joined[room] = sequence
	}
}

func (r *replay) leave(room string, sequence uint64) {
	if joined, in := r.rooms[room]; in {
		delete(r.rooms, room)
		r.stays = append(r.stays, session.Stay{Room: room, After: joined, UpTo: sequence})
	}
}

// packets are what was encoded lately for clients that come back, who come together and missed the same.
type packets struct {
	mu      sync.Mutex
	encoded map[packetKey]*transport.Message
	size    int
	used    time.Time
}

type packetKey struct {
	epoch, namespace string
	sequence         uint64
}

// maxPackets is how many bytes of packets are kept; over it all are forgotten.
const maxPackets = 16 << 20

func (c *packets) get(epoch, namespace string, sequence uint64, encode func() (*transport.Message, error)) (*transport.Message, error) {
	k := packetKey{epoch, namespace, sequence}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used = time.Now()
	if m := c.encoded[k]; m != nil {
		return m, nil
	}
	m, err := encode()
	if err != nil {
		return nil, err
	}
	if c.size += m.Size(); c.encoded == nil || c.size > maxPackets {
		c.encoded, c.size = make(map[packetKey]*transport.Message), m.Size()
	}
	c.encoded[k] = m
	return m, nil
}

// trim forgets all if nothing was used for a while, as the tail's cache does.
func (c *packets) trim(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.used) > cacheFor {
		c.encoded, c.size = nil, 0
	}
}

// startOver forgets all: the stream is another one.
func (c *packets) startOver() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.encoded, c.size = nil, 0
}

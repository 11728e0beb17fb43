package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/socketio"
	"github.com/natter-io/natter/services/gateway/internal/hub"
	"github.com/natter-io/natter/services/gateway/internal/session"
	"github.com/natter-io/natter/services/gateway/internal/transport"
)

var (
	errNoRooms = fmt.Errorf("%w: the target many needs the header %s", contract.ErrBadHeader, contract.HeaderRooms)
	errCommand = errors.New(`not a command: want ["join","room",…], ["leave","room",…], ["data",value], ["disconnect"] or ["disconnect",true]`)
)

// readLive is the one reader of all that JetStream republishes. It encodes a message once and queues it at
// the hub's workers; commands take effect between what was said before and after them.
//
// While it is not known which incarnation of the stream messages come from, they wait: neither could they be
// given ids, nor told from those that were read before.
func (b *Bridge) readLive(ctx context.Context) {
	var epoch string
	for {
		in, ok := b.next(ctx)
		if !ok {
			return
		}
		// Whoever looks after the connection hears of this too, but maybe later than of what came over the new one. It is in the
		// channel before that connection is made.
		if len(b.broke) > 0 {
			for len(b.broke) > 0 {
				<-b.broke
			}
			b.suspect("reconnected")
		}
		current := b.epoch.wait(ctx)
		if current == "" {
			return
		}
		if epoch != "" && current != epoch {
			in = b.startOver(current, b.epoch.start(), in)
		}
		epoch = current
		if b.doubt.Swap(false) {
			b.backlog = append(slices.Clip(in), b.backlog...)
			b.catchUp(ctx, epoch)
			continue
		}
		for _, in := range in {
			b.stored(ctx, epoch, in)
		}
	}
}

// incoming is a message for the reader of all that is stored: republished, fetched, or the place of those that wait for their turn.
type incoming struct {
	msg     *nats.Msg
	fetched bool // all that is before it was, too
}

// next waits for a message, or for a doubt: then it returns none.
func (b *Bridge) next(ctx context.Context) (in []incoming, ok bool) {
	if b.doubt.Load() {
		return nil, true
	}
	if len(b.backlog) > 0 {
		in = b.backlog[:1:1]
		b.backlog = b.backlog[1:]
		return in, true
	}
	select {
	case <-ctx.Done():
		return nil, false
	case msg := <-b.live:
		b.first[0] = incoming{msg: msg}
		return b.first[:], true
	case <-b.doubted:
		return nil, true
	}
}

// stored handles one message of the main stream, live or fetched.
func (b *Bridge) stored(ctx context.Context, epoch string, in incoming) {
	msg := in.msg
	if isTurn(msg) {
		if b.recallUpTo(ctx, epoch, in, b.turns.upTo(msg, epoch)) {
			return
		}
		held := b.turns.take(msg)
		b.hub.Barrier()
		b.turns.release(held, nil)
		return
	}
	if b.isElection(msg) {
		b.suspect("leader elected")
		return
	}
	h := contract.Header(msg.Header)
	s, err := contract.ParseStored(h)
	if err != nil {
		b.skip(contract.Live, msg.Subject, 0, err)
		return
	}
	p, err := b.opts.Subjects.Parse(s.Subject)
	if err == nil && p.Kind != contract.Emit && p.Kind != contract.Post && p.Kind != contract.Do {
		err = contract.ErrBadSubject
	}
	if err != nil {
		b.skip(contract.Live, s.Subject, s.Sequence, err)
		return
	}
	path := pathOf(b.opts.Subjects, p.Kind, s.Subject)
	before, after, silent := s.Last, s.Sequence, false
	if in.fetched {
		before = 0
	} else if after, silent = b.silent(s); silent {
		b.opts.Metrics.Doubted("silence")
	}
	verdict := b.rooms.judge(path, p.Kind, s.Sequence, before)
	if verdict == gap { // what else was lost on the way was so from there on
		after = min(after, b.rooms.position(path).read(p.Kind))
	}
	if (silent || verdict == gap) && b.recall(ctx, epoch, in, s, after, verdict == gap) {
		return
	}
	if verdict == twice {
		b.opts.Metrics.Duplicate()
		return
	}
	b.rooms.note(path, p.Kind, s.Sequence)
	sel, here, err := b.selection(p, h)
	switch {
	case err != nil || !here:
	case p.Kind == contract.Do:
		err = b.command(ctx, sel, s.Sequence, msg.Data)
	default:
		err = b.event(sel, p.Kind, s, epoch, h, msg.Data)
	}
	if err != nil {
		b.skip(p.Kind, s.Subject, s.Sequence, err)
	}
	b.position.Store(max(b.position.Load(), s.Sequence))
	b.heard.note(sight{epoch, s.Sequence, s.Time})
}

func (b *Bridge) event(sel hub.Selection, kind contract.Kind, s contract.Stored, epoch string, h contract.Header, payload []byte) error {
	b.handing.Lock()
	defer b.handing.Unlock()
	offset := max(s.Sequence, b.position.Load()) // a client that gets this has all that was read so far
	err := b.meant(sel, func(sel hub.Selection) error {
		m, err := b.packet(sel.Namespace, kind, s, epoch, offset, h, payload)
		if err != nil {
			return err
		}
		b.hub.Each(sel, func(member *session.Socket) { member.Deliver(s.Sequence, m) })
		return nil
	})
	if err != nil {
		return err
	}
	b.position.Store(offset)
	b.opts.Metrics.Delivered(kind)
	return nil
}

// packet encodes a stored event for the sockets of a namespace.
func (b *Bridge) packet(namespace string, kind contract.Kind, s contract.Stored, epoch string, offset uint64, h contract.Header, payload []byte) (*transport.Message, error) {
	var extra [][]byte
	if kind == contract.Post || contract.Last(h, contract.HeaderStamp) != "" {
		st, err := stamp(h, contract.MessageID(epoch, s.Sequence), s.Time)
		if err != nil {
			return nil, err
		}
		extra = append(extra, st)
	}
	return b.encodeEvent(socketio.Head{Namespace: namespace}, h, payload, b.withOffset(extra, epoch, offset)...)
}

// withOffset adds what a client says when it comes back: how far it has heard. It is the last argument of all events
// that want no ack, since the stock client takes any last argument that is a string for it.
func (b *Bridge) withOffset(extra [][]byte, epoch string, offset uint64) [][]byte {
	if !b.opts.Recovery || epoch == "" {
		return extra
	}
	return append(extra, strconv.AppendQuote(nil, contract.MessageID(epoch, offset)))
}

// skip notes a message that nobody can make sense of. JetStream acked it before anyone could object.
func (b *Bridge) skip(kind contract.Kind, subject string, sequence uint64, reason error) {
	b.opts.Metrics.Skipped(kind)
	b.often(&b.lately.skip, "skipped a message that clients cannot be told", "subject", subject, "sequence", sequence, "reason", reason)
}

// command acts on sockets. It waits until all that was said before has been handed to them, and is done
// when it returns, so that it takes effect at its own place in the stream.
func (b *Bridge) command(ctx context.Context, sel hub.Selection, sequence uint64, payload []byte) error {
	var array []any
	if json.Unmarshal(payload, &array) != nil || len(array) == 0 {
		return errCommand
	}
	switch array[0] {
	case "join", "leave":
		rooms, err := roomsOf(array[1:])
		if err != nil {
			return err
		}
		b.hub.Barrier()
		for _, members := range b.members(sel) {
			if array[0] == "join" {
				b.joinAt(ctx, members, rooms, sequence)
				continue
			}
			for _, room := range rooms {
				for _, s := range members {
					s.Leave(room)
				}
			}
		}
	case "data":
		data, err := dataOf(payload)
		if err != nil {
			return err
		}
		b.hub.Barrier()
		for _, members := range b.members(sel) {
			for _, s := range members {
				s.SetData(data)
			}
		}
	case "disconnect":
		connection, ok := false, len(array) == 1
		if len(array) == 2 {
			connection, ok = array[1].(bool)
		}
		if !ok {
			return errCommand
		}
		b.hub.Barrier()
		for _, members := range b.members(sel) {
			for _, s := range members {
				s.Disconnect(connection)
			}
		}
	default:
		return errCommand
	}
	b.opts.Metrics.Delivered(contract.Do)
	return nil
}

// dataOf is the value in ["data",value], byte for byte; nil if it is null.
func dataOf(payload []byte) (json.RawMessage, error) {
	var array []json.RawMessage
	if json.Unmarshal(payload, &array) != nil || len(array) != 2 {
		return nil, errCommand
	}
	if len(array[1]) > contract.MaxData {
		return nil, fmt.Errorf("%w: data of %d bytes, at most %d are allowed", errCommand, len(array[1]), contract.MaxData)
	}
	if string(array[1]) == "null" {
		return nil, nil
	}
	return array[1], nil
}

func roomsOf(args []any) ([]string, error) {
	if len(args) == 0 {
		return nil, errCommand
	}
	rooms := make([]string, len(args))
	for i, arg := range args {
		room, ok := arg.(string)
		if !ok || contract.IsSocketID(room) {
			return nil, errCommand
		}
		if _, err := contract.EncodeToken(room); err != nil {
			return nil, err
		}
		rooms[i] = room
	}
	return rooms, nil
}

// merge puts fetched messages among those that wait in the channel, by sequence. When a fence has
// answered, all that was stored before it has arrived there. Turns come after all that was fetched, since it may be what they
// wait for.
func (b *Bridge) merge(fetched []stored) {
	if len(fetched) == 0 {
		return
	}
	waiting := b.backlog
	for n := len(b.live); n > 0; n-- {
		waiting = append(waiting, incoming{msg: <-b.live})
	}
	merged := make([]incoming, 0, len(waiting)+len(fetched))
	var turns []incoming
	for _, in := range waiting {
		if isTurn(in.msg) {
			turns = append(turns, in)
			continue
		}
		sequence := sequenceOf(in.msg)
		for len(fetched) > 0 && sequence != 0 && fetched[0].sequence < sequence {
			merged = append(merged, incoming{fetched[0].msg, true})
			fetched = fetched[1:]
		}
		merged = append(merged, in)
	}
	for _, m := range fetched {
		merged = append(merged, incoming{m.msg, true})
	}
	b.backlog = append(merged, turns...)
}

func sequenceOf(msg *nats.Msg) uint64 {
	s, err := contract.ParseStored(contract.Header(msg.Header))
	if err != nil {
		return 0
	}
	return s.Sequence
}

// Epoch is the incarnation of the stream that sequences are of.
func (b *Bridge) Epoch() string { return b.epoch.latest() }

// Position is the stream's sequence until which everything has been handed to the hub, and orders have taken effect.
func (b *Bridge) Position() uint64 { return b.position.Load() }

// readVolatile is the one reader of volatile messages. They have no order and wait for nobody.
func (b *Bridge) readVolatile(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case msg := <-b.volatile:
			if err := b.volatileEvent(msg); err != nil {
				b.skip(contract.Volatile, msg.Subject, 0, err)
			}
		}
	}
}

func (b *Bridge) volatileEvent(msg *nats.Msg) error {
	h := contract.Header(msg.Header)
	p, err := b.opts.Subjects.Parse(msg.Subject)
	if err != nil {
		return err
	}
	sel, here, err := b.selection(p, h)
	if err != nil || !here {
		return err
	}
	var extra [][]byte
	if contract.Last(h, contract.HeaderStamp) != "" {
		st, err := stamp(h, "", time.Now())
		if err != nil {
			return err
		}
		extra = [][]byte{st}
	}
	b.handing.Lock()
	defer b.handing.Unlock()
	epoch, read := b.epoch.latest(), b.position.Load()
	err = b.meant(sel, func(sel hub.Selection) error {
		encode := func(offset uint64) (*transport.Message, error) {
			return b.encodeEvent(socketio.Head{Namespace: sel.Namespace}, h, msg.Data, b.withOffset(slices.Clip(extra), epoch, offset)...)
		}
		m, err := encode(read)
		if err != nil {
			return err
		}
		b.hub.Each(sel, func(s *session.Socket) {
			if !s.DeliverVolatile(read, m, encode) {
				b.opts.Metrics.Missed()
			}
		})
		return nil
	})
	if err == nil {
		b.opts.Metrics.Delivered(contract.Volatile)
	}
	return err
}

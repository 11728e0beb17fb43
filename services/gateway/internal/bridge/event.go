package bridge

import (
	"strconv"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/socketio"
	"github.com/natter-io/natter/services/gateway/internal/hub"
	"github.com/natter-io/natter/services/gateway/internal/session"
	"github.com/natter-io/natter/services/gateway/internal/transport"
)

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
	b.position.reach(offset)
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

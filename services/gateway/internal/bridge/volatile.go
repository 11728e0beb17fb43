package bridge

import (
	"context"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/socketio"
	"github.com/natter-io/natter/services/gateway/internal/hub"
	"github.com/natter-io/natter/services/gateway/internal/session"
	"github.com/natter-io/natter/services/gateway/internal/transport"
)

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
	epoch, read := b.position.both()
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

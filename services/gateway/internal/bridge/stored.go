package bridge

import (
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/internal/hub"
)

// stored is a message that was read back. It may be read by many who come back at the same time.
type stored struct {
	msg      *nats.Msg
	sequence uint64
	once     *parsed
}

// parsed is whom a message means, found out by the first who wants to know.
type parsed struct {
	sync.Once
	kind contract.Kind
	sel  hub.Selection
	here bool // whether it means this gateway's sockets at all
	err  error
}

// address says whom the message means.
func (m stored) address(b *Bridge) *parsed {
	m.once.Do(func() {
		h := contract.Header(m.msg.Header)
		s, err := contract.ParseStored(h)
		if err != nil {
			m.once.err = err
			return
		}
		p, err := b.opts.Subjects.Parse(s.Subject)
		if err == nil {
			m.once.sel, m.once.here, err = b.selection(p, h)
		}
		m.once.kind, m.once.err = p.Kind, err
	})
	return m.once
}

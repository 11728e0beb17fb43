package bridge

import (
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/services/gateway/internal/hub"
	"github.com/natter-io/natter/services/gateway/internal/parser"
	"github.com/natter-io/natter/services/gateway/internal/session"
)

// BenchmarkStored is what the reader does with a live message before it is handed to sockets, of which there are none: of a room whose
// messages follow on each other, and of one that shares the stream with others.
func BenchmarkStored(b *testing.B) {
	nc := natstest.Run(b).Connect(b)
	h := hub.New[*session.Socket](1, 1)
	b.Cleanup(h.Close)
	o := options(&counters{})
	o.Parser, o.Gateway = parser.Default, "g"
	for name, step := range map[string]uint64{"alone": 1, "among others": 3} {
		b.Run(name, func(b *testing.B) {
			br, err := New(nc, h, nil, o)
			if err != nil {
				b.Fatal(err)
			}
			br.epoch.set(testEpoch)
			msg := nats.NewMsg("natter.live._.room.red")
			msg.Data = []byte(`["chat message","hello"]`)
			msg.Header.Set("Nats-Stream", "NATTER")
			msg.Header.Set("Nats-Subject", "natter.emit._.room.red")
			at := time.Unix(1_800_000_000, 0).UTC()
			br.beat = beat{stored: at, heard: time.Now()} // nothing may have been lost
			b.ReportAllocs()
			for i := uint64(1); b.Loop(); i++ {
				at = at.Add(time.Millisecond)
				msg.Header["Nats-Sequence"] = []string{strconv.FormatUint(i*step, 10)}
				msg.Header["Nats-Last-Sequence"] = []string{strconv.FormatUint((i-1)*step, 10)}
				msg.Header["Nats-Time-Stamp"] = []string{at.Format(time.RFC3339Nano)}
				br.stored(b.Context(), testEpoch, incoming{msg: msg})
			}
		})
	}
}

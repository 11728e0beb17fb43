package sdk_test

import (
	"context"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/pkg/sdk"
)

// BenchmarkAck: an event from a gateway through a handler and its ack back, 256 at a time over TCP.
//
//	go test -run '^$' -bench Ack ./pkg/sdk
func BenchmarkAck(b *testing.B) {
	const inFlight = 256
	srv := natstest.Run(b)
	g := newGateway(b, srv)
	server := newServer(b, srv.Connect(b))
	server.Of("/").On("n", func(_ context.Context, _ *sdk.Socket, args sdk.Args) (sdk.Ack, error) {
		return sdk.Ack{args.String(0)}, nil
	})
	start(b, server)
	acks := make(chan *nats.Msg, inFlight)
	inbox := g.nc.NewInbox()
	sub, err := g.nc.ChanSubscribe(inbox, acks)
	must(b, err)
	defer sub.Unsubscribe() //nolint:errcheck // ends with the connection anyway
	msgs := make([]*nats.Msg, inFlight)
	for i := range msgs {
		msgs[i] = g.event("/", "n", socketID("gw1", i), `["n","hello"]`)
		msgs[i].Reply = inbox
	}
	b.ReportAllocs()
	sent, acked := 0, 0
	for b.Loop() {
		for sent-acked >= inFlight {
			<-acks
			acked++
		}
		must(b, g.nc.PublishMsg(msgs[sent%inFlight]))
		sent++
	}
	for ; acked < sent; acked++ {
		<-acks
	}
}

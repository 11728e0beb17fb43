// Command dice is a back end for the namespace /dice: people sit down at tables and roll dice for all to see.
package main

import (
	"cmp"
	"context"
	"log"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/sdk"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	nc, err := nats.Connect(cmp.Or(os.Getenv("NATS_URL"), nats.DefaultURL), nats.MaxReconnects(-1), nats.ReconnectBufSize(-1))
	if err != nil {
		log.Fatal(err)
	}
	server, err := sdk.New(nc, sdk.Options{Name: "dice"})
	if err != nil {
		log.Fatal(err)
	}
	dice := server.Of("/dice")
	dice.On("sit", func(ctx context.Context, s *sdk.Socket, args sdk.Args) (sdk.Ack, error) {
		return sdk.Ack{"welcome"}, s.Join(ctx, table(args))
	})
	dice.On("roll", func(ctx context.Context, s *sdk.Socket, args sdk.Args) (sdk.Ack, error) {
		var name string
		var count int
		if err := args.Bind(&name, &count); err != nil {
			return nil, err
		}
		if count < 1 || count > 10 {
			return nil, sdk.Refuse("roll 1 to 10 dice", nil)
		}
		rolled := make([]int, count)
		for i := range rolled {
			rolled[i] = 1 + rand.IntN(6)
		}
		return sdk.Ack{rolled}, dice.To(table(args)).Emit(ctx, "rolled", s.ID(), rolled)
	})
	if err := server.Run(ctx); err != nil {
		log.Fatal(err)
	}
	nc.Close()
}

// table is a room that no client can mistake for another: its name has a prefix.
func table(args sdk.Args) string { return "table:" + args.String(0) }

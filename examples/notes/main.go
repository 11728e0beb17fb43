// Command notes is a back end for the namespace /notes whose instances each keep in memory what their clients write.
// Run as many as you like: a client's keystrokes all go to one of them, in order.
package main

import (
	"cmp"
	"context"
	"log"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/sdk"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	nc, err := nats.Connect(cmp.Or(os.Getenv("NATS_URL"), nats.DefaultURL), nats.MaxReconnects(-1), nats.ReconnectBufSize(-1))
	if err != nil {
		log.Fatal(err)
	}
	// A client that types without waiting may be far ahead: an eighth of the backlog is one client's.
	server, err := sdk.New(nc, sdk.Options{Name: "notes", Backlog: 1 << 16})
	if err != nil {
		log.Fatal(err)
	}
	var mu sync.Mutex
	written := make(map[string]string) // by socket
	write := func(s *sdk.Socket, more string) string {
		mu.Lock()
		defer mu.Unlock()
		written[s.ID()] += more
		return written[s.ID()]
	}
	notes := server.Of("/notes", contract.Namespace{Ordered: "notes"})
	notes.On("type", func(_ context.Context, s *sdk.Socket, args sdk.Args) (sdk.Ack, error) {
		return sdk.Ack{len(write(s, args.String(0)))}, nil
	})
	notes.On("read", func(_ context.Context, s *sdk.Socket, _ sdk.Args) (sdk.Ack, error) {
		return sdk.Ack{map[string]string{"text": write(s, ""), "by": server.ID()}}, nil
	})
	notes.OnDisconnect(func(_ context.Context, s *sdk.Socket, reason string) {
		log.Printf("%s left after %d characters: %s", s.ID(), len(write(s, "")), reason)
		mu.Lock()
		defer mu.Unlock()
		delete(written, s.ID())
	})
	log.Printf("taking notes as %s", server.ID())
	if err := server.Run(ctx); err != nil {
		log.Fatal(err)
	}
	nc.Close()
}

// Serverapi is a back end that does what a Socket.IO server can do, so that test/services/serverapi.test.mjs can walk
// through it with stock clients: some of it by itself, the rest as clients of /control order.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/sdk"
)

func main() {
	url := flag.String("nats-url", nats.DefaultURL, "address of NATS")
	name := flag.String("instance", "one", "what this instance answers when others ask")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *url, *name); err != nil {
		slog.Error("serverapi failed", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, url, instance string) error {
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectBufSize(-1))
	if err != nil {
		return fmt.Errorf("connecting to %s: %w", url, err)
	}
	defer nc.Close()
	server, err := sdk.New(nc, sdk.Options{Name: "serverapi"})
	if err != nil {
		return err
	}
	b := &backend{server: server, instance: instance}
	b.static(server.Of("/static"))
	b.pattern(server.Of("/pattern-*"))
	b.function()
	b.control(server.Of("/control"))
	b.among()
	if err := server.Start(ctx); err != nil {
		return err
	}
	fmt.Println("ready")
	<-ctx.Done()
	return server.Stop(context.Background())
}

// backend is one instance.
type backend struct {
	server   *sdk.Server
	instance string
}

// report tells the clients of /control what happened here.
func (b *backend) report(ctx context.Context, what string, details ...any) {
	if err := b.server.Of("/control").Emit(ctx, "report", append([]any{what}, details...)...); err != nil {
		slog.Error("a report was lost", "what", what, "error", err)
	}
}

// Serverapi is a back end that does what a Socket.IO server can do, so that test/services/serverapi.test.mjs can walk
// through it with stock clients: some of it by itself, the rest as clients of /control order.
package main

import (
	"context"
	"errors"
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
	detailed, err := develop(ctx, nc)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	<-ctx.Done()
	return errors.Join(server.Stop(context.Background()), detailed.Stop(context.Background()))
}

// develop is a service in development: it tells clients what failed.
func develop(ctx context.Context, nc *nats.Conn) (*sdk.Server, error) {
	server, err := sdk.New(nc, sdk.Options{Name: "develop", ErrorDetail: true, NoMicro: true})
	if err != nil {
		return nil, err
	}
	n := server.Of("/develop")
	n.Use(func(_ context.Context, c *sdk.Client) error {
		if c.Handshake().Query["fail"] != "" {
			return errors.New("the users cannot be read")
		}
		return nil
	})
	n.On("fail", func(context.Context, *sdk.Socket, sdk.Args) (sdk.Ack, error) { return nil, errors.New("database down") })
	n.On("panic", func(context.Context, *sdk.Socket, sdk.Args) (sdk.Ack, error) { panic("boom") })
	return server, server.Start(ctx)
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

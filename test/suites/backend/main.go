// Backend answers the clients of Socket.IO's public test suites, over NATS, as the suites expect of their server:
// -suite protocol for docs/socket.io-protocol/v5-test-suite, client for packages/socket.io-client/test.
// make suites runs it.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/sdk"
)

// words are what a suite compares letter by letter. The runner takes them from the suite.
type words struct {
	Utf8    []string // what getUtf8 has the server say
	Refusal string   // why nobody may enter /no
}

func main() {
	url := flag.String("nats-url", nats.DefaultURL, "address of NATS")
	suite := flag.String("suite", "", "protocol or client")
	text := flag.String("words", "{}", "what the suite compares letter by letter, as JSON")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *url, *suite, *text); err != nil {
		slog.Error("the suite's back end failed", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, url, suite, text string) error {
	var w words
	if err := json.Unmarshal([]byte(text), &w); err != nil {
		return fmt.Errorf("-words: %w", err)
	}
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectBufSize(-1))
	if err != nil {
		return fmt.Errorf("connecting to %s: %w", url, err)
	}
	defer nc.Close()
	server, err := sdk.New(nc, sdk.Options{Name: "suites"})
	if err != nil {
		return err
	}
	switch suite {
	case "protocol":
		protocol(server)
	case "client":
		client(server, w)
	default:
		return fmt.Errorf("-suite: %q is neither protocol nor client", suite)
	}
	if err := server.Start(ctx); err != nil {
		return err
	}
	fmt.Println("ready")
	<-ctx.Done()
	return server.Stop(context.Background())
}

// answer is a handler that never fails: what it returns is the client's ack.
type answer func(ctx context.Context, s *sdk.Socket, args sdk.Args) sdk.Ack

func on(n *sdk.Namespace, event string, f answer) {
	n.On(event, func(ctx context.Context, s *sdk.Socket, args sdk.Args) (sdk.Ack, error) { return f(ctx, s, args), nil })
}

// say emits to a socket; the tests notice what they do not hear.
func say(ctx context.Context, s *sdk.Socket, event string, args ...any) {
	if err := s.Emit(ctx, event, args...); err != nil {
		slog.Error("was not said", "event", event, "error", err)
	}
}

// values are the arguments of an event, to be said again.
func values(args sdk.Args) []any {
	out := make([]any, args.Len())
	for i := range out {
		if b := args.Bytes(i); b != nil {
			out[i] = b
		} else {
			out[i] = args.Raw(i)
		}
	}
	return out
}

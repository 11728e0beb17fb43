// Enginesuite serves Engine.IO by itself, with the gateway's transport and no Socket.IO above it, to the clients of the
// public test suites of that protocol: -suite protocol for docs/engine.io-protocol, client for packages/engine.io-client/test.
// make suites runs it. It knows nothing of NATS.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/natter-io/natter/pkg/kit/run"
	"github.com/natter-io/natter/services/gateway/internal/transport"
)

// stopTimeout bounds the end, as clients may keep polls open.
const stopTimeout = 10 * time.Second

func main() {
	listen := flag.String("listen", "127.0.0.1:3000", "address for clients")
	suite := flag.String("suite", "", "protocol or client")
	eio3 := flag.Bool("eio3", false, "serve clients of revision 3 of the protocol too")
	flag.Parse()
	run.Main(slog.Default(), func(ctx context.Context) error { return serve(ctx, *listen, *suite, *eio3) })
}

func serve(ctx context.Context, listen, suite string, eio3 bool) error {
	var handler http.Handler
	var engine *transport.Server
	var err error
	switch suite {
	case "protocol":
		engine, err = newEcho(eio3)
		handler = engine
	case "client":
		engine, handler, err = newHost()
	default:
		err = fmt.Errorf("-suite: %q is neither protocol nor client", suite)
	}
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: stopTimeout}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	fmt.Println("ready")
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	late, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	return errors.Join(engine.Shutdown(late), server.Shutdown(late))
}

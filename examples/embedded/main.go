// Command embedded is a whole application with NATS inside: go run ./examples/embedded, and open http://localhost:3000
package main

import (
	"cmp"
	"context"
	"errors"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/nats-io/nats.go"
	"github.com/natter-io/natter/pkg/kit/embed"
	"github.com/natter-io/natter/pkg/sdk"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

func main() {
	ctx, _ := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	broker := must(embed.Start(embed.Options{StoreDir: "data"}))
	settings := gatewayd.Defaults()
	settings.Chat = false // the namespace / is this program's
	gateway := must(gatewayd.New(settings, nil, gatewayd.WithoutListener(), gatewayd.WithNATS(broker.InProcess())))
	http.Handle("/socket.io/", gateway.Handler())
	http.Handle("/", http.FileServer(http.Dir("public"))) // routes of one's own
	go func() { log.Fatal(http.ListenAndServe(cmp.Or(os.Getenv("LISTEN"), "127.0.0.1:3000"), nil)) }()
	app := must(sdk.New(must(nats.Connect("", broker.InProcess())), sdk.Options{Name: "app"}))
	app.Of("/").On("shout", func(ctx context.Context, s *sdk.Socket, args sdk.Args) (sdk.Ack, error) {
		return sdk.Ack{"heard"}, s.Broadcast().Emit(ctx, "shouted", s.Name(), args.String(0))
	})
	must(app, app.Start(ctx))
	must(0, errors.Join(gateway.Run(ctx), app.Stop(context.Background()), broker.Shutdown()))
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

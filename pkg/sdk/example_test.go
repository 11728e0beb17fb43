package sdk_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/embed"
	"github.com/natter-io/natter/pkg/kit/provision"
	"github.com/natter-io/natter/pkg/sdk"
)

// A back end with a namespace of its own: who may enter, and what an event does.
func Example() {
	nc, end := connect()
	defer end()
	ctx := context.Background()

	server, err := sdk.New(nc, sdk.Options{Name: "greeter"})
	if err != nil {
		log.Fatal(err)
	}
	chat := server.Of("/greet")
	chat.Use(func(ctx context.Context, c *sdk.Client) error {
		var auth struct{ Password string }
		if err := c.Auth(&auth); err != nil {
			return err
		}
		if auth.Password != "please" {
			return sdk.Refuse("say please", nil)
		}
		c.SetUser("u1", "Ann")
		c.Join("polite")
		return nil
	})
	chat.On("greet", func(ctx context.Context, s *sdk.Socket, args sdk.Args) (sdk.Ack, error) {
		var whom string
		if err := args.Bind(&whom); err != nil {
			return nil, err // the client's ack says what is wrong
		}
		if err := s.To("polite").Emit(ctx, "greeting", s.Name()+" greets "+whom); err != nil {
			return nil, err // logged; no ack, for it was not said
		}
		return sdk.Ack{map[string]any{"ok": true}}, nil
	})
	if err := server.Start(ctx); err != nil { // or Run(ctx), which also stops
		log.Fatal(err)
	}
	defer server.Stop(ctx)

	// What a gateway asks and says on behalf of a client:
	say(nc, "natter.use.greet.greeter", `{"id":"gw1.AAAAAAAAAAAAAAAAAAAA","handshake":{"auth":{"password":"please"}}}`)
	say(nc, "natter.on.greet.greet.gw1.AAAAAAAAAAAAAAAAAAAA", `["greet","Bob"]`)
	say(nc, "natter.on.greet.greet.gw1.AAAAAAAAAAAAAAAAAAAA", `["greet"]`)
	// Output:
	// {"ok":true,"user":"u1","name":"Ann","rooms":["polite"]}
	// [{"ok":true}]
	// [{"ok":false,"code":"invalid","message":"1 argument wanted, 0 given"}]
}

// say requests and prints the reply.
func say(nc *nats.Conn, subject, payload string) {
	reply, err := nc.Request(subject, []byte(payload), 5*time.Second)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(reply.Data))
}

// connect is nats.Connect to a NATS on which a gateway has made the streams.
func connect() (nc *nats.Conn, end func()) {
	dir, err := os.MkdirTemp("", "sdk")
	if err != nil {
		log.Fatal(err)
	}
	srv, err := embed.Start(embed.Options{StoreDir: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	if nc, err = nats.Connect(srv.ClientURL()); err != nil {
		log.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		log.Fatal(err)
	}
	storage := provision.Storage{Replicas: 1, MaxBytes: -1}
	if _, err = provision.Main(context.Background(), js, contract.Subjects{}, time.Hour, time.Minute, storage); err != nil {
		log.Fatal(err)
	}
	if _, err = provision.Namespaces(context.Background(), js, contract.Subjects{}, storage); err != nil {
		log.Fatal(err)
	}
	return nc, func() {
		nc.Close()
		if err := srv.Shutdown(); err != nil {
			log.Print(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			log.Print(err)
		}
	}
}

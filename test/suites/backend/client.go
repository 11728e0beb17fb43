package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/sdk"
)

// handshakeDelay is how long the suite's own server has each handshake wait, so that a client's shortest timeouts
// come before it.
const handshakeDelay = 10 * time.Millisecond

// client makes the namespaces that the client's tests enter, and answers what they say.
func client(server *sdk.Server, w words) {
	server.AllowRequest(func(ctx context.Context, _ contract.Handshake) error {
		select {
		case <-time.After(handshakeDelay):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	for _, name := range []string{"/timeout_socket", "/valid", "/asd"} {
		server.Of(name)
	}
	on(server.Of("/foo"), "getId", id)
	server.Of("/no").Use(func(context.Context, *sdk.Client) error { return sdk.Refuse(w.Refusal, nil) })
	server.Of("/abc", contract.Namespace{HandshakeAuth: true}).OnConnect(func(ctx context.Context, s *sdk.ConnectedSocket) {
		say(ctx, s.Socket, "handshake", s.Handshake())
	})

	main := server.Of("/")
	main.Use(func(_ context.Context, c *sdk.Client) error {
		if c.Handshake().Query["fail"] != "" {
			return sdk.Refuse("the query asks for a refusal", nil)
		}
		return nil
	})
	on(main, "getId", id)
	on(main, "getHandshake", func(ctx context.Context, s *sdk.Socket, _ sdk.Args) sdk.Ack {
		found, err := s.Fetch(ctx)
		if err != nil {
			slog.Error("a socket was not found", "socket", s.ID(), "error", err)
			return nil
		}
		return sdk.Ack{found.Handshake()}
	})
	events(main, w)
	binary(main)
}

func id(_ context.Context, s *sdk.Socket, _ sdk.Args) sdk.Ack { return sdk.Ack{s.ID()} }

// events answers events without binary data, and asks for an ack.
func events(n *sdk.Namespace, w words) {
	emits := func(event, answer string, arg ...func() any) {
		on(n, event, func(ctx context.Context, s *sdk.Socket, _ sdk.Args) sdk.Ack {
			args := []any{}
			for _, f := range arg {
				args = append(args, f())
			}
			say(ctx, s, answer, args...)
			return nil
		})
	}
	now := func() any { return time.Now() }
	emits("hi", "hi")
	emits("false", "false", func() any { return false })
	emits("getDate", "takeDate", now)
	emits("getDateObj", "takeDateObj", func() any { return map[string]any{"date": now()} })
	on(n, "getAckDate", func(context.Context, *sdk.Socket, sdk.Args) sdk.Ack { return sdk.Ack{now()} })
	on(n, "echo", func(_ context.Context, _ *sdk.Socket, args sdk.Args) sdk.Ack { return values(args)[:1] })
	on(n, "getUtf8", func(ctx context.Context, s *sdk.Socket, _ sdk.Args) sdk.Ack {
		for _, text := range w.Utf8 {
			say(ctx, s, "takeUtf8", text)
		}
		return nil
	})
	on(n, "ack", func(_ context.Context, s *sdk.Socket, _ sdk.Args) sdk.Ack {
		go ask(s) // the next event is handled meanwhile: a test says it again and again, and answers none
		return nil
	})
}

// ask wants a certain answer of the client, and says when it came.
func ask(s *sdk.Socket) {
	ctx := context.Background()
	var number int
	var object struct{ Test bool }
	ack, err := s.Timeout(time.Second).EmitWithAck(ctx, "ack")
	if err == nil {
		err = ack.Bind(&number, &object)
	}
	switch {
	case errors.Is(err, sdk.ErrTimeout): // one test never answers
	case err != nil || number != 5 || !object.Test:
		slog.Error("not the ack that the suite gives", "number", number, "test", object.Test, "error", err)
	default:
		say(ctx, s, "got it")
	}
}

// binary answers events with binary data, where it stands as it should and in its order.
func binary(n *sdk.Namespace) {
	on(n, "doge", func(ctx context.Context, s *sdk.Socket, _ sdk.Args) sdk.Ack {
		say(ctx, s, "doge", []byte{0, 1, 254, 255})
		return nil
	})
	when := func(event, answer string, holds func(s *sdk.Socket, args sdk.Args) bool) {
		on(n, event, func(ctx context.Context, s *sdk.Socket, args sdk.Args) sdk.Ack {
			if holds(s, args) {
				say(ctx, s, answer)
			}
			return nil
		})
	}
	when("buffa", "buffack", func(_ *sdk.Socket, args sdk.Args) bool { return args.Bytes(0) != nil })
	when("jsonbuff", "jsonbuff-ack", func(_ *sdk.Socket, args sdk.Args) bool {
		var mixed struct {
			Hello, Goodbye string
			Message        []byte
		}
		return args.Bind(&mixed) == nil && mixed.Hello != "" && len(mixed.Message) > 0 && mixed.Goodbye != ""
	})
	var first sync.Map // ids of sockets of which abuff1 was heard
	on(n, "abuff1", func(_ context.Context, s *sdk.Socket, args sdk.Args) sdk.Ack {
		if args.Bytes(0) != nil {
			first.Store(s.ID(), true)
		}
		return nil
	})
	when("abuff2", "abuff2-ack", func(s *sdk.Socket, _ sdk.Args) bool {
		_, heard := first.LoadAndDelete(s.ID())
		return heard
	})
}

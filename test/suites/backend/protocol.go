package main

import (
	"context"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/sdk"
)

// protocol tells clients of / and /custom what they gave as auth, and says back what it hears in /.
func protocol(server *sdk.Server) {
	main := server.Of("/")
	for _, n := range []*sdk.Namespace{main, server.Of("/custom", contract.Namespace{HandshakeAuth: true})} {
		n.OnConnect(func(ctx context.Context, s *sdk.ConnectedSocket) { say(ctx, s.Socket, "auth", s.Handshake().Auth) })
	}
	on(main, "message", func(ctx context.Context, s *sdk.Socket, args sdk.Args) sdk.Ack {
		say(ctx, s, "message-back", values(args)...)
		return nil
	})
	on(main, "message-with-ack", func(_ context.Context, _ *sdk.Socket, args sdk.Args) sdk.Ack { return values(args) })
}

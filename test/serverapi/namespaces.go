package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/sdk"
)

// watch reports the life of sockets and rooms.
func (b *backend) watch(n *sdk.Namespace) {
	n.OnConnect(func(ctx context.Context, s *sdk.ConnectedSocket) {
		var auth, data any
		if err := s.Auth(&auth); err != nil && !errors.Is(err, sdk.ErrNoAuth) {
			slog.Error("auth cannot be read", "error", err)
		}
		if err := s.Data(&data); err != nil {
			slog.Error("data cannot be read", "error", err)
		}
		b.report(ctx, "connect", s.Namespace(), s.ID(), map[string]any{
			"rooms": s.Rooms(), "auth": auth, "data": data, "transport": s.Info().Transport, "query": s.Handshake().Query,
		})
	})
	n.OnDisconnecting(func(ctx context.Context, s *sdk.Socket, reason string, rooms []string) {
		b.report(ctx, "disconnecting", s.Namespace(), s.ID(), reason, rooms)
	})
	n.OnDisconnect(func(ctx context.Context, s *sdk.Socket, reason string) {
		b.report(ctx, "disconnect", s.Namespace(), s.ID(), reason)
		b.reportData(ctx, "disconnect", s)
	})
}

// reportData says what a handler reads as the socket's data.
func (b *backend) reportData(ctx context.Context, where string, s *sdk.Socket) {
	b.report(ctx, "data", where, s.ID(), data(s))
}

// data are the socket's data, or why there are none.
func data(s *sdk.Socket) any {
	var data any
	switch err := s.Data(&data); {
	case errors.Is(err, sdk.ErrDataElsewhere):
		return "elsewhere"
	case err != nil:
		return err.Error()
	}
	return data
}

func (b *backend) static(n *sdk.Namespace) {
	b.watch(n)
	n.OnRoom(func(ctx context.Context, e sdk.RoomEvent) {
		b.report(ctx, "room", e.Event, e.Room, e.Socket, e.Gateway)
	})
	n.Use(func(_ context.Context, c *sdk.Client) error {
		var auth struct {
			Refuse string
			Room   string
		}
		if err := c.Auth(&auth); err != nil {
			return err
		}
		if auth.Refuse != "" {
			return sdk.Refuse(auth.Refuse, map[string]any{"why": "it asked for it"})
		}
		if auth.Room != "" {
			c.Join(auth.Room)
		}
		c.SetData(map[string]any{"from": "middleware"})
		c.Emit("welcome", c.ID(), []byte{1, 2, 255})
		return nil
	})
	n.Use(func(_ context.Context, c *sdk.Client) error {
		c.Emit("welcome", "again")
		return nil
	})
	n.UseEvents(func(ctx context.Context, s *sdk.Socket, event string, args sdk.Args) error {
		switch event {
		case "forbidden":
			return &sdk.Refusal{Message: "not this", Data: args.String(0)}
		case "lost":
			return errors.New("lost")
		case "data":
			b.reportData(ctx, "middleware", s)
		}
		return nil
	})
	n.OnAny(func(ctx context.Context, s *sdk.Socket, event string, args sdk.Args) (sdk.Ack, error) {
		b.report(ctx, "any", event, args.Len())
		if event == "data" {
			b.reportData(ctx, "catch-all", s)
		}
		return nil, nil
	})
	n.On("data", func(_ context.Context, s *sdk.Socket, _ sdk.Args) (sdk.Ack, error) { return sdk.Ack{data(s)}, nil })
	n.On("set data", func(ctx context.Context, s *sdk.Socket, args sdk.Args) (sdk.Ack, error) {
		err := s.SetData(ctx, args.Raw(0))
		return sdk.Ack{data(s)}, err
	})
	n.On("fetch me", func(ctx context.Context, s *sdk.Socket, args sdk.Args) (sdk.Ack, error) {
		if err := s.Join(ctx, args.String(0)); err != nil {
			return nil, err
		}
		remote, err := s.Fetch(ctx)
		if err != nil {
			return nil, err
		}
		return sdk.Ack{remote.ID() == s.ID(), remote.Rooms(), data(remote.Socket), remote.Handshake().Query}, nil
	})
	n.On("echo", func(_ context.Context, _ *sdk.Socket, args sdk.Args) (sdk.Ack, error) {
		ack := sdk.Ack{}
		for i := range args.Len() {
			if data := args.Bytes(i); data != nil {
				ack = append(ack, data)
				continue
			}
			ack = append(ack, args.Raw(i))
		}
		return ack, nil
	})
	n.On("forbidden", func(context.Context, *sdk.Socket, sdk.Args) (sdk.Ack, error) { return sdk.Ack{"let on"}, nil })
	n.On("lost", func(context.Context, *sdk.Socket, sdk.Args) (sdk.Ack, error) { return sdk.Ack{"let on"}, nil })
	n.On("silence", func(context.Context, *sdk.Socket, sdk.Args) (sdk.Ack, error) { return nil, nil })
	// What a socket says to others, by name.
	for event, to := range map[string]func(s *sdk.Socket, room string) sdk.Broadcast{
		"broadcast": func(s *sdk.Socket, _ string) sdk.Broadcast { return s.Broadcast() },
		"to":        func(s *sdk.Socket, room string) sdk.Broadcast { return s.To(room) },
		"except":    func(s *sdk.Socket, room string) sdk.Broadcast { return s.Except(room) },
		"local":     func(s *sdk.Socket, _ string) sdk.Broadcast { return s.Local() },
	} {
		n.On(event, func(ctx context.Context, s *sdk.Socket, args sdk.Args) (sdk.Ack, error) {
			return sdk.Ack{"said"}, to(s, args.String(1)).Emit(ctx, "news", args.String(0))
		})
	}
	n.On("volatile broadcast", func(ctx context.Context, s *sdk.Socket, args sdk.Args) (sdk.Ack, error) {
		return sdk.Ack{"said"}, s.Broadcast().Volatile().Emit(ctx, args.String(1), args.String(0))
	})
	n.On("emit", func(ctx context.Context, s *sdk.Socket, args sdk.Args) (sdk.Ack, error) {
		return sdk.Ack{"said"}, s.Emit(ctx, "news", args.String(0))
	})
	n.On("ask me", func(ctx context.Context, s *sdk.Socket, args sdk.Args) (sdk.Ack, error) {
		var text string
		var limit time.Duration // in milliseconds
		if err := args.Bind(&text, &limit); err != nil {
			return nil, err
		}
		answer, err := s.Timeout(limit*time.Millisecond).EmitWithAck(ctx, "question", text)
		if errors.Is(err, sdk.ErrTimeout) {
			return sdk.Ack{"timed out"}, nil
		}
		return sdk.Ack{"answered", answer.Raw(0), answer.Bytes(1)}, err
	})
}

func (b *backend) pattern(n *sdk.Namespace) {
	b.watch(n)
	n.On("which", func(_ context.Context, s *sdk.Socket, _ sdk.Args) (sdk.Ack, error) {
		return sdk.Ack{"pattern", s.Namespace()}, nil
	})
}

// function has whatever begins with /tenant, slashes and all, exist for those with the key.
func (b *backend) function() {
	n := b.server.OfFunc(func(_ context.Context, c *sdk.Client) (bool, error) {
		var auth struct{ Key string }
		if err := c.Auth(&auth); err != nil {
			return false, err
		}
		if auth.Key == "trouble" {
			return false, errors.New("the function is in trouble")
		}
		return strings.HasPrefix(c.Namespace(), "/tenant") && auth.Key == "sesame", nil
	}, contract.Namespace{HandshakeAuth: true})
	b.watch(n)
	n.Use(func(_ context.Context, c *sdk.Client) error {
		c.SetData(map[string]any{"tenant": c.Namespace()})
		return nil
	})
	n.On("which", func(_ context.Context, s *sdk.Socket, _ sdk.Args) (sdk.Ack, error) {
		return sdk.Ack{"function", s.Namespace()}, nil
	})
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/natter-io/natter/pkg/sdk"
)

// target is what the first argument of an order means.
type target struct {
	Namespace string
	Rooms     []string
	Except    []string
	Local     string
	Volatile  bool
	Plain     bool // not to be compressed
	Timeout   int  // milliseconds
}

// broadcast is the target as the SDK has it.
func (b *backend) broadcast(args sdk.Args) (sdk.Broadcast, error) {
	var t target
	if err := args.Bind(&t); err != nil {
		return sdk.Broadcast{}, err
	}
	to := b.server.Of(t.Namespace).In(t.Rooms...).Except(t.Except...)
	if t.Local != "" {
		to = to.Local(t.Local)
	}
	if t.Volatile {
		to = to.Volatile()
	}
	if t.Plain {
		to = to.Compress(false)
	}
	if t.Timeout > 0 {
		to = to.Timeout(time.Duration(t.Timeout) * time.Millisecond)
	}
	return to, nil
}

// from are the arguments from the i-th on.
func from(args sdk.Args, i int) []any {
	var rest []any
	for ; i < args.Len(); i++ {
		rest = append(rest, json.RawMessage(args.Raw(i)))
	}
	return rest
}

// answers are acks as a client can compare them.
func answers(all []sdk.Answer) map[string][]json.RawMessage {
	byID := map[string][]json.RawMessage{}
	for _, a := range all {
		byID[a.ID] = []json.RawMessage{}
		for i := range a.Args.Len() {
			byID[a.ID] = append(byID[a.ID], a.Args.Raw(i))
		}
	}
	return byID
}

// control has clients order what the SDK can do.
func (b *backend) control(n *sdk.Namespace) {
	order := func(event string, do func(ctx context.Context, to sdk.Broadcast, args sdk.Args) (sdk.Ack, error)) {
		n.On(event, func(ctx context.Context, _ *sdk.Socket, args sdk.Args) (sdk.Ack, error) {
			to, err := b.broadcast(args)
			if err != nil {
				return nil, err
			}
			ack, err := do(ctx, to, args)
			if ack == nil && err == nil {
				ack = sdk.Ack{"done"}
			}
			return ack, err
		})
	}
	order("emit", func(ctx context.Context, to sdk.Broadcast, args sdk.Args) (sdk.Ack, error) {
		return nil, to.Emit(ctx, args.String(1), from(args, 2)...)
	})
	order("flood", func(ctx context.Context, to sdk.Broadcast, args sdk.Args) (sdk.Ack, error) {
		var ignored json.RawMessage
		var count, size int
		if err := args.Bind(&ignored, &count, &size); err != nil {
			return nil, err
		}
		for i := range count {
			if err := to.Emit(ctx, "news", i, strings.Repeat("x", size)); err != nil {
				return nil, err
			}
		}
		return nil, nil
	})
	order("ask", func(ctx context.Context, to sdk.Broadcast, args sdk.Args) (sdk.Ack, error) {
		all, err := to.EmitWithAck(ctx, args.String(1), from(args, 2)...)
		if errors.Is(err, sdk.ErrTimeout) {
			return sdk.Ack{"timed out", answers(all)}, nil
		}
		return sdk.Ack{"all", answers(all)}, err
	})
	order("join", func(ctx context.Context, to sdk.Broadcast, args sdk.Args) (sdk.Ack, error) {
		return nil, to.Join(ctx, args.String(1))
	})
	order("leave", func(ctx context.Context, to sdk.Broadcast, args sdk.Args) (sdk.Ack, error) {
		return nil, to.Leave(ctx, args.String(1))
	})
	order("data", func(ctx context.Context, to sdk.Broadcast, args sdk.Args) (sdk.Ack, error) {
		return nil, to.SetData(ctx, args.Raw(1))
	})
	order("put out", func(ctx context.Context, to sdk.Broadcast, args sdk.Args) (sdk.Ack, error) {
		return nil, to.Disconnect(ctx, string(args.Raw(1)) == "true")
	})
	order("fetch", func(ctx context.Context, to sdk.Broadcast, _ sdk.Args) (sdk.Ack, error) {
		sockets, err := to.FetchSockets(ctx)
		infos := []any{}
		for _, s := range sockets {
			infos = append(infos, s.Info())
		}
		return sdk.Ack{infos}, err
	})

	order("count", func(ctx context.Context, to sdk.Broadcast, _ sdk.Args) (sdk.Ack, error) {
		count, err := to.Count(ctx)
		return sdk.Ack{count}, err
	})

	var mu sync.Mutex
	var outgoing []any
	b.server.OnAnyOutgoing(func(_ context.Context, o sdk.Outgoing) {
		if o.Namespace == "/control" {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		outgoing = append(outgoing, []any{o.Kind, o.Namespace, o.Event, o.Args.Len()})
	})
	// Of all instances, since any of them may have said something.
	b.server.OnServerSide("outgoing", func(context.Context, string, sdk.Args) (sdk.Ack, error) {
		mu.Lock()
		defer mu.Unlock()
		said := outgoing
		outgoing = nil
		return sdk.Ack{said}, nil
	})
	n.On("outgoing", func(ctx context.Context, _ *sdk.Socket, _ sdk.Args) (sdk.Ack, error) {
		mu.Lock()
		said := outgoing
		outgoing = nil
		mu.Unlock()
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		others, err := b.server.ServerSideEmitWithAck(ctx, "outgoing")
		for _, other := range others {
			var more []any
			if err := other.Args.Bind(&more); err != nil {
				return nil, err
			}
			said = append(said, more...)
		}
		return sdk.Ack{said}, err
	})
}

// among has instances talk to each other, as clients of /control order.
func (b *backend) among() {
	n := b.server.Of("/control")
	b.server.OnServerSide("news", func(ctx context.Context, _ string, args sdk.Args) (sdk.Ack, error) {
		b.report(ctx, "server side", b.instance, args.String(0))
		return sdk.Ack{b.instance}, nil
	})
	n.On("server side emit", func(ctx context.Context, _ *sdk.Socket, args sdk.Args) (sdk.Ack, error) {
		return sdk.Ack{b.instance}, b.server.ServerSideEmit(ctx, "news", args.String(0))
	})
	n.On("server side ask", func(ctx context.Context, _ *sdk.Socket, args sdk.Args) (sdk.Ack, error) {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		all, err := b.server.ServerSideEmitWithAck(ctx, "news", args.String(0))
		var said []string
		for _, a := range all {
			said = append(said, a.Args.String(0))
		}
		return sdk.Ack{b.instance, said}, err
	})
}

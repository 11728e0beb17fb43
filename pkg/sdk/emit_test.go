package sdk_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/pkg/sdk"
)

// published is what nats sub shows of a message, without JetStream's message id.
func published(msg *nats.Msg) string {
	var b strings.Builder
	b.WriteString(msg.Subject)
	for _, key := range []string{
		contract.HeaderSocket, contract.HeaderUser, contract.HeaderName, contract.HeaderRooms,
		contract.HeaderExcept, contract.HeaderAttachments, contract.HeaderStamp, contract.HeaderCompress,
	} {
		if values := msg.Header[key]; len(values) > 0 {
			fmt.Fprintf(&b, " %s=%s", strings.TrimPrefix(key, "Natter-"), strings.Join(values, "|"))
		}
		delete(msg.Header, key)
	}
	id := msg.Header.Get(jetstream.MsgIDHeader) != ""
	delete(msg.Header, jetstream.MsgIDHeader)
	fmt.Fprintf(&b, " %q", msg.Data)
	if id {
		b.WriteString(" id")
	}
	if len(msg.Header) > 0 {
		fmt.Fprintf(&b, " and unexpected %v", msg.Header)
	}
	return b.String()
}

type line struct {
	A int    `json:"a"`
	B []byte `json:"b"`
}

func TestWhatIsPublished(t *testing.T) {
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	server := newServer(t, srv.Connect(t))
	admin := server.Of("/admin")
	sockets := make(chan *sdk.Socket, 1)
	server.Of("/").On("hi", func(_ context.Context, s *sdk.Socket, _ sdk.Args) (sdk.Ack, error) {
		sockets <- s
		return nil, nil
	})
	start(t, server)
	id, other := socketID("gw1", 1), socketID("gw2", 2)
	msg := g.event("/", "hi", id, `["hi"]`)
	msg.Header.Set(contract.HeaderUser, "u1")
	msg.Header.Set(contract.HeaderName, "Ann")
	must(t, g.nc.PublishMsg(msg))
	socket := receive(t, sockets)

	heard := make(chan *nats.Msg, 64)
	for _, kind := range []contract.Kind{contract.Emit, contract.Post, contract.Do, contract.Volatile} {
		sub, err := g.nc.ChanSubscribe(g.con.AllOf(kind), heard)
		must(t, err)
		t.Cleanup(func() { _ = sub.Unsubscribe() })
	}
	must(t, g.nc.Flush())
	posted := func(_ string, err error) error { return err }
	ctx := deadline(t)

	for _, test := range []struct {
		do   func() error
		want string
	}{
		{func() error { return server.Emit(ctx, "e") }, `natter.emit._.all "[\"e\"]" id`},
		{func() error { return server.Emit(ctx, "<&>", "<b> é\u2028", 1.5, nil, true) }, `natter.emit._.all "[\"<&>\",\"<b> é\\u2028\",1.5,null,true]" id`},
		{func() error { return server.Emit(ctx, "raw", json.RawMessage(` {"z":1, "a":"\ud800"}`)) }, `natter.emit._.all "[\"raw\", {\"z\":1, \"a\":\"\\ud800\"}]" id`},
		{func() error { return server.To("a b").Emit(ctx, "e") }, `natter.emit._.room.a=20b "[\"e\"]" id`},
		{func() error { return server.To("a").In("b", "a").To(other).Except("c", id).Emit(ctx, "e") }, `natter.emit._.many Rooms=a,b,` + other + ` Except=c,` + id + ` "[\"e\"]" id`},
		{func() error { return server.To(other).Emit(ctx, "e") }, `natter.emit._.socket.` + other + ` "[\"e\"]" id`},
		{func() error { return server.Volatile().To("a").Emit(ctx, "e", 1) }, `natter.volatile._.room.a "[\"e\",1]"`},
		{func() error { return server.To("a").Stamped().ID("x").Emit(ctx, "e") }, `natter.emit._.room.a Stamp=1 "[\"e\"]" id`},
		{func() error { return server.Compress(false).To("a").Emit(ctx, "e") }, `natter.emit._.room.a Compress=false "[\"e\"]" id`},
		{func() error { return server.To("a").Compress(false).Compress(true).Emit(ctx, "e") }, `natter.emit._.room.a "[\"e\"]" id`},
		{func() error { return posted(admin.Compress(false).Post(ctx, "e")) }, `natter.post.admin.all Compress=false "[\"e\"]" id`},
		{func() error { return socket.Compress(false).Volatile().Emit(ctx, "e") }, `natter.volatile._.socket.` + id + ` Compress=false "[\"e\"]"`},
		{func() error { return posted(server.To("a").Post(ctx, "e", "hi")) }, `natter.post._.room.a "[\"e\",\"hi\"]" id`},
		{func() error { return posted(server.Post(ctx, "e")) }, `natter.post._.all "[\"e\"]" id`},
		{func() error { return admin.Emit(ctx, "e") }, `natter.emit.admin.all "[\"e\"]" id`},
		{func() error { return admin.To("a").Join(ctx, "x y", "z") }, `natter.do.admin.room.a "[\"join\",\"x y\",\"z\"]" id`},
		{func() error { return errors.Join(admin.Join(ctx), admin.Leave(ctx, "z")) }, `natter.do.admin.all "[\"leave\",\"z\"]" id`},
		{func() error { return server.Join(ctx, "x") }, `natter.do._.all "[\"join\",\"x\"]" id`},
		{func() error { return admin.Except("a").Leave(ctx, "x") }, `natter.do.admin.all Except=a "[\"leave\",\"x\"]" id`},
		{func() error { return server.To("a").SetData(ctx, map[string]any{"a": "<", "b": []byte("x")}) }, `natter.do._.room.a "[\"data\",{\"a\":\"<\",\"b\":\"eA==\"}]" id`},
		{func() error { return server.To("a").Disconnect(ctx, false) }, `natter.do._.room.a "[\"disconnect\"]" id`},
		{func() error { return server.To("a").Disconnect(ctx, true) }, `natter.do._.room.a "[\"disconnect\",true]" id`},
		{func() error { return socket.Emit(ctx, "e") }, `natter.emit._.socket.` + id + ` "[\"e\"]" id`},
		{func() error { return socket.Volatile().Emit(ctx, "e") }, `natter.volatile._.socket.` + id + ` "[\"e\"]"`},
		{func() error { return socket.Broadcast().Emit(ctx, "e") }, `natter.emit._.all Socket=` + id + ` User=u1 Name=Ann Except=` + id + ` "[\"e\"]" id`},
		{func() error { return posted(socket.To("a").Except("b").Post(ctx, "e")) }, `natter.post._.room.a Socket=` + id + ` User=u1 Name=Ann Except=` + id + `,b "[\"e\"]" id`},
		{func() error { return socket.Join(ctx, "x") }, `natter.do._.socket.` + id + ` "[\"join\",\"x\"]" id`},
		{func() error { return socket.Leave(ctx, "x") }, `natter.do._.socket.` + id + ` "[\"leave\",\"x\"]" id`},
		{func() error { return socket.SetData(ctx, nil) }, `natter.do._.socket.` + id + ` "[\"data\",null]" id`},
		{func() error { return socket.Disconnect(ctx, true) }, `natter.do._.socket.` + id + ` "[\"disconnect\",true]" id`},
		{
			func() error {
				return server.Emit(ctx, "b", []byte("one"), map[string]any{"z": []byte("2"), "a": [][]byte{[]byte("three"), nil}}, []byte{})
			},
			`natter.emit._.all Attachments=3,5,1,0 "[\"b\",{\"_placeholder\":true,\"num\":0},{\"a\":[{\"_placeholder\":true,\"num\":1},null],\"z\":{\"_placeholder\":true,\"num\":2}},{\"_placeholder\":true,\"num\":3}]onethree2" id`,
		},
		{func() error { return server.Emit(ctx, "s", line{1, []byte("abc")}, map[int]line{2: {}}) }, `natter.emit._.all "[\"s\",{\"a\":1,\"b\":\"YWJj\"},{\"2\":{\"a\":0,\"b\":null}}]" id`},
	} {
		must(t, test.do())
		equal(t, "published", published(receive(t, heard)), test.want)
	}
}

func TestEmitRefuses(t *testing.T) {
	srv := natstest.Run(t)
	newGateway(t, srv)
	server := newServer(t, srv.Connect(t))
	ctx := deadline(t)
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	type self map[string]any
	circle := self{}
	circle["me"] = circle
	many := make([]any, contract.MaxAttachments+1)
	for i := range many {
		many[i] = []byte{1}
	}
	for name, test := range map[string]struct {
		err  error
		want error
	}{
		"reserved":       {server.Emit(ctx, "disconnect"), sdk.ErrReservedEvent},
		"attachments":    {server.Emit(ctx, "e", many...), sdk.ErrTooManyAttachments},
		"room too long":  {server.To(strings.Repeat("x", 129)).Emit(ctx, "e"), contract.ErrTokenTooLong},
		"except":         {server.Except(strings.Repeat("x", 129)).Emit(ctx, "e"), contract.ErrTokenTooLong},
		"join too long":  {server.To("a").Join(ctx, strings.Repeat("x", 129)), contract.ErrTokenTooLong},
		"payload":        {server.Emit(ctx, "e", strings.Repeat("x", 2<<20)), nats.ErrMaxPayload},
		"cancelled":      {server.Emit(cancelled, "e"), context.Canceled},
		"cancelled also": {server.Volatile().Emit(cancelled, "e"), context.Canceled},
		"circle":         {server.Emit(ctx, "e", circle), nil},
		"not JSON":       {server.Emit(ctx, "e", json.RawMessage("{")), nil},
		"function":       {server.Emit(ctx, "e", func() {}), nil},
		"no slash":       {server.Of("admin").Emit(ctx, "e"), nil},
	} {
		if test.err == nil || test.want != nil && !errors.Is(test.err, test.want) {
			t.Errorf("%s: %v, want %v", name, test.err, test.want)
		}
	}
	if _, err := server.Volatile().Post(ctx, "e"); !errors.Is(err, sdk.ErrVolatile) {
		t.Errorf("volatile post: %v", err)
	}
}

func TestPostID(t *testing.T) {
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	server := newServer(t, srv.Connect(t))
	ctx := deadline(t)
	name := g.con.Names().Stream
	post := func(id string) (epoch string, sequence uint64) {
		t.Helper()
		b := server.To("a")
		if id != "" {
			b = b.ID(id)
		}
		posted, err := b.Post(ctx, "e")
		must(t, err)
		epoch, sequence, err = contract.SplitMessageID(posted)
		must(t, err)
		return epoch, sequence
	}
	epochOf := func() string {
		t.Helper()
		stream, err := g.js.Stream(ctx, name)
		must(t, err)
		return contract.Epoch(stream.CachedInfo().Created)
	}
	epoch, first := post("order-1")
	equal(t, "epoch", epoch, epochOf())
	equal(t, "first", first, 1)
	_, second := post("")
	equal(t, "second", second, 2)
	_, again := post("order-1")
	equal(t, "the same id", again, 1)

	must(t, g.js.DeleteStream(ctx, name))
	eventually(t, "another millisecond", func() bool { return contract.Epoch(time.Now()) != epoch })
	newGateway(t, srv)
	epoch, first = post("")
	equal(t, "epoch of the new stream", epoch, epochOf())
	equal(t, "first of the new stream", first, 1)
}

// Nobody stores it: the error says so, also when a subscriber hides it from JetStream's clients.
func TestNoStream(t *testing.T) {
	for _, hidden := range []bool{false, true} {
		t.Run(fmt.Sprintf("hidden=%v", hidden), func(t *testing.T) {
			t.Parallel()
			srv := natstest.Run(t)
			if hidden {
				nc := srv.Connect(t)
				_, err := nc.Subscribe("natter.>", func(*nats.Msg) {})
				must(t, err)
				must(t, nc.Flush())
			}
			server := newServer(t, srv.Connect(t))
			err := server.Emit(deadline(t), "e")
			if !errors.Is(err, sdk.ErrNoStream) || !strings.Contains(err.Error(), "the stream NATTER does not exist: start a gateway first") {
				t.Errorf("emit: %v", err)
			}
		})
	}
}

func TestNotStored(t *testing.T) {
	srv := natstest.Run(t)
	server := newServer(t, srv.Connect(t, nats.ReconnectBufSize(-1)), func(o *sdk.Options) { o.PublishTimeout = 300 * time.Millisecond })
	srv.Shutdown()
	if err := server.Emit(deadline(t), "e"); !errors.Is(err, sdk.ErrNotStored) {
		t.Errorf("emit without NATS: %v", err)
	}
	if err := server.Volatile().Emit(deadline(t), "e"); err == nil {
		t.Error("a volatile emit without NATS: no error")
	}
}

func TestDataTooLarge(t *testing.T) {
	srv := natstest.Run(t)
	newGateway(t, srv)
	server := newServer(t, srv.Connect(t))
	ctx := deadline(t)
	all := server.In("red")
	must(t, all.SetData(ctx, strings.Repeat("x", contract.MaxData-2)))
	if err := all.SetData(ctx, strings.Repeat("x", contract.MaxData-1)); !errors.Is(err, sdk.ErrDataTooLarge) {
		t.Errorf("%v, want ErrDataTooLarge", err)
	}
	if err := all.SetData(ctx, func() {}); err == nil {
		t.Error("a function was taken for data")
	}
}

// A middleware that gives a client too much is wrong each time: the client is refused, not held.
func TestMiddlewareGivesTooMuchData(t *testing.T) {
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	server := newServer(t, srv.Connect(t))
	server.Use(func(_ context.Context, c *sdk.Client) error {
		var size int
		if err := json.Unmarshal(c.Handshake().Auth, &size); err != nil {
			return err
		}
		c.SetData(strings.Repeat("x", size))
		return nil
	})
	start(t, server)
	for size, ok := range map[int]bool{contract.MaxData - 2: true, contract.MaxData - 1: false} {
		switch a := g.enter("/", "orders", strconv.Itoa(size), patience); {
		case a == nil:
			t.Errorf("%d bytes: no answer", size)
		case a.OK != ok, !ok && (a.Message != "the server has too much data for the socket" || a.Data != nil):
			t.Errorf("%d bytes: %t %q", size, a.OK, a.Message)
		}
	}
	equal(t, "failed", server.Stats().Failed, 1)
}

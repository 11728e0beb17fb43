package sdk_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/pkg/sdk"
)

// part is one message of a gateway's answer.
type part struct {
	gateway, expected, part string
	leftOut                 string
	payload                 string
}

// answer makes a gateway that answers requests on the subjects of the kind with the parts.
func (g *gateway) answer(kind contract.Kind, gateways int, requests chan<- *nats.Msg, parts ...part) {
	g.t.Helper()
	sub, err := g.nc.Subscribe(g.con.AllOf(kind), func(request *nats.Msg) {
		select {
		case requests <- request:
		default:
		}
		for _, p := range parts {
			reply := nats.NewMsg(request.Reply)
			reply.Data = []byte(p.payload)
			for key, value := range map[string]string{
				contract.HeaderGateway: p.gateway, contract.HeaderGateways: strconv.Itoa(gateways), contract.HeaderExpected: p.expected,
				contract.HeaderPart: p.part, contract.HeaderLeftOut: p.leftOut,
			} {
				if value != "" {
					reply.Header.Set(key, value)
				}
			}
			if err := g.nc.PublishMsg(reply); err != nil {
				g.t.Errorf("answering: %v", err)
			}
		}
	})
	must(g.t, err)
	must(g.t, g.nc.Flush())
	g.t.Cleanup(func() { _ = sub.Unsubscribe() })
}

func TestEmitWithAck(t *testing.T) {
	one, two, three := socketID("gw1", 1), socketID("gw1", 2), socketID("gw2", 3)
	ack := func(id, ack string) string { return `[{"id":"` + id + `","ack":` + ack + `}]` }
	for name, test := range map[string]struct {
		gateways int
		parts    []part
		want     []string
		err      error
	}{
		"complete": {
			gateways: 2,
			parts: []part{
				{gateway: "gw1", expected: "2", part: "1/2", payload: ack(one, `["a"]`)},
				{gateway: "gw2", expected: "1", payload: ack(three, `["c"]`)},
				{gateway: "gw1", expected: "2", part: "2/2", payload: ack(two, `["b"]`)},
			},
			want: []string{one + " a", three + " c", two + " b"},
		},
		"nobody there": {
			gateways: 2,
			parts:    []part{{gateway: "gw1", expected: "0", payload: `[]`}, {gateway: "gw2", payload: `[]`}},
		},
		"a client that does not answer": {
			gateways: 1,
			parts:    []part{{gateway: "gw1", expected: "2", payload: ack(one, `["a"]`)}},
			want:     []string{one + " a"}, err: sdk.ErrTimeout,
		},
		"a gateway that does not answer": {
			gateways: 2,
			parts:    []part{{gateway: "gw1", expected: "1", payload: ack(one, `["a"]`)}},
			want:     []string{one + " a"}, err: sdk.ErrTimeout,
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv := natstest.Run(t)
			g := newGateway(t, srv)
			server := newServer(t, srv.Connect(t))
			requests := make(chan *nats.Msg, 1)
			g.answer(contract.Ask, test.gateways, requests, test.parts...)
			answers, err := server.Of("/x").To("a").Timeout(time.Second).EmitWithAck(deadline(t), "q", 1)
			if !errors.Is(err, test.err) {
				t.Errorf("error %v, want %v", err, test.err)
			}
			var got []string
			for _, a := range answers {
				got = append(got, a.ID+" "+a.Args.String(0))
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("answers %q, want %q", got, test.want)
			}
			request := receive(t, requests)
			equal(t, "subject", request.Subject, "natter.ask.x.room.a")
			equal(t, "payload", string(request.Data), `["q",1]`)
			limit, err := contract.ParseTimeout(contract.Header(request.Header), 0, time.Hour)
			must(t, err)
			equal(t, "what clients are given", limit, time.Second)
		})
	}
}

// Who answers in the last moment is heard: the whole time is the clients'.
func TestEmitWithAckGivesTheWholeTime(t *testing.T) {
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	const given = time.Second
	timeouts := make(chan time.Duration, 10)
	sub, err := g.nc.Subscribe(g.con.AllOf(contract.Ask), func(request *nats.Msg) {
		timeout, err := time.ParseDuration(request.Header.Get(contract.HeaderTimeout))
		if err != nil {
			t.Error(err)
		}
		timeouts <- timeout
		time.AfterFunc(given*19/20, func() {
			reply := nats.NewMsg(request.Reply)
			reply.Data = []byte(`[{"id":"` + socketID("gw1", 1) + `","ack":["late"]}]`)
			reply.Header = nats.Header{contract.HeaderGateway: {"gw1"}, contract.HeaderGateways: {"1"}, contract.HeaderExpected: {"1"}}
			_ = g.nc.PublishMsg(reply) // the second one is nobody's
		})
	})
	must(t, err)
	must(t, g.nc.Flush())
	t.Cleanup(func() { _ = sub.Unsubscribe() })
	server := newServer(t, srv.Connect(t))
	for left := 5; ; left-- { // on a busy machine the last moment may pass before the answer is said
		answers, err := server.Timeout(given).EmitWithAck(t.Context(), "q")
		equal(t, "what gateways are given", receive(t, timeouts), given)
		if err == nil && len(answers) == 1 {
			break
		}
		if left == 1 {
			t.Fatalf("answers %v, %v", answers, err)
		}
	}
	// A context that ends sooner holds, and leaves time for the answer.
	ctx, cancel := context.WithTimeout(t.Context(), given/2)
	defer cancel()
	if _, err := server.EmitWithAck(ctx, "q"); !errors.Is(err, sdk.ErrTimeout) {
		t.Errorf("after the context's end: %v", err)
	}
	if got := receive(t, timeouts); got <= 0 || got > given/2*9/10 {
		t.Errorf("gateways were given %s within %s", got, given/2)
	}
}

func TestSocketEmitWithAck(t *testing.T) {
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	server := newServer(t, srv.Connect(t))
	id := socketID("gw1", 1)
	answered := make(chan error, 1)
	server.Of("/").On("ask me", func(ctx context.Context, s *sdk.Socket, _ sdk.Args) (sdk.Ack, error) {
		args, err := s.Timeout(time.Minute).EmitWithAck(ctx, "q")
		if err == nil && (args.String(1) != "abc" || string(args.Bytes(2)) != "\x01\xff") {
			err = errors.New("the arguments are not what was answered")
		}
		answered <- err
		return nil, nil
	})
	start(t, server)
	requests := make(chan *nats.Msg, 1)
	g.answer(contract.Ask, 1, requests, part{gateway: "gw1", expected: "1", payload: `[{"id":"` + id + `","ack":[1,"abc",{"_placeholder":true,"num":0}],"attachments":["Af8="]}]`})
	g.say("/", "ask me", id, `["ask me"]`)
	must(t, receive(t, answered))
	equal(t, "subject", receive(t, requests).Subject, "natter.ask._.socket."+id)
}

func TestNoGateway(t *testing.T) {
	srv := natstest.Run(t)
	server := newServer(t, srv.Connect(t))
	if _, err := server.EmitWithAck(deadline(t), "q"); !errors.Is(err, sdk.ErrNoGateway) {
		t.Errorf("emit with ack: %v", err)
	}
	if _, err := server.FetchSockets(deadline(t)); !errors.Is(err, sdk.ErrNoGateway) {
		t.Errorf("fetch sockets: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := server.FetchSockets(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestFetchSockets(t *testing.T) {
	srv := natstest.Run(t)
	g := newGateway(t, srv)
	server := newServer(t, srv.Connect(t), func(o *sdk.Options) { o.AckTimeout = time.Second })
	patient := server.Timeout(patience)
	one, two := socketID("gw1", 1), socketID("gw2", 2)
	requests := make(chan *nats.Msg, 1)
	first := part{gateway: "gw1", payload: `[{"id":"` + one + `","user":"u1","name":"Ann","rooms":["red"],"data":{"a":1},"handshake":{"address":"10.0.0.1:5"}}]`}
	second := part{gateway: "gw2", payload: `[{"id":"` + two + `","rooms":[],"handshake":{}}]`}

	t.Run("complete", func(t *testing.T) {
		g := &gateway{t: t, nc: g.nc, js: g.js}
		g.answer(contract.List, 2, requests, first, second)
		sockets, err := patient.To("red").Except("blue").FetchSockets(deadline(t))
		must(t, err)
		if len(sockets) != 2 {
			t.Fatalf("%d sockets, want 2", len(sockets))
		}
		s := sockets[0]
		equal(t, "id", s.ID(), one)
		equal(t, "user", s.User()+s.Name(), "u1Ann")
		equal(t, "data", string(s.Info().Data), `{"a":1}`)
		equal(t, "address", s.Info().Handshake.Address, "10.0.0.1:5")
		if !slices.Equal(s.Info().Rooms, []string{"red"}) {
			t.Errorf("rooms %q", s.Info().Rooms)
		}
		must(t, s.Emit(deadline(t), "e"))
		request := receive(t, requests)
		equal(t, "request", request.Subject+" "+request.Header.Get(contract.HeaderExcept)+string(request.Data), "natter.list._.room.red blue")
	})
	t.Run("count", func(t *testing.T) {
		g := &gateway{t: t, nc: g.nc, js: g.js}
		g.answer(contract.List, 2, requests, part{gateway: "gw1", expected: "3", payload: `[]`}, part{gateway: "gw2", expected: "4", payload: `[]`})
		count, err := patient.Count(deadline(t))
		must(t, err)
		equal(t, "count", count, 7)
		request := receive(t, requests)
		equal(t, "request", request.Subject+" "+request.Header.Get(contract.HeaderCount), "natter.list._.all 1")
	})
	t.Run("a gateway that is gone", func(t *testing.T) {
		g := &gateway{t: t, nc: g.nc, js: g.js}
		sub, err := g.nc.Subscribe("natter.list._.all", func(m *nats.Msg) {
			reply := nats.NewMsg(m.Reply)
			reply.Data = []byte(first.payload)
			reply.Header = nats.Header{contract.HeaderGateway: {"gw1"}, contract.HeaderGateways: {"2"}, contract.HeaderPeers: {"gone"}, contract.HeaderExpected: {"1"}}
			if err := m.RespondMsg(reply); err != nil {
				t.Error(err)
			}
		})
		must(t, err)
		must(t, g.nc.Flush())
		t.Cleanup(func() { _ = sub.Unsubscribe() })
		sockets, err := patient.FetchSockets(deadline(t))
		if err != nil || len(sockets) != 1 {
			t.Errorf("%d sockets, error %v, want those of the gateway that is there", len(sockets), err)
		}
		if count, err := patient.Count(deadline(t)); err != nil || count != 1 {
			t.Errorf("counted %d, error %v", count, err)
		}
	})
	t.Run("left out", func(t *testing.T) {
		g := &gateway{t: t, nc: g.nc, js: g.js}
		large := second
		large.leftOut = "2"
		g.answer(contract.List, 2, requests, first, large)
		sockets, err := patient.FetchSockets(deadline(t))
		if !errors.Is(err, sdk.ErrLeftOut) || !strings.Contains(err.Error(), "gateway gw2 left out 2") || len(sockets) != 2 {
			t.Errorf("%d sockets, error %v, want 2 and %v", len(sockets), err, sdk.ErrLeftOut)
		}
	})
	t.Run("partial", func(t *testing.T) {
		g := &gateway{t: t, nc: g.nc, js: g.js}
		g.answer(contract.List, 2, requests, first)
		sockets, err := server.FetchSockets(deadline(t))
		if !errors.Is(err, sdk.ErrTimeout) || len(sockets) != 1 {
			t.Errorf("%d sockets, error %v, want 1 and %v", len(sockets), err, sdk.ErrTimeout)
		}
	})
}

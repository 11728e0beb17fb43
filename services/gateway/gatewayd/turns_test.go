package gatewayd_test

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/sdk"
)

// serveBare runs a back end of the namespace /bare until the test is over.
func (d *deployment) serveBare(declare func(*sdk.Namespace)) *sdk.Server {
	d.t.Helper()
	server, err := sdk.New(d.nats.Connect(d.t), sdk.Options{Name: "desk", Log: slog.New(slog.NewTextHandler(d.t.Output(), nil))})
	if err != nil {
		d.t.Fatal(err)
	}
	declare(server.Of("/bare"))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := server.Start(ctx); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := server.Stop(ctx); err != nil {
			d.t.Errorf("stop: %v", err)
		}
	})
	return server
}

// crowd are further clients of /bare, who keep the hub's workers busy.
func (g *gateway) crowd(n int) {
	for range n {
		g.dial().enter("/bare", "")
	}
}

// TestAcksComeAfterWhatTheirHandlersSaid counts on the client's reader, which takes packets in turn: what came before an ack
// waits among the events when the ack is here.
func TestAcksComeAfterWhatTheirHandlersSaid(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	d.serveBare(func(n *sdk.Namespace) {
		n.On("say", func(ctx context.Context, _ *sdk.Socket, args sdk.Args) (sdk.Ack, error) {
			return sdk.Ack{"said"}, n.Emit(ctx, "news", args.Raw(0))
		})
		n.On("refused", func(ctx context.Context, s *sdk.Socket, args sdk.Args) (sdk.Ack, error) {
			if err := s.Emit(ctx, "news", args.Raw(0)); err != nil {
				return nil, err
			}
			return nil, sdk.Refuse("no", nil)
		})
		n.On("sit", func(ctx context.Context, s *sdk.Socket, args sdk.Args) (sdk.Ack, error) {
			return sdk.Ack{}, s.SetData(ctx, args.Raw(0))
		})
		n.On("seat", func(_ context.Context, s *sdk.Socket, _ sdk.Args) (sdk.Ack, error) {
			var seat any
			err := s.Data(&seat)
			return sdk.Ack{seat}, err
		})
	})
	s := g.dial().enter("/bare", "")
	g.crowd(20)
	for i := range 300 {
		for _, event := range []string{"say", "refused"} {
			s.request(quote(event), strconv.Itoa(i))
			if len(s.events) == 0 {
				t.Fatalf("%s %d: the ack came before what the handler said", event, i)
			}
			s.want(fmt.Sprintf(`["news",%d]`, i))
		}
		s.request(`"sit"`, strconv.Itoa(i))
		if got := s.request(`"seat"`); got != fmt.Sprintf("[%d]", i) {
			t.Fatalf("after the ack of the handler that set %d the data are %s", i, got)
		}
	}
}

// TestAcksAreNotLostWhileTheyWait plays services whose acks are to come after all sorts of things.
func TestAcksAreNotLostWhileTheyWait(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	after := ""
	if _, err := d.nc.Subscribe("natter.on.bare.x.>", func(m *nats.Msg) {
		reply := nats.NewMsg(m.Reply)
		reply.Header.Set(contract.HeaderAfter, after)
		reply.Data = []byte(`["x"]`)
		_ = m.RespondMsg(reply)
	}); err != nil {
		t.Fatal(err)
	}
	if err := d.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	s := g.dial().enter("/bare", "")
	for _, after = range []string{
		strconv.FormatUint(d.emit("/bare", []string{"a room without members"}, `["x"]`), 10),
		strconv.FormatUint(d.emit("/bare", nil, `["x"]`), 10),
		"1", "0", "1000000000", "-1", "soon", "",
	} {
		if got := s.request(`"x"`); got != `["x"]` {
			t.Errorf("after %q: %s", after, got)
		}
	}
	s.want(`["x"]`)
	s.wantHeard()
}

// TestQuestionsComeAfterWhatWasSaid asks by the SDK.
func TestQuestionsComeAfterWhatWasSaid(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	server := d.serveBare(func(*sdk.Namespace) {})
	g.crowd(40)
	s := g.dial().enter("/bare", "")
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	defer cancel()
	for i := range 300 {
		if err := server.Of("/bare").Emit(ctx, "said", i); err != nil {
			t.Fatal(err)
		}
		asked := make(chan error, 1)
		go func() {
			_, err := server.Of("/bare").To(s.id).EmitWithAck(ctx, "asked", i)
			asked <- err
		}()
		s.want(fmt.Sprintf(`["said",%d]`, i))
		question := recv(t, "the question", s.events)
		if want := fmt.Sprintf(`["asked",%d]`, i); string(question.Data) != want {
			t.Fatalf("heard %s, want %s", question.Data, want)
		}
		s.answer(question)
		if err := recv(t, "the answer", asked); err != nil {
			t.Fatal(err)
		}
	}
}

package gatewayd_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/pkg/socketio"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// stored lists the payloads in the main stream, in order.
func (d *deployment) stored() (all []string) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	stream, err := d.js.Stream(ctx, contract.Subjects{}.Names().Stream)
	if err != nil {
		d.t.Fatal(err)
	}
	state := stream.CachedInfo().State
	for sequence := state.FirstSeq; sequence <= state.LastSeq && state.Msgs > 0; sequence++ {
		msg, err := stream.GetMsg(ctx, sequence)
		if err != nil {
			d.t.Fatal(err)
		}
		if len(msg.Data) > 0 { // else a gateway's own, by which it tells how new a replica is
			all = append(all, string(msg.Data))
		}
	}
	return all
}

func (d *deployment) wantStored(want ...string) {
	d.t.Helper()
	if got := d.stored(); fmt.Sprint(got) != fmt.Sprint(want) {
		d.t.Errorf("stored %q, want %q", got, want)
	}
}

// withInner gives the main namespace rules whose ids stand elsewhere.
func withInner(c *gatewayd.Config) {
	c.Namespaces["/"].Events["inner"] = contract.Rule{Action: contract.ActionEmit, To: "all", Args: 1, ID: "args[0].id"}
	c.Namespaces["/"].Events["other"] = contract.Rule{Action: contract.ActionEmit, To: "room", Args: 2, ID: "args[2]"}
}

func TestWhatIsSaidAgainIsStoredOnce(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway(withInner)
	s, other := g.connect(), g.connect()
	s.join("red", "blue")
	// The ack of each repetition is that of the first.
	for _, event := range [][]string{
		{`"chat message"`, `"hi"`, `"id-1"`},
		{`"room message"`, `"red"`, `"hi"`, `"id-1"`},
		{`"room message"`, `"blue"`, `"hi"`, `"id-1"`},
		{`"inner"`, `{"id":"id-1","text":"hi"}`},
		{`"other"`, `"red"`, `"hi"`, `"id-1"`},
	} {
		first := s.request(event...)
		if again := s.request(event...); !strings.Contains(first, `"ok":true`) || again != first {
			t.Errorf("%q: %s, then %s", event, first, again)
		}
	}
	// Nobody else's id counts for another; without an id each is one of its own.
	s.request(`"chat message"`, `"mine"`, `"id-2"`)
	other.request(`"chat message"`, `"theirs"`, `"id-2"`)
	for range 2 {
		s.request(`"chat message"`, `"no id"`)
		s.request(`"chat message"`, `"null"`, `null`)
		s.request(`"inner"`, `{"text":"no id"}`)
	}
	d.wantStored(`["chat message","hi"]`, `["room message","red","hi"]`, `["room message","blue","hi"]`, `["inner",{"id":"id-1","text":"hi"}]`, `["other","red","hi"]`,
		`["chat message","mine"]`, `["chat message","theirs"]`,
		`["chat message","no id"]`, `["chat message","null"]`, `["inner",{"text":"no id"}]`, `["chat message","no id"]`, `["chat message","null"]`, `["inner",{"text":"no id"}]`)
	before := len(d.stored())
	for _, event := range [][]string{
		{`"chat message"`, `"hi"`, `7`}, {`"chat message"`, `"hi"`, `""`}, {`"chat message"`, `"hi"`, `{"id":"x"}`},
		{`"chat message"`, `"hi"`, quote(strings.Repeat("x", 129))}, {`"chat message"`, `"hi"`, `"id"`, `"more"`}, {`"inner"`, `{"id":7}`},
	} {
		if ack := s.request(event...); !strings.Contains(ack, `"code":"invalid"`) {
			t.Errorf("%q: %s", event, ack)
		}
	}
	if n := len(d.stored()) - before; n != 0 {
		t.Errorf("%d refused messages were stored", n)
	}
}

// TestUsersAndGuestsAreKnownAgain has those who said something come back, anywhere, and say it again.
func TestUsersAndGuestsAreKnownAgain(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	d.admit("/guarded", func(e contract.Entry) string {
		if strings.Contains(string(e.Handshake.Auth), "guest") {
			return `{"ok":true}`
		}
		return `{"ok":true,"user":"u1"}`
	})
	gws := d.gateways(2, func(c *gatewayd.Config) {
		c.Namespaces["/guarded"] = contract.Namespace{Use: []string{"auth"}, Events: map[string]contract.Rule{"say": {Action: contract.ActionEmit, To: "all", Args: 1, ID: "args[1]"}}}
	})
	say := func(s *socket) string { return s.request(`"say"`, `"hi"`, `"1"`) }
	phone, laptop := gws[0].dial().enter("/guarded", `{"token":"x"}`), gws[1].dial().enter("/guarded", `{"token":"x"}`)
	if first, again := say(phone), say(laptop); first != again {
		t.Errorf("the same user: %s, then %s", first, again)
	}
	guest, pid := gws[0].connectKept("/guarded", `{"guest":1}`)
	first := say(guest)
	if stranger, _ := gws[1].connectKept("/guarded", `{"guest":1}`); say(stranger) == first {
		t.Error("another guest's message is taken for the first one's")
	}
	// It starts afresh, since it names a place in the stream that is none; twice.
	for range 2 {
		guest.close()
		guest = gws[1].dial().ask("/guarded", fmt.Sprintf(`{"guest":1,"pid":%q,"offset":"none"}`, pid))
		now := guest.kept()
		if now == pid {
			t.Fatal("it went on with the old session")
		}
		if again := say(guest); again != first {
			t.Errorf("the same guest: %s, then %s", first, again)
		}
		pid = now
	}
}

// TestGuestsMayBringASecret has guests come back where nobody can be recovered.
func TestGuestsMayBringASecret(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(2)
	said := make(map[string]string)
	for auth, same := range map[string]bool{`{"client":"0123456789abcdef"}`: true, `{"client":"fedcba9876543210"}`: true, `{"client":"guessable"}`: false, `{"client":7}`: false, `{}`: false} {
		first := gws[0].connect(auth).request(`"chat message"`, `"hi"`, `"1"`)
		again := gws[1].connect(auth).request(`"chat message"`, `"hi"`, `"1"`)
		if (first == again) != same {
			t.Errorf("%s: %s, then %s", auth, first, again)
		}
		if other, ok := said[first]; ok {
			t.Errorf("%s is taken for %s", auth, other)
		}
		said[first] = auth
	}
}

// TestWhatWasStoredUnheardIsHeardWhenItIsSaidAgain has JetStream store a message and republish it to nobody, as a leader does
// that is killed in between; its sender hears no ack and says it again.
func TestWhatWasStoredUnheardIsHeardWhenItIsSaidAgain(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(2)
	s, other := gws[0].connect(), gws[1].connect()
	var first string
	d.silently(func() { first = s.request(`"chat message"`, `"hi"`, `"1"`) })
	if again := s.request(`"chat message"`, `"hi"`, `"1"`); again != first || !strings.Contains(first, `"ok":true`) {
		t.Fatalf("%s, then %s", first, again)
	}
	for _, hears := range []*socket{s, other} {
		hears.wantStamped("chat message", "hi")
		hears.wantHeard()
	}
}

// TestMessagesWaitForJetStream says much while NATS is away for a while, with and without ids.
func TestMessagesWaitForJetStream(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	s, other := g.connect(), g.connect()
	s.request(`"chat message"`, `"before"`)
	want := []string{`["chat message","before"]`}
	d.nats.Shutdown()
	var acks []<-chan *socketio.Packet
	for i := range 50 {
		text := quote(fmt.Sprint(i))
		acks = append(acks, s.emitAck(`"chat message"`, text))
		want = append(want, `["chat message",`+text+`]`)
		if i%10 == 0 {
			acks = append(acks, s.emitAck(`"chat message"`, text, `"id"`)) // five times: stored once
		}
	}
	want = append(want[:2], append([]string{`["chat message","0"]`}, want[2:]...)...)
	d.nats.Restart()
	for i, ack := range acks {
		if got := string(recv(t, "an ack", ack).Data); !strings.Contains(got, `"ok":true`) {
			t.Fatalf("ack %d: %s", i, got)
		}
	}
	wait(t, "the test's own connection", d.nc.IsConnected)
	d.wantStored(want...)
	for range want {
		s.event()
		other.event()
	}
	s.wantHeard()
	other.wantHeard()
}

// TestWhatIsNotConfirmedIsGivenUpUnanswered keeps NATS away for longer than messages wait.
func TestWhatIsNotConfirmedIsGivenUpUnanswered(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	s := g.connect()
	d.nats.Shutdown()
	ack := s.emitAck(`"chat message"`, `"lost"`)
	start := time.Now()
	for g.metric("natter_gateway_dropped_total", "not stored") != 1 { // it waits for nearly as long as wait does
		if time.Since(start) > 4*patience {
			t.Fatal("the message is not given up")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if after := time.Since(start); after < 10*time.Second {
		t.Errorf("it was given up after %s", after)
	}
	d.nats.Restart()
	g.awaitReady()
	wait(t, "the test's own connection", d.nc.IsConnected)
	if got := s.request(`"chat message"`, `"later"`); !strings.Contains(got, `"ok":true`) {
		t.Fatal(got)
	}
	if len(ack) > 0 {
		t.Errorf("acked: %s", (<-ack).Data)
	}
	d.wantStored(`["chat message","later"]`)
}

// TestOneClientsTroubleIsNotAnothers has JetStream's answers to one room's messages taken by somebody else.
func TestOneClientsTroubleIsNotAnothers(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	s, other := g.connect(), g.connect()
	s.join("red")
	stream, err := d.js.Stream(t.Context(), contract.Subjects{}.Names().Stream)
	if err != nil {
		t.Fatal(err)
	}
	// One subject of the stream's is no longer its: nobody answers.
	cfg := stream.CachedInfo().Config
	all := cfg.Subjects
	cfg.Subjects = nil
	for _, subject := range all {
		if subject != "natter.post.*.room.*" {
			cfg.Subjects = append(cfg.Subjects, subject)
		}
	}
	if _, err := d.js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	first, second := s.emitAck(`"room message"`, `"red"`, `"1"`), s.emitAck(`"chat message"`, `"2"`)
	for range 20 {
		if got := other.request(`"chat message"`, `"other"`); !strings.Contains(got, `"ok":true`) {
			t.Fatal(got)
		}
	}
	// An attempt that nobody answered may still be stored: what the client said later must not be there before it.
	order := func() (order string) {
		for _, text := range d.stored() {
			for _, n := range []string{"1", "2", "3"} {
				if strings.HasSuffix(text, `"`+n+`"]`) {
					order += n
				}
			}
		}
		return order
	}
	if len(first)+len(second) > 0 || order() != "" {
		t.Fatalf("acked: %d and %d; stored: %s", len(first), len(second), order())
	}
	cfg.Subjects = all
	if _, err := d.js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	for _, ack := range []<-chan *socketio.Packet{first, second, s.emitAck(`"room message"`, `"red"`, `"3"`)} {
		if got := string(recv(t, "the ack", ack).Data); !strings.Contains(got, `"ok":true`) {
			t.Fatal(got)
		}
	}
	if got := order(); got != "123" {
		t.Errorf("stored in the order %s", got)
	}
}

// TestOrderIsKeptThroughALeadersEnd has clients say a stream of messages while the leader of a cluster goes, again and again.
func TestOrderIsKeptThroughALeadersEnd(t *testing.T) {
	nodes := natstest.Cluster(t, 3)
	d := &deployment{t: t, nats: nodes[0]}
	d.nc = nodes.Connect(t)
	var err error
	if d.js, err = jetstream.New(d.nc); err != nil {
		t.Fatal(err)
	}
	gws := d.gateways(2, func(c *gatewayd.Config) {
		c.Replicas, c.NATS.URL, c.Lease = 3, nodes.URLs(), 10*time.Second
	})
	s, other := gws[0].connect(), gws[1].connect()
	const n = 300
	var acks []<-chan *socketio.Packet
	var want []string
	for i := range n {
		text := fmt.Sprintf(`["chat message","%d"]`, i)
		want = append(want, text)
		acks = append(acks, s.emitAck(`"chat message"`, quote(fmt.Sprint(i)), quote(fmt.Sprint("id-", i))))
		if i%100 == 50 {
			stepDown(t, d.nc)
		}
	}
	acked := 0
	late, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	for _, ack := range acks {
		select {
		case p := <-ack:
			if !strings.Contains(string(p.Data), `"ok":true`) {
				t.Fatalf("%s", p.Data)
			}
			acked++
		case <-late.Done():
		}
	}
	got := d.stored()
	if len(got) < acked {
		t.Fatalf("%d were acked, %d are stored", acked, len(got))
	}
	// In order, each once: those that were not acked may be missing.
	next := 0
	for _, text := range got {
		for next < n && want[next] != text {
			next++
		}
		if next == n {
			t.Fatalf("%s is out of order, or there twice: %q", text, got)
		}
		next++
	}
	for _, hears := range []*socket{s, other} {
		for range got {
			hears.event()
		}
		hears.wantHeard()
	}
	t.Logf("%d said, %d acked, %d stored", n, acked, len(got))
}

func stepDown(t *testing.T, nc *nats.Conn) {
	t.Helper()
	wait(t, "the leader to step down", func() bool {
		reply, err := nc.Request("$JS.API.STREAM.LEADER.STEPDOWN.NATTER", nil, 5*time.Second)
		return err == nil && strings.Contains(string(reply.Data), `"success":true`)
	})
}

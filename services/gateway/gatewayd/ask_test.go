package gatewayd_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/gather"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// ask gathers the answers of all gateways.
func (d *deployment) ask(msg *nats.Msg) []*nats.Msg {
	d.t.Helper()
	answers, err := d.tryAsk(msg)
	if err != nil {
		d.t.Fatalf("%s: %v", msg.Subject, err)
	}
	return answers
}

func (d *deployment) tryAsk(msg *nats.Msg) ([]*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var answers []*nats.Msg
	err := gather.All(ctx, d.nc, msg, func(m *nats.Msg) error { answers = append(answers, m); return nil })
	return answers, err
}

// list fetches sockets, by id.
func (d *deployment) list(namespace string, rooms []string) map[string]contract.SocketInfo {
	d.t.Helper()
	return d.infos(d.ask(d.message(contract.List, namespace, rooms, "")))
}

// infos are what answers to a list say, by id.
func (d *deployment) infos(answers []*nats.Msg) map[string]contract.SocketInfo {
	d.t.Helper()
	all := map[string]contract.SocketInfo{}
	for _, m := range answers {
		var infos []contract.SocketInfo
		if err := json.Unmarshal(m.Data, &infos); err != nil {
			d.t.Fatalf("answer %s: %v", m.Data, err)
		}
		for _, info := range infos {
			all[info.ID] = info
		}
	}
	return all
}

// acks reads the answers to an ask: each client's ack, and how many were asked.
func acks(t testing.TB, answers []*nats.Msg) (byID map[string]string, expected int) {
	t.Helper()
	byID = map[string]string{}
	for _, m := range answers {
		var all []contract.Answer
		if err := json.Unmarshal(m.Data, &all); err != nil {
			t.Fatalf("answer %s: %v", m.Data, err)
		}
		for _, a := range all {
			byID[a.ID] = string(a.Ack)
		}
		var n int
		if _, err := fmt.Sscan(m.Header.Get(contract.HeaderExpected), &n); err != nil {
			t.Fatalf("header %s: %v", contract.HeaderExpected, err)
		}
		expected += n
	}
	return byID, expected
}

// asked starts an ask and returns where its answers will be.
func (d *deployment) asked(msg *nats.Msg) <-chan []*nats.Msg {
	ch := make(chan []*nats.Msg, 1)
	go func() {
		answers, err := d.tryAsk(msg)
		if err != nil {
			d.t.Errorf("%s: %v", msg.Subject, err)
		}
		ch <- answers
	}()
	return ch
}

func TestAskGathersTheAcksOfAllGateways(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(2)
	sockets := []*socket{gws[0].connect(), gws[0].connect(), gws[1].connect(), gws[1].poll().enter("/", "")}
	sockets[3].join("red")
	for _, c := range []struct {
		name     string
		rooms    []string
		except   []string
		meant    []*socket
		gateways int
	}{
		{"all", nil, nil, sockets, 2},
		{"room", []string{"red"}, nil, sockets[3:], 2},
		{"several", []string{"red", sockets[3].id, sockets[0].id}, nil, []*socket{sockets[0], sockets[3]}, 2},
		{"socket", []string{sockets[2].id}, nil, sockets[2:3], 1},
		{"all but", nil, []string{"red", sockets[0].id}, sockets[1:3], 2},
	} {
		var header []string
		if c.except != nil {
			header = []string{contract.HeaderExcept, d.names(c.except...)}
		}
		done := d.asked(d.message(contract.Ask, "/", c.rooms, `["question",`+quote(c.name)+`]`, header...))
		want := map[string]string{}
		for i, s := range c.meant {
			p := recv(t, "the question", s.events)
			if string(p.Data) != `["question",`+quote(c.name)+`]` {
				t.Fatalf("%s: asked %s", c.name, p.Data)
			}
			s.answer(p, fmt.Sprint(i), `{"b":1,"a":"<\ud800"}`)
			want[s.id] = fmt.Sprintf(`[%d,{"b":1,"a":"<\ud800"}]`, i)
		}
		answers := recv(t, "the answers", done)
		got, expected := acks(t, answers)
		if !maps.Equal(got, want) || expected != len(want) || len(answers) != c.gateways {
			t.Fatalf("%s: %d answers hold the acks %q of %d, want %q", c.name, len(answers), got, expected, want)
		}
		for _, m := range answers {
			if m.Header.Get(contract.HeaderGateways) != fmt.Sprint(c.gateways) {
				t.Fatalf("%s: %s gateways", c.name, m.Header.Get(contract.HeaderGateways))
			}
		}
	}
}

func TestAskWithoutMembersIsAnsweredAtOnce(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	d.gateways(2)
	began := time.Now()
	answers := d.ask(d.message(contract.Ask, "/", []string{"nobody's"}, `["q"]`, contract.HeaderTimeout, "1m"))
	if got, expected := acks(t, answers); len(got) != 0 || expected != 0 || len(answers) != 2 || string(answers[0].Data) != "[]" {
		t.Fatalf("%d answers: %q of %d", len(answers), got, expected)
	}
	if took := time.Since(began); took > patience {
		t.Fatalf("it took %s", took)
	}
}

func TestAskAnswersAtItsDeadlineWithWhatThereIs(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(2)
	quick, silent, far := gws[0].connect(), gws[0].connect(), gws[1].connect()
	done := d.asked(d.message(contract.Ask, "/", nil, `["q"]`, contract.HeaderTimeout, "3s"))
	quick.answer(recv(t, "the question", quick.events))
	far.answer(recv(t, "the question", far.events), `1`)
	p := recv(t, "the question", silent.events)
	got, expected := acks(t, recv(t, "the answers", done))
	if want := map[string]string{quick.id: "[]", far.id: "[1]"}; !maps.Equal(got, want) || expected != 3 {
		t.Fatalf("acks %q of %d, want %q of 3", got, expected, want)
	}
	silent.answer(p, `"late"`)
	wait(t, "the late ack's count", func() bool { return gws[0].metric("natter_gateway_late_acks_total") == 1 })
	silent.wantAlive()
}

func TestAskDoesNotWaitForWhoLeaves(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(2)
	stays, leaves, out := gws[0].connect(), gws[1].connect(), gws[1].connect()
	done := d.asked(d.message(contract.Ask, "/", nil, `["q"]`, contract.HeaderTimeout, "1m"))
	for _, s := range []*socket{leaves, out} {
		recv(t, "the question", s.events)
	}
	leaves.close()
	d.do("/", []string{out.id}, `["disconnect"]`)
	stays.answer(recv(t, "the question", stays.events), `1`)
	got, expected := acks(t, recv(t, "the answers", done))
	if want := map[string]string{stays.id: "[1]"}; !maps.Equal(got, want) || expected != 3 {
		t.Fatalf("acks %q of %d, want %q of 3", got, expected, want)
	}
}

func TestAskAcksCountOnce(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	a, b := g.connect(), g.connect()
	done := d.asked(d.message(contract.Ask, "/", nil, `["q"]`))
	p := recv(t, "the question", a.events)
	a.answer(p, `1`)
	a.answer(p, `2`)
	a.send("3999999999[]") // an ack that nobody asked for is legal
	a.wantAlive()
	b.answer(recv(t, "the question", b.events), `3`)
	if got, _ := acks(t, recv(t, "the answers", done)); !maps.Equal(got, map[string]string{a.id: "[1]", b.id: "[3]"}) {
		t.Fatalf("acks %q", got)
	}
}

// TestAskWithTheShortestDeadline has deadlines that end before the question is out.
func TestAskWithTheShortestDeadline(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway(func(c *gatewayd.Config) { c.MaxPendingAcks = 3 })
	s := g.connect()
	for range 300 {
		d.ask(d.message(contract.Ask, "/", nil, `["q"]`, contract.HeaderTimeout, "1ns"))
	}
	// None of those acks is owed any more.
	s.heard()
	done := d.asked(d.message(contract.Ask, "/", nil, `["in time"]`))
	s.answer(recv(t, "the question", s.events))
	if got, _ := acks(t, recv(t, "the answers", done)); got[s.id] != "[]" {
		t.Fatalf("acks %q", got)
	}
}

func TestClientOwesABoundedNumberOfAcks(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway(func(c *gatewayd.Config) { c.MaxPendingAcks = 3 })
	s := g.connect()
	var done []<-chan []*nats.Msg
	for i := range 4 {
		done = append(done, d.asked(d.message(contract.Ask, "/", nil, fmt.Sprintf("[\"q\",%d]", i), contract.HeaderTimeout, "2s")))
		if i < 3 {
			s.want(fmt.Sprintf(`["q",%d]`, i))
		}
	}
	// The fourth is not asked, which its asker learns at once, with how many were meant.
	if got, expected := acks(t, recv(t, "the answers", done[3])); len(got) != 0 || expected != 1 {
		t.Fatalf("acks %q of %d", got, expected)
	}
	for _, ch := range done[:3] {
		recv(t, "the answers", ch)
	}
	go func() {
		p := <-s.events
		s.answer(p, `"again"`)
	}()
	if got, _ := acks(t, d.ask(d.message(contract.Ask, "/", nil, `["q"]`))); got[s.id] != `["again"]` {
		t.Fatalf("acks %q", got)
	}
}

func TestMalformedRequestsAreRefused(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	s := g.connect()
	bad := []*nats.Msg{
		d.message(contract.Ask, "/", nil, `hello`),
		d.message(contract.Ask, "/", nil, `{}`),
		d.message(contract.Ask, "/", nil, `[]`),
		d.message(contract.Ask, "/", nil, `["connect"]`),
		d.message(contract.Ask, "/", nil, `["q"]`, contract.HeaderTimeout, "soon"),
		d.message(contract.Ask, "/", nil, `["q"]`, contract.HeaderTimeout, "-1s"),
		d.message(contract.Ask, "/", nil, `["q"]`, contract.HeaderExcept, "a room"),
		d.message(contract.Ask, "/", nil, `["q"]`, contract.HeaderAttachments, "-1"),
		d.message(contract.List, "/", nil, ``, contract.HeaderExcept, "=zz"),
		d.message(contract.List, "/", nil, ``, contract.HeaderAfter, "soon"),
	}
	many := nats.NewMsg("natter.list._.many")
	odd := nats.NewMsg("natter.ask.=ZZ.all")
	for _, msg := range append(bad, many, odd) {
		if _, err := d.tryAsk(msg); !errors.Is(err, gather.ErrRefused) || !strings.Contains(err.Error(), contract.CodeInvalid) {
			t.Errorf("%s %s %v: %v", msg.Subject, msg.Data, msg.Header, err)
		}
	}
	// Without a reply subject there is nobody to be told.
	if err := d.nc.Publish("natter.ask._.all", []byte(`["q"]`)); err != nil {
		t.Fatal(err)
	}
	wait(t, "the count of refusals", func() bool {
		return g.metric("natter_gateway_messages_skipped_total", "request") == float64(len(bad)+3)
	})
	if got := s.heard(); !slices.Equal(got, []string{}) {
		t.Fatalf("heard %q", got)
	}
}

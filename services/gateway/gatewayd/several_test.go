package gatewayd_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/embed"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// TestGatewaysAreOneServer sends to every form of target over two gateways: each socket that is meant hears
// it once, nobody else does.
func TestGatewaysAreOneServer(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(2)
	// Two sockets on each gateway: one in red and blue, one in blue alone; one of another namespace.
	both := []*socket{gws[0].connect(), gws[1].connect()}
	one := []*socket{gws[0].connect(), gws[1].connect()}
	other := gws[1].dial().enter("/bare", "")
	for i := range both {
		both[i].join("red", "blue")
		one[i].join("blue")
	}
	for _, c := range []struct {
		name   string
		rooms  []string
		except []string
		want   []*socket
	}{
		{"all", nil, nil, []*socket{both[0], both[1], one[0], one[1]}},
		{"room", []string{"red"}, nil, both},
		{"room of all", []string{"blue"}, nil, []*socket{both[0], both[1], one[0], one[1]}},
		{"empty room", []string{"green"}, nil, nil},
		{"several rooms", []string{"red", "blue"}, nil, []*socket{both[0], both[1], one[0], one[1]}},
		{"several rooms, some empty", []string{"green", "red", "yellow"}, nil, both},
		{"socket", []string{one[1].id}, nil, one[1:]},
		{"sockets and rooms", []string{one[0].id, "red", both[0].id}, nil, []*socket{both[0], both[1], one[0]}},
		{"all but a room", nil, []string{"red"}, one},
		{"all but a socket", nil, []string{both[1].id}, []*socket{both[0], one[0], one[1]}},
		{"room but a room", []string{"blue"}, []string{"red"}, one},
		{"room but sockets", []string{"blue"}, []string{both[0].id, one[1].id}, []*socket{both[1], one[0]}},
		{"several rooms but a room and a socket", []string{"blue", "red"}, []string{"red", one[0].id}, one[1:]},
		{"room but itself", []string{"red"}, []string{"red"}, nil},
	} {
		for _, kind := range []contract.Kind{contract.Emit, contract.Post, contract.Volatile} {
			event := fmt.Sprintf(`["%s %s"]`, kind, c.name)
			var header []string
			if c.except != nil {
				header = []string{contract.HeaderExcept, d.names(c.except...)}
			}
			msg := d.message(kind, "/", c.rooms, event, header...)
			if kind == contract.Volatile {
				if err := d.nc.PublishMsg(msg); err != nil {
					t.Fatal(err)
				}
			} else {
				d.store(msg)
			}
			for _, s := range []*socket{both[0], both[1], one[0], one[1], other} {
				var got []string
				if kind == contract.Volatile {
					got = s.heardVolatile()
				} else {
					got = s.heard()
				}
				want := 0
				for _, w := range c.want {
					if w == s {
						want = 1
					}
				}
				if len(got) != want || want == 1 && !strings.HasPrefix(got[0], strings.TrimSuffix(event, "]")) {
					t.Errorf("%s %s: a socket in %s heard %q, want %d", kind, c.name, s.namespace, got, want)
				}
			}
		}
	}
	// Several rooms are one message: nothing was published twice, nothing thrown away on the way.
	for _, g := range gws {
		if n := g.metric("natter_gateway_duplicates_total") + g.metric("natter_gateway_messages_skipped_total"); n != 0 {
			t.Errorf("%v messages came twice or were skipped", n)
		}
	}
}

func TestRulesReachOverGateways(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(2)
	a, b, outside := gws[0].connect(`{"name":"Ann"}`), gws[1].connect(`{"name":"Ben"}`), gws[1].connect()
	a.join("red")
	b.join("red")
	ack := a.request(`"chat message"`, `"hello"`)
	for _, s := range []*socket{a, b, outside} {
		stamp := s.wantStamped("chat message", "hello")
		if stamp.Socket != a.id || stamp.Name != "Ann" || stamp.User != "" || ack != `[{"ok":true,"id":"`+stamp.ID+`"}]` {
			t.Fatalf("stamp %+v, ack %s", stamp, ack)
		}
	}
	a.request(`"room message"`, `"red"`, `"psst"`)
	a.wantStamped("room message", "red", "psst")
	b.wantStamped("room message", "red", "psst")
	b.emit(`"typing"`, `"red"`)
	if stamp := a.wantStamped("typing", "red"); stamp.Socket != b.id || stamp.ID != "" {
		t.Fatalf("stamp of typing: %+v", stamp)
	}
	for _, s := range []*socket{b, outside} {
		if got := append(s.heardVolatile(), s.heard()...); len(got) > 0 {
			t.Fatalf("heard %q", got)
		}
	}
	members := fmt.Sprintf(`[{"ok":true,"members":[{"id":%q,"name":"Ann"},{"id":%q,"name":"Ben"}],"complete":true}]`, a.id, b.id)
	for _, s := range []*socket{a, b, outside} {
		if got := s.request(`"who"`, `"red"`); got != members {
			t.Fatalf("who is in red: %s, want %s", got, members)
		}
	}
	if got := a.request(`"who"`, `"nobody's"`); got != `[{"ok":true,"members":[],"complete":true}]` {
		t.Fatalf("who is in an empty room: %s", got)
	}
	if got := a.request(`"who"`, quote(b.id)); !strings.Contains(got, `"code":"forbidden"`) {
		t.Fatalf("who is %s: %s", b.id, got)
	}
}

func TestMembersAreToldWhoComesAndGoes(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(2)
	a := gws[0].dial().enter("/told", "")
	a.join("red")
	b := gws[1].dial().enter("/told", `{"name":"Ben"}`)
	for i, leave := range []func(){
		func() { b.request(`"leave"`, `"red"`) },
		func() { d.do("/told", []string{b.id}, `["leave","red"]`); b.heard(); b.request(`"leave"`, `"red"`) },
		func() { b.close() },
	} {
		b.join("red")
		if stamp := a.wantStamped("joined", "red"); stamp.Socket != b.id || stamp.Name != "Ben" {
			t.Fatalf("%d: joined is stamped %+v", i, stamp)
		}
		b.join("red") // no news
		leave()
		if i == 1 {
			continue // the service that ordered it tells whom it wants
		}
		if stamp := a.wantStamped("left", "red"); stamp.Socket != b.id {
			t.Fatalf("%d: left is stamped %+v", i, stamp)
		}
	}
	if got := a.heardVolatile(); len(got) > 0 {
		t.Fatalf("heard %q", got)
	}
}

func TestBinaryReachesOverGateways(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(2, func(c *gatewayd.Config) {
		c.Namespaces["/"].Events["file"] = contract.Rule{Action: contract.ActionEmit, To: "all", Args: 2}
	})
	sender := gws[0].connect()
	hearers := []*socket{sender, gws[1].connect(), gws[1].poll().enter("/", "")}
	sender.send(`52-["file",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]`)
	sender.sendBinary([]byte{0, 1, 2})
	sender.sendBinary(nil)
	for _, s := range hearers {
		p := recv(t, "the file", s.events)
		if len(p.Attachments) != 2 || string(p.Attachments[0]) != "\x00\x01\x02" || len(p.Attachments[1]) != 0 {
			t.Fatalf("attachments %q", p.Attachments)
		}
		if !strings.HasPrefix(string(p.Data), `["file",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0},{"id":"`) {
			t.Fatalf("heard %s", p.Data)
		}
	}
	// A service's ack with attachments, and an event that it gets.
	bare := gws[1].dial().enter("/bare", "")
	d.serve("natter.on.bare.upload.>", func(m *nats.Msg) string {
		reply := nats.NewMsg(m.Reply)
		reply.Header.Set(contract.HeaderAttachments, m.Header.Get(contract.HeaderAttachments))
		reply.Data = []byte(strings.Replace(string(m.Data), `"upload"`, `"got it"`, 1))
		_ = m.RespondMsg(reply)
		return ""
	})
	_, ack := bare.await()
	bare.send(`51-/bare,0["upload",{"_placeholder":true,"num":0}]`)
	bare.sendBinary([]byte("bytes"))
	if p := recv(t, "the ack", ack); len(p.Attachments) != 1 || string(p.Attachments[0]) != "bytes" || string(p.Data) != `["got it",{"_placeholder":true,"num":0}]` {
		t.Fatalf("ack %s %q", p.Data, p.Attachments)
	}
}

func TestListSpeaksForEveryGateway(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(2)
	a := gws[0].dial().enter("/bare", `{"token":"secret"}`)
	b := gws[1].poll().enter("/bare", "")
	d.do("/bare", []string{b.id}, `["join","b","a"]`)
	b.heard()
	infos := d.list("/bare", nil)
	if len(infos) != 2 || infos[a.id].Rooms == nil || len(infos[a.id].Rooms) != 0 || fmt.Sprint(infos[b.id].Rooms) != "[a b]" {
		t.Fatalf("sockets: %+v", infos)
	}
	if h := infos[a.id].Handshake; len(h.Auth) > 0 && string(h.Auth) != "null" {
		t.Fatalf("the list tells auth: %s", h.Auth)
	} else if h.Address == "" || h.Time.IsZero() || h.Query["transport"] != "websocket" || h.Headers["host"] == "" {
		t.Fatalf("handshake %+v", h)
	}
	if infos := d.list("/bare", []string{"a"}); len(infos) != 1 || infos[b.id].ID != b.id {
		t.Fatalf("sockets in a: %+v", infos)
	}
	if infos := d.list("/bare", []string{"a", a.id}); len(infos) != 2 {
		t.Fatalf("sockets in a, or a: %+v", infos)
	}
	if infos := d.list("/bare", []string{a.id}); len(infos) != 1 {
		t.Fatalf("a: %+v", infos)
	}
	if infos := d.list("/nobody's", nil); len(infos) != 0 {
		t.Fatalf("sockets of a namespace without any: %+v", infos)
	}
}

// TestListAfterAnOrderSeesWhatItDid orders sockets of both gateways into fresh rooms and lists these at once.
func TestListAfterAnOrderSeesWhatItDid(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(2)
	for _, g := range gws {
		g.connect().join("noisy")
	}
	d.traffic("noisy")
	for i := range 50 {
		room := fmt.Sprintf("fresh %d", i)
		after := fmt.Sprint(d.do("/", nil, `["join",`+quote(room)+`]`))
		answers := d.ask(d.message(contract.List, "/", []string{room}, "", contract.HeaderAfter, after))
		if len(answers) != 2 || string(answers[0].Data) == "[]" || string(answers[1].Data) == "[]" {
			t.Fatalf("%s: %d answers, %s", room, len(answers), answers[0].Data)
		}
	}
}

// TestLargeListsComeInParts has more to tell than one NATS message takes.
func TestLargeListsComeInParts(t *testing.T) {
	t.Parallel()
	d := deploy(t, natstest.WithOptions(func(o *embed.Options) { o.MaxPayload = 4 << 10 }))
	gws := d.gateways(2)
	ids := map[string]bool{}
	for i := range 24 {
		ids[gws[i%2].connect(`{"name":"`+strings.Repeat("n", 60)+`"}`).id] = true
	}
	answers := d.ask(d.message(contract.List, "/", nil, ""))
	if len(answers) < 4 {
		t.Fatalf("%d answers: none is in parts", len(answers))
	}
	for _, m := range answers {
		if part := m.Header.Get(contract.HeaderPart); part == "" {
			t.Fatalf("an answer of %d bytes is no part", len(m.Data))
		}
		var infos []contract.SocketInfo
		if err := json.Unmarshal(m.Data, &infos); err != nil {
			t.Fatalf("part %s: %v", m.Data, err)
		}
		for _, info := range infos {
			if !ids[info.ID] {
				t.Fatalf("%s is listed twice, or nobody", info.ID)
			}
			delete(ids, info.ID)
		}
	}
	if len(ids) > 0 {
		t.Fatalf("%d sockets are not listed", len(ids))
	}
}

// TestAnswersSayWhatTheyLeaveOut has a socket, and an ack, that are too large for any NATS message.
func TestAnswersSayWhatTheyLeaveOut(t *testing.T) {
	t.Parallel()
	d := deploy(t, natstest.WithOptions(func(o *embed.Options) { o.MaxPayload = 4 << 10 }))
	gws := d.gateways(2, func(c *gatewayd.Config) { c.Recovery = false }) // a session is no larger than a message, either
	large, other, far := gws[0].connect(), gws[0].connect(), gws[1].connect()
	for i := range 40 {
		large.join(strings.Repeat("r", 100) + fmt.Sprint(i))
	}
	check := func(answers []*nats.Msg, want string) {
		t.Helper()
		for _, m := range answers {
			gateway, leftOut := m.Header.Get(contract.HeaderGateway), m.Header.Get(contract.HeaderLeftOut)
			if gateway == gws[0].ID() && leftOut != want || gateway != gws[0].ID() && leftOut != "" {
				t.Errorf("%s left out %q", gateway, leftOut)
			}
		}
	}
	answers := d.ask(d.message(contract.List, "/", nil, ""))
	check(answers, "1")
	if all := d.infos(answers); len(all) != 2 || all[other.id].ID == "" || all[far.id].ID == "" {
		t.Errorf("listed %v", all)
	}
	if n := gws[0].metric("natter_gateway_dropped_total", "answer over max_payload"); n != 1 {
		t.Errorf("%v answers were counted as dropped", n)
	}
	check(d.ask(d.message(contract.List, "/", []string{other.id}, "")), "")
	done := d.asked(d.message(contract.Ask, "/", []string{large.id, other.id}, `["q"]`))
	large.answer(recv(t, "the question", large.events), quote(strings.Repeat("x", 4<<10)))
	other.answer(recv(t, "the question", other.events), `1`)
	answers = recv(t, "the answers", done)
	check(answers, "1")
	if got, expected := acks(t, answers); len(got) != 1 || got[other.id] != "[1]" || expected != 2 {
		t.Errorf("acks %q of %d", got, expected)
	}
}

// TestGatewaysNameTheirPeers in each answer, so that who asks knows whom to wait for.
func TestGatewaysNameTheirPeers(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(3)
	want := map[string]string{}
	for _, g := range gws {
		var peers []string
		for _, peer := range gws {
			if peer != g {
				peers = append(peers, peer.ID())
			}
		}
		slices.Sort(peers)
		want[g.ID()] = strings.Join(peers, ",")
	}
	got := map[string]string{}
	for _, m := range d.ask(d.message(contract.List, "/", nil, "")) {
		got[m.Header.Get(contract.HeaderGateway)] = m.Header.Get(contract.HeaderPeers)
	}
	if !maps.Equal(got, want) {
		t.Errorf("peers %v, want %v", got, want)
	}
	nobody, err := contract.Subjects{}.ListNobody("/", gws[0].ID())
	if err != nil {
		t.Fatal(err)
	}
	if m, err := d.nc.Request(nobody, nil, patience); err != nil || string(m.Data) != "[]" || m.Header.Get(contract.HeaderPeers) != "" {
		t.Errorf("%s: %v, %v", nobody, m, err)
	}
}

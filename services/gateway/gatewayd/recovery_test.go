package gatewayd_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// pid connects and returns the socket's private id, too.
func (g *gateway) connectKept(namespace, auth string) (*socket, string) {
	g.t.Helper()
	s := g.dial().ask(namespace, auth)
	return s, s.kept()
}

// kept waits for the answer to CONNECT and returns the private id.
func (s *socket) kept() string {
	s.t.Helper()
	var a struct{ SID, PID string }
	answer := recv(s.t, "the answer to CONNECT", s.entry)
	if err := json.Unmarshal([]byte(answer), &a); err != nil || !contract.IsSocketID(a.SID) || a.PID == "" {
		s.t.Fatalf("CONNECT was answered %s", answer)
	}
	s.id = a.SID
	return a.PID
}

// back connects as the client of an earlier socket that received the offset last.
func (g *gateway) back(namespace, pid, offset string) *socket {
	g.t.Helper()
	return g.dial().ask(namespace, fmt.Sprintf(`{"pid":%q,"offset":%q}`, pid, offset))
}

// said takes n events and returns their second elements, and the last one's offset.
func (s *socket) said(n int) (texts []string, last string) {
	s.t.Helper()
	for range n {
		e := recv(s.t, "an event", s.events)
		var array []json.RawMessage
		if err := json.Unmarshal(e.Data, &array); err != nil {
			s.t.Fatal(err)
		}
		texts = append(texts, string(array[1]))
		last = e.offset
	}
	return texts, last
}

func (s *socket) wantSaid(want ...string) (last string) {
	s.t.Helper()
	got, last := s.said(len(want))
	if !slices.Equal(got, want) {
		s.t.Fatalf("was told %q, want %q", got, want)
	}
	return last
}

func countUp(from, to int) (all []string) {
	for i := from; i < to; i++ {
		all = append(all, fmt.Sprint(i))
	}
	return all
}

// say emits a number to rooms.
func (d *deployment) say(rooms []string, from, to int) {
	d.t.Helper()
	for i := from; i < to; i++ {
		d.emit("/", rooms, fmt.Sprintf(`["n",%d]`, i))
	}
}

func TestClientGoesOnAtAnotherGateway(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(2)
	s, pid := gws[0].connectKept("/", "")
	s.join("red")
	lives := d.listen("natter.on._.*.>")
	d.say([]string{"red"}, 0, 3)
	last := s.wantSaid(countUp(0, 3)...)

	gws[0].drop(s)
	d.say([]string{"red"}, 3, 5)
	d.say(nil, 5, 6)
	d.say([]string{"red", "blue"}, 6, 7)
	d.say([]string{s.id}, 7, 8)
	d.say([]string{"blue"}, 100, 101) // for others
	d.do("/", []string{s.id}, `["join","blue"]`)
	d.say([]string{"blue"}, 8, 9)
	d.do("/", []string{s.id}, `["leave","red"]`)
	d.say([]string{"red"}, 101, 102)
	d.do("/", []string{s.id}, `["data",{"score":7}]`)

	again := gws[1].back("/", pid, last)
	if again.kept() != pid || again.id != s.id {
		t.Fatalf("went on as %s, was %s", again.id, s.id)
	}
	last = again.wantSaid(countUp(3, 9)...)
	d.say([]string{"blue"}, 9, 12)
	d.say([]string{s.id}, 12, 13)
	last = again.wantSaid(countUp(9, 13)...)

	wait(t, "everybody to agree on where it is", func() bool {
		reply, err := d.nc.Request("natter.list._.socket."+s.id, nil, patience)
		if err != nil {
			t.Fatal(err)
		}
		var infos []contract.SocketInfo
		if err := json.Unmarshal(reply.Data, &infos); err != nil {
			t.Fatal(err)
		}
		return len(infos) == 1 && string(infos[0].Data) == `{"score":7}` && slices.Equal(infos[0].Rooms, []string{"blue"})
	})
	for _, want := range []string{"disconnecting", "disconnect", `["connect"`} {
		msg := recv(t, want, lives)
		if !strings.Contains(string(msg.Data), want) {
			t.Fatalf("services heard %s, want %s", msg.Data, want)
		}
		if want == `["connect"` && !strings.Contains(string(msg.Data), `"recovered":true`) {
			t.Fatalf("services heard %s", msg.Data)
		}
	}

	// And a second time, back at the first.
	gws[1].drop(again)
	d.say([]string{"blue"}, 13, 15)
	third := gws[0].back("/", pid, last)
	if third.kept() != pid || third.id != s.id {
		t.Fatalf("went on as %s, was %s", third.id, s.id)
	}
	third.wantSaid(countUp(13, 15)...)
	d.say([]string{s.id}, 15, 16)
	third.wantSaid("15")
}

// drop ends a client's connection and waits until the gateway knows.
func (g *gateway) drop(s *socket) {
	g.t.Helper()
	n := g.metric("natter_gateway_sockets")
	s.close()
	wait(g.t, "the connection's end", func() bool { return g.metric("natter_gateway_sockets") < n })
}

// TestClientIsTakenFromAGatewayThatDoesNotKnow has a client come back whose old connection still lives.
func TestClientIsTakenFromAGatewayThatDoesNotKnow(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(2)
	s, pid := gws[0].connectKept("/", "")
	s.join("red")
	d.say([]string{"red"}, 0, 1)
	last := s.wantSaid("0")
	lives := d.listen("natter.on._.*.>")
	d.say([]string{"red"}, 1, 3)
	again := gws[1].back("/", pid, last)
	if again.kept() != pid || again.id != s.id {
		t.Fatalf("went on as %s, was %s", again.id, s.id)
	}
	again.wantSaid("1", "2")
	s.wantOver() // the old connection
	wait(t, "the old socket's end", func() bool { return gws[0].metric("natter_gateway_sockets") == 0 })
	d.say([]string{"red"}, 3, 4)
	again.wantSaid("3")
	for _, want := range []string{"disconnecting", "disconnect", `["connect"`} {
		if msg := recv(t, want, lives); !strings.Contains(string(msg.Data), want) {
			t.Fatalf("services heard %s, want %s", msg.Data, want)
		}
	}
	if len(lives) != 0 {
		t.Fatalf("services heard %s, too", (<-lives).Data)
	}
}

func TestWhoStartsAfresh(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	const window = time.Minute
	g := d.gateway(func(c *gatewayd.Config) { c.RecoveryWindow = window })
	fresh := func(why, namespace, pid, offset string) {
		t.Helper()
		s := g.back(namespace, pid, offset)
		if got := s.kept(); got == pid {
			t.Errorf("%s: went on as %s", why, s.id)
		}
		g.drop(s)
	}
	connect := func() (*socket, string, string) {
		t.Helper()
		s, pid := g.connectKept("/", "")
		d.say(nil, 0, 1)
		return s, pid, s.wantSaid("0")
	}
	s, pid, last := connect()
	epoch, _, _ := strings.Cut(last, "-")
	g.drop(s)
	fresh("a private id that is none", "/", "nobody's", last)
	fresh("a private id with a wildcard", "/", "*******************>", last)
	fresh("another's private id", "/", strings.Repeat("x", len(pid)), last)
	fresh("another namespace", "/bare", pid, last)
	fresh("another stream", "/", pid, "x"+epoch+"-1")
	again := g.back("/", pid, last)
	if again.kept() != pid {
		t.Fatal("did not go on in time")
	}
	again.send("1")
	ended := func() bool { saved, _ := d.session(pid); return saved.Ended }
	wait(t, "the session's end", ended)
	fresh("who left by itself", "/", pid, last)

	s, pid, last = connect()
	d.do("/", []string{s.id}, `["disconnect"]`)
	s.wantOut()
	wait(t, "the session's end", ended)
	fresh("who was put out", "/", pid, last)

	s, pid, last = connect()
	g.drop(s)
	d.do("/", nil, `["disconnect"]`)
	over := g.back("/", pid, last)
	over.wantOver() // and then
	fresh("who was put out while away", "/", pid, last)

	s, pid, last = connect()
	g.drop(s)
	wait(t, "the session to wait for its client", func() bool { saved, _ := d.session(pid); return !saved.Left.IsZero() })
	d.rewriteSession(pid, func(saved map[string]any) { saved["left"] = time.Now().Add(-window - time.Second) })
	fresh("who was away for too long", "/", pid, last)
}

// TestMiddlewareDecidesAgain has a user blocked, and another moved out of a room, while they are away.
func TestMiddlewareDecidesAgain(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	admission := `{"ok":true,"user":"u1","rooms":["staff","all hands"],"data":{"n":1}}`
	answers := make(chan string, 8)
	d.admit("/guarded", func(contract.Entry) string { return <-answers })
	answers <- admission
	s, pid := g.connectKept("/guarded", "")
	d.emit("/guarded", []string{"staff"}, `["n",0]`)
	last := s.wantSaid("0")
	d.do("/guarded", nil, `["data",{"n":2}]`)
	g.drop(s)
	d.emit("/guarded", []string{"all hands"}, `["n",1]`)

	answers <- `{"ok":true,"user":"u1","rooms":["all hands"],"data":{"n":1}}`
	s = g.back("/guarded", pid, last)
	if s.kept() != pid {
		t.Fatal("did not go on")
	}
	last = s.wantSaid("1")
	d.emit("/guarded", []string{"staff"}, `["n",100]`)
	d.emit("/guarded", []string{"user:u1"}, `["n",2]`)
	last = s.wantSaid("2")
	g.drop(s)

	answers <- `{"ok":false,"message":"blocked"}`
	if got := g.back("/guarded", pid, last).refused(); !strings.Contains(got, "blocked") {
		t.Fatalf("refused with %s", got)
	}
	answers <- `{"ok":true,"user":"somebody else"}`
	if s := g.back("/guarded", pid, last); s.kept() == pid {
		t.Fatal("went on as somebody else")
	}
}

// TestNothingIsMissedAroundARecovery has clients come and go while messages are being said.
func TestNothingIsMissedAroundARecovery(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(3)
	s, pid := gws[0].connectKept("/", "")
	s.join("red", "green", "blue")
	const total = 3000
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range total {
			msg := d.message(contract.Emit, "/", []string{[]string{"red", "green", "blue"}[i%3]}, fmt.Sprintf(`["n",%d]`, i))
			if _, err := d.js.PublishMsgAsync(msg); err != nil {
				t.Error(err)
				return
			}
			if i%50 == 0 {
				<-d.js.PublishAsyncComplete()
			}
		}
	}()
	next := 0
	last := ""
	for round := 1; next < total; round++ {
		for range min(37, total-next) {
			text, at := s.said(1)
			if text[0] != fmt.Sprint(next) {
				t.Fatalf("round %d: was told %s, want %d", round, text[0], next)
			}
			next, last = next+1, at
		}
		s.close()
		s = gws[round%3].back("/", pid, last)
		if s.kept() != pid {
			t.Fatalf("round %d: did not go on", round)
		}
	}
	<-done
}

// TestEveryoneComesBackAtOnce has a gateway's clients go on at another one, which reads the stream once.
func TestEveryoneComesBackAtOnce(t *testing.T) {
	t.Parallel()
	const clients, missed = 100, 50
	d := deploy(t)
	gws := d.gateways(2)
	type client struct {
		s    *socket
		pid  string
		last string
	}
	all := make([]*client, clients)
	for i := range all {
		s, pid := gws[0].connectKept("/", "")
		s.join("red")
		all[i] = &client{s: s, pid: pid}
	}
	d.say([]string{"red"}, 0, 1)
	for _, c := range all {
		c.last = c.s.wantSaid("0")
		c.s.close()
	}
	d.say([]string{"red"}, 1, missed)
	reads := d.listen("$JS.API.DIRECT.GET.NATTER")
	for _, c := range all {
		c.s = gws[1].back("/", c.pid, c.last)
	}
	for _, c := range all {
		if c.s.kept() != c.pid {
			t.Fatal("did not go on")
		}
		c.s.wantSaid(countUp(1, missed)...)
	}
	fetches := 0
	for len(reads) > 0 {
		if strings.Contains(string((<-reads).Data), "next_by_subj") {
			fetches++
		}
	}
	if fetches > clients/5 { // they come one after the other where the machine is busy
		t.Errorf("the stream was read %d times for %d clients", fetches, clients)
	}
}

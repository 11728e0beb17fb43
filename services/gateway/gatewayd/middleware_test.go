package gatewayd_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// in is a time from now, as JSON.
func in(d time.Duration) string { return quote(time.Now().Add(d).Format(time.RFC3339Nano)) }

func TestMiddlewareAdmits(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	asked := make(chan contract.Entry, 1)
	d.admit("/guarded", func(e contract.Entry) string {
		asked <- e
		return `{"ok":true,"user":"u 1","name":"Ann","roles":["admin","x"],"rooms":["red","blue","red"],"data":{"b":1,"a":"<"},"expires":` + in(time.Hour) + `}`
	})
	life := d.life("/guarded")
	s := begin(t, life, g.dial().enter("/guarded", `{"token":"t","z":1,"a":"\ud800"}`))
	e := recv(t, "the question", asked)
	h := e.Handshake
	if e.ID != s.id || e.Namespace != "/guarded" || string(h.Auth) != `{"token":"t","z":1,"a":"\ud800"}` {
		t.Fatalf("the middleware was asked %+v", e)
	}
	if h.Query["EIO"] != "4" || !strings.HasPrefix(h.URL, "/socket.io/?EIO=4") || h.Headers["host"] != g.Addr().String() ||
		!strings.HasPrefix(h.Address, "127.0.0.1:") || h.Secure || h.XDomain || h.Issued != h.Time.UnixMilli() {
		t.Fatalf("handshake %+v", h)
	}
	info := d.list("/guarded", nil)[s.id]
	if info.User != "u 1" || info.Name != "Ann" || fmt.Sprint(info.Roles) != "[admin x]" || fmt.Sprint(info.Rooms) != "[blue red user:u 1]" {
		t.Fatalf("socket %+v", info)
	}
	var data struct{ B int }
	if err := json.Unmarshal(info.Data, &data); err != nil || data.B != 1 {
		t.Fatalf("data %s", info.Data)
	}
	d.emit("/guarded", []string{contract.UserRoom("u 1")}, `["to the user"]`)
	d.emit("/guarded", []string{"blue"}, `["to the room"]`)
	s.wantHeard(`["to the user"]`, `["to the room"]`)
	// What it says to services carries the user.
	msgs := d.listen("natter.on.guarded.hi.>")
	s.emit(`"hi"`)
	if msg := recv(t, "the event", msgs); msg.Header.Get(contract.HeaderUser) != "u 1" || msg.Header.Get(contract.HeaderName) != "Ann" {
		t.Fatalf("headers %v", msg.Header)
	}
}

func TestMiddlewareRefuses(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	answer := func(e contract.Entry) string {
		var a struct{ Token string }
		_ = json.Unmarshal(e.Handshake.Auth, &a)
		return a.Token
	}
	d.admit("/guarded", answer)
	d.admit("/admin", answer)
	life := d.listen("natter.on.>")
	c := g.dial()
	for _, q := range []struct{ namespace, admission, want string }{
		{"/guarded", `{"ok":false,"message":"no <&> \"way\"","data":{"z":1,"a":"<"}}`, `{"message":"no <&> \"way\"","data":{"z":1,"a":"<"}}`},
		{"/guarded", `{"ok":false}`, `{"message":"refused by auth"}`},
		{"/guarded", `{"ok":false,"user":"u1","rooms":["red"],"message":"m"}`, `{"message":"m"}`},
		{"/admin", `{"ok":true,"user":"u1","roles":["Admin","administrator"]}`, `{"message":"the namespace /admin is open to the role admin only","data":{"code":"forbidden"}}`},
		{"/admin", `{"ok":true}`, `{"message":"the namespace /admin is open to the role admin only","data":{"code":"forbidden"}}`},
	} {
		if got := c.ask(q.namespace, `{"token":`+quote(q.admission)+`}`).refused(); got != q.want {
			t.Errorf("%s in %s: %s, want %s", q.admission, q.namespace, got, q.want)
		}
	}
	g.wantSubscriptions(nil)
	if infos := d.list("/guarded", nil); len(infos) != 0 || len(life) != 0 {
		t.Fatalf("somebody is in: %+v", infos)
	}
	c.enter("/admin", `{"token":"{\"ok\":true,\"roles\":[\"admin\"]}"}`)
}

func TestSeveralMiddlewaresAddUp(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway(func(c *gatewayd.Config) {
		c.Namespaces["/two"] = contract.Namespace{Use: []string{"first", "second one"}, Role: "b"}
	})
	var second atomic.Int32
	d.serve("natter.use.two.first", func(m *nats.Msg) string {
		if strings.Contains(string(m.Data), "refuse me") {
			return `{"ok":false,"message":"first"}`
		}
		return `{"ok":true,"user":"u1","name":"N1","roles":["a"],"rooms":["r1"],"data":1,"expires":` + in(time.Hour) + `}`
	})
	d.serve("natter.use.two.second=20one", func(*nats.Msg) string {
		second.Add(1)
		return `{"ok":true,"name":"N2","roles":["b"],"rooms":["r2","r1"],"expires":` + in(4*time.Second) + `}`
	})
	c := g.dial()
	if got := c.ask("/two", `{"x":"refuse me"}`).refused(); got != `{"message":"first"}` || second.Load() != 0 {
		t.Fatalf("refused %s, the second was asked %d times", got, second.Load())
	}
	s := c.enter("/two", "")
	info := d.list("/two", nil)[s.id]
	if info.User != "u1" || info.Name != "N2" || fmt.Sprint(info.Roles) != "[a b]" || fmt.Sprint(info.Rooms) != "[r1 r2 user:u1]" || string(info.Data) != "1" {
		t.Fatalf("socket %+v", info)
	}
	s.wantOut() // the earlier of the two expiries
}

func TestAdmissionExpires(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	life := d.life("/guarded")
	for _, left := range []time.Duration{-time.Hour, 0} {
		sub := d.admit("/guarded", func(contract.Entry) string { return `{"ok":true,"expires":` + in(left) + `}` })
		if got := g.dial().ask("/guarded", "").refused(); !strings.Contains(got, "expired") || !strings.Contains(got, "unauthorized") {
			t.Errorf("with %s left: %s", left, got)
		}
		if err := sub.Unsubscribe(); err != nil {
			t.Fatal(err)
		}
	}
	for _, left := range []time.Duration{1500 * time.Millisecond, 2 * time.Second} {
		sub := d.admit("/guarded", func(contract.Entry) string { return `{"ok":true,"expires":` + in(left) + `}` })
		c := g.dial()
		bystander := c.enter("/bare", "")
		s := begin(t, life, c.enter("/guarded", ""))
		s.wantOut()
		wantEnd(t, life, s, "server namespace disconnect")
		d.emit("/bare", []string{bystander.id}, `["still here"]`)
		bystander.wantHeard(`["still here"]`)
		if err := sub.Unsubscribe(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestGuestsAreThoseWithoutAToken counts whom the auth service is asked about.
func TestGuestsAreThoseWithoutAToken(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	var asked atomic.Int32
	d.admit("/", func(contract.Entry) string { asked.Add(1); return `{"ok":false,"message":"bad token"}` })
	c := g.dial()
	for _, auth := range []string{``, `{}`, `{"name":"n"}`, `{"token":null}`, `{"token":""}`, `{"token" : "" }`} {
		c.enter("/", auth)
		c.send("1")
	}
	if n := asked.Load(); n != 0 {
		t.Fatalf("the auth service was asked about %d guests", n)
	}
	for i, token := range []string{`"t"`, `" "`, `0`, `false`, `true`, `{}`, `[]`, `"null"`, `"\u0000"`} {
		if got := c.ask("/", `{"token":`+token+`}`).refused(); got != `{"message":"bad token"}` {
			t.Fatalf("token %s: %s", token, got)
		}
		if n := asked.Load(); n != int32(i+1) {
			t.Fatalf("token %s: the auth service was asked %d times", token, n)
		}
	}
	// A middleware that a service registers is asked about guests, too.
	d.configure("open", `{"use":["auth"],"guests":true,"registered":["bouncer"]}`)
	d.serve("natter.use.open.bouncer", func(*nats.Msg) string { return `{"ok":false,"message":"not you"}` })
	wait(t, "the namespace", func() bool { return c.ask("/open", "").refused() == `{"message":"not you"}` })
}

// TestSilentMiddlewareHoldsTheClient has a middleware that is not there, then silent, then answers.
func TestSilentMiddlewareHoldsTheClient(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	s := g.dial().ask("/guarded", "")
	early := g.dial().ask("/guarded", "")
	var asked atomic.Int32
	d.admit("/guarded", func(contract.Entry) string {
		if asked.Add(1) <= 2 {
			return ""
		}
		return `{"ok":true}`
	})
	s.entered()
	early.entered()
	if n := asked.Load(); n < 3 {
		t.Fatalf("the middleware was asked %d times", n)
	}
}

// TestMiddlewareThatIsAwayClosesTheTransport lets the time run out: nothing is said that would end the
// client's own attempts.
func TestMiddlewareThatIsAwayClosesTheTransport(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway(func(c *gatewayd.Config) { c.ConnectTimeout = time.Second })
	for _, dial := range []func() *client{g.dial, g.poll} {
		s := dial().ask("/guarded", "")
		s.wantOver()
		if len(s.entry) > 0 {
			t.Fatalf("CONNECT was answered %s", <-s.entry)
		}
	}
}

// TestMiddlewareThatIsAwayLeavesOtherNamespacesAlone is the same on a connection that carries another one.
func TestMiddlewareThatIsAwayLeavesOtherNamespacesAlone(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway(func(c *gatewayd.Config) { c.ConnectTimeout = 1500 * time.Millisecond })
	other := g.connect()
	s := other.client.ask("/guarded", "")
	asked := d.listen("natter.use.guarded.auth")
	for range 3 { // each question outlasts connectTimeout
		recv(t, "another question", asked)
	}
	other.wantAlive()
	d.admit("/guarded", func(contract.Entry) string { return `{"ok":true}` })
	s.entered()
	other.wantAlive()
}

// TestMalformedAdmissionsAdmitNobody fails closed: the client is neither in nor told a final no.
func TestMalformedAdmissionsAdmitNobody(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway(func(c *gatewayd.Config) { c.ConnectTimeout = time.Second })
	replies := []string{
		"", "null", "[]", "{}", "true", `"ok"`, "ok", `{"ok":"true"}`, `{"ok":1}`, `{"ok":null}`, `{"ok":true`, `{"user":"root"}`,
		`{"ok":true,"rooms":"red"}`, `{"ok":true,"expires":"soon"}`, `{"ok":true,"user":7}`, `{"ok":true}{"ok":true}`,
		`{"ok":true,"rooms":["gw.` + strings.Repeat("x", contract.SocketIDLength) + `"]}`, `{"ok":true,"rooms":["` + strings.Repeat("r", 129) + `"]}`,
		`{"ok":true,"user":"` + strings.Repeat("u", contract.MaxUser+1) + `"}`, `{"ok":true,"user":"a\u0000b"}`,
		"micro error",
	}
	if _, err := d.nc.Subscribe("natter.use.guarded.auth", func(m *nats.Msg) {
		var e contract.Entry
		var a struct{ Token int }
		if json.Unmarshal(m.Data, &e) != nil || json.Unmarshal(e.Handshake.Auth, &a) != nil {
			return
		}
		reply := nats.NewMsg(m.Reply)
		reply.Data = []byte(replies[a.Token])
		if replies[a.Token] == "micro error" {
			reply.Header.Set("Nats-Service-Error", "out of order")
			reply.Header.Set("Nats-Service-Error-Code", "500")
			reply.Data = []byte(`{"ok":true}`)
		}
		_ = m.RespondMsg(reply)
	}); err != nil {
		t.Fatal(err)
	}
	if err := d.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	all := make([]*socket, len(replies))
	for i := range replies {
		all[i] = g.dial().ask("/guarded", fmt.Sprintf(`{"token":%d}`, i))
	}
	for i, s := range all {
		s.wantOver()
		if len(s.entry) > 0 {
			t.Errorf("%s: CONNECT was answered %s", replies[i], <-s.entry)
		}
	}
	if infos := d.list("/guarded", nil); len(infos) != 0 {
		t.Fatalf("somebody is in: %+v", infos)
	}
}

func TestMiddlewareGivesTooMuchData(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	d.admit("/guarded", func(e contract.Entry) string {
		var auth struct{ Size int }
		if err := json.Unmarshal(e.Handshake.Auth, &auth); err != nil {
			return ""
		}
		return `{"ok":true,"data":` + quote(strings.Repeat("x", auth.Size-2)) + `}`
	})
	g.dial().enter("/guarded", fmt.Sprintf(`{"size":%d}`, contract.MaxData))
	for _, size := range []int{contract.MaxData + 1, 1 << 19} {
		if got := g.dial().ask("/guarded", fmt.Sprintf(`{"size":%d}`, size)).refused(); got != `{"message":"the server has too much data for the socket"}` {
			t.Errorf("%d bytes: %s", size, got)
		}
	}
}

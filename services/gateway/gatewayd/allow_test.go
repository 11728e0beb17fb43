package gatewayd_test

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	ws "github.com/gorilla/websocket"
	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/engineio"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// TestAServiceDecidesWhoMayConnect: what the service named by allowRequest answers, or does not.
func TestAServiceDecidesWhoMayConnect(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway(func(c *gatewayd.Config) { c.AllowRequest = "the door" })
	const away = "it cannot be told now whether this handshake is allowed\n"
	var reply atomic.Pointer[nats.Msg] // nil: silence
	asked := make(chan *nats.Msg, 64)

	// Nobody is there: nobody gets in.
	for _, transport := range []string{"polling", "websocket"} {
		status, body, retry := g.handshake(transport, "")
		if status != 503 || body != away || retry == "" {
			t.Errorf("%s without a service: %d %q", transport, status, body)
		}
	}
	if n := g.metric("natter_gateway_dropped_total", "handshake not decided"); n != 2 {
		t.Errorf("%v were counted", n)
	}
	sub, err := d.nc.Subscribe("natter.allow.the=20door", func(m *nats.Msg) {
		asked <- m
		if r := reply.Load(); r != nil {
			_ = m.RespondMsg(&nats.Msg{Header: r.Header, Data: r.Data})
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Unsubscribe() //nolint:errcheck // fails on a closed connection alone
	if err := d.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	fault := nats.Header{"Nats-Service-Error-Code": {"500"}, "Nats-Service-Error": {"broken"}}
	for _, c := range []struct {
		name, reply       string
		header            nats.Header
		status            int
		polling, upgraded string
	}{
		{"no", `{"ok":false,"message":"come \"back\" <later>"}`, nil, 403, `{"code":4,"message":"come \"back\" <later>"}`, `come "back" <later>`},
		{"no more", `{"ok":false}`, nil, 403, `{"code":4,"message":"Forbidden"}`, "Forbidden"},
		{"no word", ``, nil, 503, away, away},
		{"not JSON", `yes`, nil, 503, away, away},
		{"nothing said", `{"message":"x"}`, nil, 503, away, away},
		{"null", `{"ok":null}`, nil, 503, away, away},
		{"another type", `{"ok":"true"}`, nil, 503, away, away},
		{"too much", `{"ok":false,"message":"` + strings.Repeat("x", 5000) + `"}`, nil, 503, away, away},
		{"an error", `{"ok":true}`, fault, 503, away, away},
	} {
		reply.Store(&nats.Msg{Data: []byte(c.reply), Header: c.header})
		if status, body, _ := g.handshake("polling", ""); status != c.status || !sameText(body, c.polling) {
			t.Errorf("%s: polling: %d %s", c.name, status, body)
		}
		want := c.status
		if want == 403 {
			want = 400 // as stock servers refuse a WebSocket
		}
		if status, body, _ := g.handshake("websocket", ""); status != want || body != c.upgraded {
			t.Errorf("%s: websocket: %d %s", c.name, status, body)
		}
	}
	if n := g.metric("natter_gateway_connections"); n != 0 {
		t.Errorf("%v connections", n)
	}
	reply.Store(&nats.Msg{Data: []byte(`{"ok":true}`)})
	for len(asked) > 0 {
		<-asked
	}
	s := g.connect()
	s.wantAlive()
	var request contract.AllowRequest
	m := recv(t, "the question", asked)
	if err := json.Unmarshal(m.Data, &request); err != nil {
		t.Fatal(err)
	}
	if h := request.Handshake; h.Query["transport"] != "websocket" || h.Headers["host"] != g.Addr().String() || h.Address == "" || h.Time.IsZero() || strings.Contains(string(m.Data), `"auth"`) {
		t.Errorf("asked %s", m.Data)
	}
	p := g.poll().enter("/", "")
	recv(t, "the question", asked)
	p.wantAlive()
	if len(asked) != 0 {
		t.Errorf("asked again: %s", (<-asked).Data)
	}
}

// sameText compares JSON by what it says.
func sameText(a, b string) bool {
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return a == b
	}
	return fmt.Sprint(x) == fmt.Sprint(y)
}

// handshake tries to connect and returns the answer.
func (g *gateway) handshake(transport, query string) (status int, body, retryAfter string) {
	g.t.Helper()
	if transport == "polling" {
		res, body := g.do("GET", engineQuery+transport+query, "")
		return res.StatusCode, body, res.Header.Get("Retry-After")
	}
	conn, res, err := ws.DefaultDialer.Dial(g.url("ws", engineQuery+transport+query), nil)
	if err == nil {
		conn.Close()
		return res.StatusCode, "", ""
	}
	if res == nil {
		g.t.Fatal(err)
	}
	data, err := io.ReadAll(res.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return res.StatusCode, string(data), res.Header.Get("Retry-After")
}

// TestOnlyHandshakesAreAsked: at two gateways, of which each asks for the clients that connect there, and neither for
// requests of sessions, its own or carried.
func TestOnlyHandshakesAreAsked(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	gws := d.gateways(2, func(c *gatewayd.Config) { c.AllowRequest = "door" })
	var asked atomic.Int32
	d.serve("natter.allow.door", func(m *nats.Msg) string {
		asked.Add(1)
		if strings.Contains(string(m.Data), `"deny"`) {
			return `{"ok":false,"message":"denied"}`
		}
		return `{"ok":true}`
	})
	for i, g := range gws {
		l := &pollLink{url: g.url("http", engineQuery+"polling")}
		open, err := l.read()
		if err != nil {
			t.Fatal(err)
		}
		h, err := engineio.DecodeOpen(open[0].Data)
		if err != nil {
			t.Fatal(err)
		}
		l.url = gws[1-i].url("http", engineQuery+"polling&sid="+h.SID)
		c := g.client(l)
		c.run()
		c.enter("/", "").wantAlive()
		if status, body, _ := g.handshake("polling", "&deny=1"); status != 403 || body != `{"code":4,"message":"denied"}` {
			t.Errorf("%d %s", status, body)
		}
	}
	if n := asked.Load(); n != 4 {
		t.Errorf("asked %d times, want twice for each gateway", n)
	}
}

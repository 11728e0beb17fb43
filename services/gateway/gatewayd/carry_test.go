package gatewayd_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	ws "github.com/gorilla/websocket"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/engineio"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// behindProxy returns the address of what a load balancer without sticky sessions is at worst: two requests in a row with one session
// id never reach the same gateway, and the first one with an id does not reach the gateway that drew it.
func behindProxy(t testing.TB, gws []*gateway) string {
	t.Helper()
	var mu sync.Mutex
	next := make(map[string]int)
	front := httptest.NewServer(&httputil.ReverseProxy{
		Transport: &http.Transport{DisableKeepAlives: true},
		Rewrite: func(r *httputil.ProxyRequest) {
			sid := r.In.URL.Query().Get("sid")
			mu.Lock()
			i, seen := next[sid]
			if !seen {
				for j, g := range gws {
					if strings.HasPrefix(sid, g.ID()+".") {
						i = j + 1
					}
				}
			}
			next[sid] = i + 1
			mu.Unlock()
			r.SetURL(&url.URL{Scheme: "http", Host: gws[i%len(gws)].Addr().String()})
			r.Out.Host = r.In.Host
		},
	})
	t.Cleanup(front.Close)
	return strings.TrimPrefix(front.URL, "http://")
}

// pollAt is poll through a proxy.
func (g *gateway) pollAt(address string) *client {
	g.t.Helper()
	l := &pollLink{url: "http://" + address + engineQuery + "polling"}
	packets, err := l.read()
	if err != nil {
		g.t.Fatalf("open: %v", err)
	}
	h, err := engineio.DecodeOpen(packets[0].Data)
	if err != nil || !strings.Contains(h.SID, ".") {
		g.t.Fatalf("open: %v %v", h, err)
	}
	l.url += "&sid=" + h.SID
	c := g.client(l)
	c.run()
	return c
}

func ids(gws []*gateway) string {
	var all []string
	for _, g := range gws {
		all = append(all, g.ID())
	}
	return strings.Join(all, " ")
}

// enterAnywhere enters a namespace at whichever gateway holds the session.
func (c *client) enterAnywhere(gws []*gateway) *socket {
	c.t.Helper()
	s := c.ask("/", "")
	answer := recv(c.t, "the answer to CONNECT", s.entry)
	_, rest, _ := strings.Cut(answer, `"sid":"`)
	id, _, _ := strings.Cut(rest, `"`)
	holder, _, err := contract.SplitSocketID(id)
	if err != nil || !strings.Contains(ids(gws), holder) {
		c.t.Fatalf("CONNECT was answered %s", answer)
	}
	for _, g := range gws {
		if g.ID() == holder {
			s.client.g = g
		}
	}
	s.id = id
	return s
}

func settled(t testing.TB, gws []*gateway) {
	t.Helper()
	for _, g := range gws {
		wait(t, "nothing to be carried", func() bool {
			return g.metric("natter_gateway_carried_out") == 0 && g.metric("natter_gateway_carried_in") == 0
		})
	}
}

func TestPollingNeedsNoStickySessions(t *testing.T) {
	d := deploy(t)
	gws := d.gateways(3, func(c *gatewayd.Config) {
		c.Namespaces["/"].Events["file"] = contract.Rule{Action: contract.ActionEmit, To: "all", Args: 2}
	})
	address := behindProxy(t, gws)
	var all []*socket
	for range 3 {
		all = append(all, gws[0].pollAt(address).enterAnywhere(gws))
	}
	for _, s := range all {
		s.join("red")
	}
	// Order under load: what one says is heard by all in that order.
	const n = 100
	for i := range n {
		all[i%3].emit(`"room message"`, `"red"`, fmt.Sprint(i))
	}
	for _, s := range all {
		last := map[string]int{}
		for range n {
			var room, from string
			var i int
			e := s.event()
			if _, err := fmt.Sscanf(e, `["room message","red",%d,`, &i); err != nil {
				t.Fatalf("%s: %v", e, err)
			}
			room, from = "red", fmt.Sprint(i%3)
			if before, ok := last[room+from]; ok && i != before+3 {
				t.Fatalf("%d came after %d", i, before)
			}
			last[room+from] = i
		}
	}
	// Binary of some size, both ways.
	data := make([]byte, 500_000)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	all[0].send(`51-["file","name",{"_placeholder":true,"num":0}]`)
	all[0].sendBinary(data)
	for _, s := range all {
		if p := recv(t, "the file", s.events); len(p.Attachments) != 1 || !bytes.Equal(p.Attachments[0], data) {
			t.Fatalf("heard %.100s with %d attachments", p.Data, len(p.Attachments))
		}
	}
	for _, s := range all {
		s.close()
	}
	for _, g := range gws {
		wait(t, "the sessions to end", func() bool { return g.metric("natter_gateway_connections") == 0 })
		if g.metric("natter_gateway_carried_total", "done") == 0 {
			t.Errorf("%s has carried nothing", g.ID())
		}
	}
	settled(t, gws)
}

// TestAnUpgradeAtAnotherGateway opens a session at one gateway, and its WebSocket at another.
func TestAnUpgradeAtAnotherGateway(t *testing.T) {
	d := deploy(t)
	gws := d.gateways(2)
	polling := &pollLink{url: gws[0].url("http", engineQuery+"polling")}
	open, err := polling.read()
	if err != nil {
		t.Fatal(err)
	}
	h, err := engineio.DecodeOpen(open[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	conn, res, err := ws.DefaultDialer.Dial(gws[1].url("ws", engineQuery+"websocket&sid="+h.SID), nil)
	if err != nil {
		t.Fatalf("%v %v", err, res)
	}
	link := &wsLink{conn: conn}
	for _, c := range []struct{ say, want string }{{"2probe", "3probe"}, {"5", ""}} {
		if err := conn.WriteMessage(ws.TextMessage, []byte(c.say)); err != nil {
			t.Fatal(err)
		}
		if c.want == "" {
			continue
		}
		if _, got, err := conn.ReadMessage(); err != nil || string(got) != c.want {
			t.Fatalf("%s %v", got, err)
		}
	}
	c := gws[0].client(link)
	c.run()
	s := c.enter("/", "")
	s.join("red")
	if n := gws[1].metric("natter_gateway_tunnels"); n != 1 {
		t.Fatalf("%v tunnels", n)
	}
	// A poll after the upgrade is refused wherever it arrives, as is one with a secret that is wrong.
	wrong := h.SID[:len(h.SID)-1] + map[bool]string{true: "b", false: "a"}[strings.HasSuffix(h.SID, "a")]
	for sid, want := range map[string]string{h.SID: `{"code":3,"message":"Bad request"}`, wrong: `{"code":1,"message":"Session ID unknown"}`} {
		for _, g := range gws {
			res, err := browser.Get(g.url("http", engineQuery+"polling&sid="+sid))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil || res.StatusCode != http.StatusBadRequest || string(body) != want {
				t.Fatalf("%s %s %v", res.Status, body, err)
			}
		}
	}
	// The server puts it out; the client sees how.
	d.do("/", []string{s.id}, `["disconnect"]`)
	s.wantOut()
	c.close()
	settled(t, gws)
}

// TestAnAbortedPollElsewhereClosesTheSession as one at its own gateway does.
func TestAnAbortedPollElsewhereClosesTheSession(t *testing.T) {
	d := deploy(t)
	gws := d.gateways(2)
	l := &pollLink{url: gws[0].url("http", engineQuery+"polling")}
	open, err := l.read()
	if err != nil {
		t.Fatal(err)
	}
	h, err := engineio.DecodeOpen(open[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	request := "GET " + engineQuery + "polling&sid=" + h.SID + " HTTP/1.1\r\nHost: x\r\n\r\n"
	conn, err := net.Dial("tcp", gws[1].Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	wait(t, "the poll to be carried", func() bool { return gws[0].metric("natter_gateway_carried_in") == 1 })
	conn.Close()
	wait(t, "the session's end", func() bool { return gws[0].metric("natter_gateway_connections") == 0 })
	settled(t, gws)
}

func TestASessionWhoseGatewayIsGone(t *testing.T) {
	d := deploy(t)
	gws := d.gateways(2)
	c := gws[0].pollAt(gws[0].Addr().String())
	l := c.link.(*pollLink)
	elsewhere := strings.Replace(l.url, gws[0].Addr().String(), gws[1].Addr().String(), 1)
	gws[0].stop()
	c.wantOver()
	begin := time.Now()
	res, err := browser.Get(elsewhere)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusBadRequest || string(body) != `{"code":1,"message":"Session ID unknown"}` {
		t.Fatalf("%s %s", res.Status, body)
	}
	if d := time.Since(begin); d > patience {
		t.Fatalf("took %v", d)
	}
	// Without NATS nobody can tell, and it is said at once.
	d.nats.Shutdown()
	wait(t, "the gateway to notice", func() bool {
		res, err := browser.Get(elsewhere)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode == http.StatusServiceUnavailable && res.Header.Get("Retry-After") != ""
	})
	d.nats.Restart()
}

// TestAGatewayThatStopsEndsWhatItCarries and does not wait for polls that could last.
func TestAGatewayThatStopsEndsWhatItCarries(t *testing.T) {
	d := deploy(t)
	gws := d.gateways(2)
	open := &pollLink{url: gws[0].url("http", engineQuery+"polling")}
	packets, err := open.read()
	if err != nil {
		t.Fatal(err)
	}
	h, err := engineio.DecodeOpen(packets[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	status := make(chan int, 1)
	go func() {
		res, err := browser.Get(gws[1].url("http", engineQuery+"polling&sid="+h.SID))
		if err != nil {
			t.Errorf("the poll: %v", err)
			status <- 0
			return
		}
		res.Body.Close()
		status <- res.StatusCode
	}()
	wait(t, "the poll to be carried", func() bool { return gws[0].metric("natter_gateway_carried_in") == 1 })
	begin := time.Now()
	gws[1].stop()
	if got := recv(t, "the answer", status); got != http.StatusServiceUnavailable {
		t.Fatalf("status %d", got)
	}
	if d := time.Since(begin); d > patience {
		t.Fatalf("stopping took %v", d)
	}
}

func TestStickyOnly(t *testing.T) {
	d := deploy(t)
	gws := d.gateways(2, func(c *gatewayd.Config) { c.MaxCarried = 0 })
	c := gws[0].pollAt(gws[0].Addr().String())
	l := c.link.(*pollLink)
	res, err := browser.Get(strings.Replace(l.url, gws[0].Addr().String(), gws[1].Addr().String(), 1))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, _ := io.ReadAll(res.Body); string(body) != `{"code":1,"message":"Session ID unknown"}` {
		t.Fatalf("%s %s", res.Status, body)
	}
}

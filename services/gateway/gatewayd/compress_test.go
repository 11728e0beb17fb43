package gatewayd_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	ws "github.com/gorilla/websocket"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/engineio"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// countedConn counts what arrives.
type countedConn struct {
	net.Conn
	received *atomic.Int64
}

func (c countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.received.Add(int64(n))
	return n, err
}

// dialDeflate opens a WebSocket that offers compression, and counts the bytes that arrive on it.
func (g *gateway) dialDeflate(query string) (link *wsLink, received *atomic.Int64, agreed string) {
	g.t.Helper()
	received = new(atomic.Int64)
	dialer := ws.Dialer{EnableCompression: true, HandshakeTimeout: patience, NetDial: func(network, address string) (net.Conn, error) {
		conn, err := net.Dial(network, address)
		return countedConn{conn, received}, err
	}}
	conn, res, err := dialer.Dial(g.url("ws", engineQuery+"websocket"+query), nil)
	if err != nil {
		g.t.Fatalf("dial: %v %v", err, res)
	}
	return &wsLink{conn: conn}, received, res.Header.Get("Sec-Websocket-Extensions")
}

// TestCompressionOfWebSockets says the same to clients at two gateways, compressed and not: one that offers it and
// gets it, one whose WebSocket is carried to its gateway, one that does not offer it, one whose gateway has it off.
func TestCompressionOfWebSockets(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	on := func(c *gatewayd.Config) { c.PerMessageDeflate = true }
	gws := []*gateway{d.gateway(on), d.gateway(on), d.gateway()}
	for _, g := range gws {
		g.awaitPeers(len(gws))
	}
	type member struct {
		name     string
		g        *gateway
		link     *wsLink
		received *atomic.Int64
		agreed   string
		deflates bool
	}
	var members []*member
	for name, g := range map[string]*gateway{"direct": gws[0], "off": gws[2]} {
		m := &member{name: name, g: g, deflates: name == "direct"}
		m.link, m.received, m.agreed = g.dialDeflate("")
		if open, err := m.link.read(); err != nil || open[0].Type != engineio.Open {
			t.Fatalf("%s: %v %v", name, open, err)
		}
		members = append(members, m)
	}
	polling := &pollLink{url: gws[0].url("http", engineQuery+"polling")}
	open, err := polling.read()
	if err != nil {
		t.Fatal(err)
	}
	h, err := engineio.DecodeOpen(open[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	carried := &member{name: "carried", g: gws[0], deflates: true}
	carried.link, carried.received, carried.agreed = gws[1].dialDeflate("&sid=" + h.SID)
	if err := carried.link.conn.WriteMessage(ws.TextMessage, []byte("2probe")); err != nil {
		t.Fatal(err)
	}
	if _, got, err := carried.link.conn.ReadMessage(); err != nil || string(got) != "3probe" {
		t.Fatalf("%s %v", got, err)
	}
	if err := carried.link.conn.WriteMessage(ws.TextMessage, []byte("5")); err != nil {
		t.Fatal(err)
	}
	members = append(members, carried)

	for _, m := range members {
		if (m.agreed != "") != m.deflates {
			t.Fatalf("%s: agreed %q", m.name, m.agreed)
		}
		c := m.g.client(m.link)
		c.run()
		s := c.enter("/", "")
		s.join(m.name) // alone: what was said to others just before may still be heard
		for _, kind := range []contract.Kind{contract.Emit, contract.Post, contract.Volatile, contract.Ask} {
			for _, header := range []string{"", "true", "false"} {
				before := m.received.Load()
				msg := d.message(kind, "/", []string{s.id}, `["long","`+strings.Repeat("again ", 2000)+`"]`, contract.HeaderCompress, header)
				switch kind {
				case contract.Volatile, contract.Ask:
					msg.Reply = "nobody"
					if err := d.nc.PublishMsg(msg); err != nil {
						t.Fatal(err)
					}
				default:
					d.store(msg)
				}
				if p := recv(t, "what was said", s.events); len(p.Data) < 12_000 {
					t.Fatalf("heard %d bytes", len(p.Data))
				}
				got, want := m.received.Load()-before < 2000, m.deflates && header != "false"
				if got != want {
					t.Errorf("%s: %s with %q: compressed is %v", m.name, kind, header, got)
				}
			}
		}
		// And from the client.
		before := m.received.Load()
		if ack := s.request(`"room message"`, quote(m.name), quote(strings.Repeat("again ", 2000))); !strings.Contains(ack, `"ok":true`) {
			t.Fatal(ack)
		}
		recv(t, "the post", s.events)
		if got := m.received.Load()-before < 2000; got != m.deflates {
			t.Errorf("%s: a client's post: compressed is %v", m.name, got)
		}
	}
}

// TestCompressionOfPolls asks for what was said to a polling client, which accepts gzip.
func TestCompressionOfPolls(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	for name, tt := range map[string]struct {
		change func(*gatewayd.Config)
		header string
		want   string
	}{
		"default":        {func(*gatewayd.Config) {}, "", "gzip"},
		"compress false": {func(*gatewayd.Config) {}, "false", ""},
		"off":            {func(c *gatewayd.Config) { c.HTTPCompression = false }, "", ""},
		"below":          {func(c *gatewayd.Config) { c.HTTPCompressionOptions.Threshold = 20_000 }, "", ""},
	} {
		g := d.gateway(tt.change)
		l := &pollLink{url: g.url("http", engineQuery+"polling")}
		open, err := l.read()
		if err != nil {
			t.Fatal(err)
		}
		h, err := engineio.DecodeOpen(open[0].Data)
		if err != nil {
			t.Fatal(err)
		}
		l.url += "&sid=" + h.SID
		if err := l.write(engineio.Packet{Type: engineio.Message, Data: []byte("0")}); err != nil {
			t.Fatal(err)
		}
		entered, err := l.read()
		if err != nil || !strings.HasPrefix(string(entered[0].Data), "0{") {
			t.Fatalf("%v %v", entered, err)
		}
		d.emit("/", nil, `["long","`+strings.Repeat("again ", 2000)+`"]`, contract.HeaderCompress, tt.header)
		req, err := http.NewRequest("GET", l.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept-Encoding", "gzip")
		res, err := browser.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if got := res.Header.Get("Content-Encoding"); err != nil || got != tt.want || (got == "") != (len(body) > 12_000) {
			t.Errorf("%s: content encoding %q, %d bytes, %v", name, got, len(body), err)
		}
		l.close()
	}
}

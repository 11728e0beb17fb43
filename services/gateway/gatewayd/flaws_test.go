package gatewayd_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/natter-io/natter/pkg/engineio"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// Flaws that other servers had, each seen from outside, at a running gateway. docs/security.md lists all of them
// with their tests, most of which stand beside what they are about.

// raw opens a WebSocket that the test writes byte by byte, and waits for the open packet. A small receive
// buffer makes a client that does not read a slow one soon.
func (g *gateway) raw(receiveBuffer int) (net.Conn, *bufio.Reader) {
	g.t.Helper()
	conn, err := net.Dial("tcp", g.Addr().String())
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { conn.Close() })
	if receiveBuffer > 0 {
		if err := conn.(*net.TCPConn).SetReadBuffer(receiveBuffer); err != nil {
			g.t.Fatal(err)
		}
	}
	g.write(conn, request("GET", engineQuery+"websocket", "a.example", upgradeFields, "", fault{}))
	r := bufio.NewReader(conn)
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		g.t.Fatalf("%v %v", res, err)
	}
	if _, open, err := readMessage(r); err != nil || !strings.HasPrefix(string(open), "0{") {
		g.t.Fatalf("opened with %q: %v", open, err)
	}
	return conn, r
}

func (g *gateway) write(conn net.Conn, b []byte) {
	g.t.Helper()
	if err := write(conn, b, fault{}); err != nil {
		g.t.Fatal(err)
	}
}

// wantAnswered pings and reads up to the pong, so that all before it has been read by the gateway.
func (g *gateway) wantAnswered(conn net.Conn, r *bufio.Reader) {
	g.t.Helper()
	g.write(conn, appendFrame(nil, finalBit|opPing, "the last one", fault{}))
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		g.t.Fatal(err)
	}
	for {
		switch op, data, err := readMessage(r); {
		case err != nil:
			g.t.Fatal(err)
		case op == opPong && string(data) == "the last one":
			return
		}
	}
}

// A message in fragments of one byte, which never ends, costs what its bytes cost (CVE-2026-48779): fragments of no
// bytes cost nothing.
func TestTinyFragmentsCostTheirBytes(t *testing.T) {
	const connections, size, empty = 5, 300_000, 100_000
	d := deploy(t)
	g := d.gateway()
	var fragments []byte
	fragments = appendFrame(fragments, opText, "4", fault{})
	for i := range size + empty {
		fragments = appendFrame(fragments, 0, "x"[:min(1, i/empty)], fault{})
	}
	before := heap()
	for range connections {
		conn, r := g.raw(0)
		g.write(conn, fragments)
		g.wantAnswered(conn, r)
	}
	if held := heap() - before; held > 4*connections*size {
		t.Errorf("%d bytes are held for messages of %d bytes", held, connections*size)
	}
}

// Header fields are bounded, together and so in number (CVE-2024-37890), for requests and for WebSocket handshakes;
// as many as fit do no harm.
func TestTooManyHeaderFields(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	for _, c := range []struct {
		transport, extra string
		fields, status   int
	}{
		{"polling", "", 1000, 200}, {"polling", "", 2500, 431}, {"polling", "", 100_000, 431},
		{"websocket", upgradeFields, 1000, 101}, {"websocket", upgradeFields, 2500, 431}, {"websocket", upgradeFields, 100_000, 431},
	} {
		conn, err := net.Dial("tcp", g.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		// The answer may come, and the connection be closed, before all is written.
		go conn.Write(request("GET", engineQuery+c.transport, "a.example", c.extra, "", fault{fields: c.fields})) //nolint:errcheck
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || res.StatusCode != c.status {
			t.Errorf("%s with %d header fields: %v %v, want %d", c.transport, c.fields, res, err, c.status)
		}
		conn.Close()
	}
	g.connect().wantAlive()
}

// A flood of PONGs, and of PINGs that want one, starts nothing and keeps nothing; who does not take the PONGs that it
// asks for is disconnected.
func TestControlFrameFlood(t *testing.T) {
	const flood = 50_000
	d := deploy(t)
	g := d.gateway()
	neighbour := g.connect()
	conn, r := g.raw(0)
	goroutines, before := runtime.NumGoroutine(), heap()
	most := 0
	for range flood / 1000 {
		var b []byte
		for range 1000 {
			b = appendFrame(b, finalBit|opPong, "nobody asked", fault{})
			b = appendFrame(b, finalBit|opText, "3", fault{})
		}
		g.write(conn, b)
		g.wantAnswered(conn, r)
		most = max(most, runtime.NumGoroutine())
	}
	if most > goroutines+10 {
		t.Errorf("%d goroutines during the flood, %d before", most, goroutines)
	}
	if held := heap() - before; held > 2<<20 {
		t.Errorf("%d bytes are held after the flood", held)
	}
	neighbour.wantAlive()

	deaf, _ := g.raw(0)
	ping := appendFrame(nil, finalBit|opPing, strings.Repeat("x", 125), fault{})
	var pings []byte
	for range 1000 {
		pings = append(pings, ping...)
	}
	sent := 0
	for ; write(deaf, pings, fault{}) == nil; sent += 1000 {
		if held := heap() - before; sent > 5_000_000 || held > 32<<20 {
			t.Fatalf("a client that does not read sent %d pings and is still there; %d bytes are held", sent, held)
		}
	}
	wait(t, "the end of the deaf client", func() bool { return g.metric("natter_gateway_connections") == 2 })
	neighbour.wantAlive()
}

// What is said to many clients that do not read is held once, and up to a bound; then they are disconnected, and
// nothing is held for them any more (socketio/socket.io issues 2427 and 4435).
func TestSlowClientsHoldTheSameBytes(t *testing.T) {
	const clients, size, queue = 10, 100_000, 8_000_000
	d := deploy(t)
	g := d.gateway(func(c *gatewayd.Config) { c.MaxQueueBytes = queue })
	neighbour := g.dial().enter("/bare", "")
	life := d.life("/bare")
	for range clients {
		conn, _ := g.raw(4096)
		g.write(conn, message(opText, "40/bare,", fault{}))
		recv(t, "connect", life)
	}
	before := heap()
	filler := strings.Repeat("x", size)
	say := func(i int) {
		event := fmt.Sprintf(`["e",%d,%q]`, i, filler)
		d.emit("/bare", nil, event)
		neighbour.want(event)
	}
	said := 0
	for ; said < queue/size; said++ { // at least a part of it waits at the gateway: kernels take some
		say(said)
	}
	if held := heap() - before; held > 4*queue {
		t.Errorf("%d bytes are held for %d clients to whom %d were said", held, clients, queue)
	}
	for ; g.metric("natter_gateway_connections") > 1; said++ {
		if said > 50*queue/size {
			t.Fatalf("after %d MB there are still slow clients", said*size/1e6)
		}
		say(said)
	}
	wait(t, "an empty heap", func() bool { return heap()-before < queue })
	wait(t, "the end of their sockets", func() bool { return g.metric("natter_gateway_sockets") == 1 })
}

// Half of an HTTP request, and one that is none, cost their own connection (CVE-2022-41940).
func TestBrokenRequestsHarmNobodyElse(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	neighbour := g.connect()
	for _, in := range []string{
		"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
		"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nzz\r\n\r\n",
		"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"GET /socket.io/?EIO=4&transport=polling&transport[]=x&sid[__proto__]=y HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9999999999999999999\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS greeting \r\n\r\n",
		"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\nUpgrade: h2c\r\nSec-WebSocket-Version: 13\r\n\r\n",
		"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\nCookie: " + strings.Repeat("a=b; ", 3000) + "\r\nConnection: close\r\nOrigin: null\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", g.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, in); err != nil {
			t.Fatal(err)
		}
		if res, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil {
			t.Errorf("%.80q is not answered: %v", in, err)
		} else if res.StatusCode >= 500 && res.StatusCode != http.StatusHTTPVersionNotSupported {
			t.Errorf("%.80q is answered %s", in, res.Status)
		}
		conn.Close()
	}
	neighbour.wantAlive()
}

// Nobody waits for a body that was announced and never comes, whatever the request is (CVE-2026-59725): the connection
// is closed when the time is up.
func TestBodiesThatNeverComeAreNotWaitedFor(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway(func(c *gatewayd.Config) { c.PingInterval, c.PingTimeout = 200*time.Millisecond, 300*time.Millisecond })
	other := d.gateway()
	for _, c := range []struct{ method, path, extra string }{
		{"GET", engineQuery + "polling", "Content-Length: 10\r\n"},
		{"GET", engineQuery + "polling", "Transfer-Encoding: chunked\r\n"},
		{"GET", engineQuery + pollSID[len("EIO=4&transport="):], "Content-Length: 10\r\n"},
		{"POST", engineQuery + pollSID[len("EIO=4&transport="):], "Content-Length: 10\r\nContent-Type: application/octet-stream\r\n"},
		{"POST", engineQuery + "polling&sid=unknown", "Content-Length: 10\r\n"},
		{"POST", engineQuery + "polling&sid=" + other.ID() + ".AAAAAAAAAAAAAAAAAAAA", "Content-Length: 10\r\n"},
		{"POST", engineQuery + "smoke", "Content-Length: 10\r\n"},
		{"GET", "/", "Content-Length: 10\r\n"},
		{"POST", login, "Content-Length: 10\r\nContent-Type: application/json\r\n"},
	} {
		conn, err := net.Dial("tcp", g.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, open := g.do("GET", engineQuery+"polling", "")
		h, err := engineio.DecodeOpen([]byte(open[1:]))
		if err != nil {
			t.Fatal(err)
		}
		g.write(conn, fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: a\r\n%s\r\n", c.method, strings.ReplaceAll(c.path, "{sid}", h.SID), c.extra))
		if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if answer, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 ") {
			t.Errorf("%s %s with %q: %v after %.100q", c.method, c.path, c.extra, err, answer)
		}
		conn.Close()
	}
}

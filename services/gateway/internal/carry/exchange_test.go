package carry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	ws "github.com/gorilla/websocket"

	"github.com/natter-io/natter/pkg/kit/embed"
	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/services/gateway/internal/transport"
)

func random1MB() []byte {
	b := make([]byte, 1<<20)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

// TestARequestArrivesAsItWasSent sends bodies of many sizes, more than NATS takes in one message.
func TestARequestArrivesAsItWasSent(t *testing.T) {
	type seen struct {
		uri, host, method string
		header            http.Header
	}
	heard := make(chan seen, 1)
	a, b, _ := pair(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("body: %v", err)
		}
		heard <- seen{r.RequestURI, r.Host, r.Method, r.Header}
		w.Header().Set("X-Answer", "yes")
		w.WriteHeader(http.StatusTeapot)
		w.Write(body)
	}, natstest.WithOptions(func(o *embed.Options) { o.MaxPayload = 4 << 10 }))
	data := random1MB()
	for _, c := range []struct {
		method string
		body   io.Reader
		size   int
	}{
		{"GET", nil, 0}, {"POST", bytes.NewReader(data[:1]), 1}, {"POST", bytes.NewReader(data[:window]), window},
		{"POST", bytes.NewReader(data), len(data)},
		{"POST", io.MultiReader(bytes.NewReader(data)), len(data)}, // chunked
	} {
		req, err := http.NewRequest(c.method, a.front.URL+"/some/path%2Fhere?to=b&sid=b.x%20y", c.body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Forwarded-For", "192.0.2.1")
		req.Header.Set("Cookie", "a=b")
		req.Header["User-Agent"] = nil
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusTeapot || res.Header.Get("X-Answer") != "yes" || !bytes.Equal(body, data[:c.size]) {
			t.Fatalf("%s of %d bytes: %s, %d bytes, %v", c.method, c.size, res.Status, len(body), err)
		}
		s := recv(t, "the request", heard)
		if s.uri != "/some/path%2Fhere?to=b&sid=b.x%20y" || "http://"+s.host != a.front.URL || s.method != c.method {
			t.Fatalf("%+v", s)
		}
		if h := s.header; h.Get("X-Forwarded-For") != "192.0.2.1" || h.Get("Cookie") != "a=b" || h.Get("User-Agent") != "" {
			t.Fatalf("header %v", h)
		}
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	wait(t, "all streams to end", func() bool { return a.streams() == [2]int{} && b.streams() == [2]int{} })
	wait(t, "the count of five exchanges", func() bool { return a.result(Done) == 5 })
}

// TestAnAbortedRequestIsAborted is what closes the session of a poll that a client gave up.
func TestAnAbortedRequestIsAborted(t *testing.T) {
	began, over := make(chan struct{}), make(chan error, 1)
	a, b, _ := pair(t, func(w http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		over <- r.Context().Err()
	})
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, "GET", a.front.URL+"/?to=b", nil)
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	go func() { _, err := http.DefaultTransport.RoundTrip(req); failed <- err }()
	recv(t, "the request", began)
	cancel()
	recv(t, "the request's end", over)
	if err := recv(t, "the client's error", failed); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	recv(t, "Carry", a.errs)
	wait(t, "all streams to end", func() bool { return a.streams() == [2]int{} && b.streams() == [2]int{} })
	if a.result(Broken) != 1 {
		t.Fatalf("%v", a.results)
	}
}

// TestAnAnswerBeforeTheBody refuses a body that the client never sends to its end.
func TestAnAnswerBeforeTheBody(t *testing.T) {
	a, _, _ := pair(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		http.Error(w, "no", http.StatusRequestEntityTooLarge)
	})
	conn, err := net.Dial("tcp", a.front.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, "POST /?to=b HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nonly this")
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 413 ") || !strings.HasSuffix(string(answer), "no\n") {
		t.Fatalf("%q %v", answer, err)
	}
}

// TestAnAnswerThatBreaksOff must not look like a whole one.
func TestAnAnswerThatBreaksOff(t *testing.T) {
	a, _, _ := pair(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "half")
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	a.front.Config.ErrorLog = nil
	res, err := http.Get(a.front.URL + "/?to=b")
	if err == nil {
		defer res.Body.Close()
		_, err = io.ReadAll(res.Body)
	}
	if err == nil {
		t.Fatal("the answer looks whole")
	}
}

func TestNoGatewayNoAnswer(t *testing.T) {
	n := natstest.Run(t)
	a := run(t, n, "a", http.NotFound, func(o *Options) { o.Alive = func(string) bool { return false } })
	for _, listener := range []bool{false, true} {
		if listener { // hides from NATS that nobody is there
			if _, err := n.Connect(t).SubscribeSync(">"); err != nil {
				t.Fatal(err)
			}
			wait(t, "the listener", func() bool { return len(n.Subscriptions()) > 2 })
		}
		begin := time.Now()
		for _, to := range []string{"b", "", "x.y", "*", strings.Repeat("x", 100)} {
			res, err := http.Get(a.front.URL + "/?to=" + to)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if err := recv(t, "Carry", a.errs); res.StatusCode != http.StatusGone || !errors.Is(err, transport.ErrNoHolder) {
				t.Fatalf("%q: %s %v", to, res.Status, err)
			}
		}
		if d := time.Since(begin); d > answerTimeout {
			t.Fatalf("took %v", d)
		}
	}
	if a.result(Gone) != 10 || a.streams() != [2]int{} {
		t.Fatalf("%v %v", a.results, a.streams())
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

func TestOnlySoMuchAtATime(t *testing.T) {
	n := natstest.Run(t)
	release := make(chan struct{})
	held := make(chan struct{}, 10)
	b := run(t, n, "b", func(w http.ResponseWriter, r *http.Request) { held <- struct{}{}; <-release }, func(o *Options) { o.Max = 2 })
	a := run(t, n, "a", http.NotFound)
	first := make(chan int, 2)
	get := func() int {
		res, err := http.Get(a.front.URL + "/?to=b")
		if err != nil {
			t.Errorf("get: %v", err)
			return 0
		}
		res.Body.Close()
		return res.StatusCode
	}
	for range 2 {
		go func() { first <- get() }()
		recv(t, "the request", held)
	}
	if got := get(); got != http.StatusServiceUnavailable {
		t.Fatalf("status %d", got)
	}
	close(release)
	for range 2 {
		if got := recv(t, "the answer", first); got != http.StatusOK {
			t.Fatalf("status %d", got)
		}
	}
	wait(t, "all streams to end", func() bool { return b.streams() == [2]int{} })
	if got := get(); got != http.StatusOK {
		t.Fatalf("status %d", got)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

var upgrader ws.Upgrader

func echo(w http.ResponseWriter, r *http.Request) {
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	for {
		kind, data, err := conn.ReadMessage()
		if err != nil {
			return
		}
		if string(data) == "close" {
			conn.WriteMessage(ws.CloseMessage, ws.FormatCloseMessage(4321, "so be it"))
			conn.NetConn().(*stream).CloseWrite()
			io.Copy(io.Discard, conn.NetConn())
			return
		}
		if err := conn.WriteMessage(kind, data); err != nil {
			return
		}
	}
}

func TestWebSocket(t *testing.T) {
	a, b, _ := pair(t, echo)
	conn, res, err := ws.DefaultDialer.Dial("ws"+strings.TrimPrefix(a.front.URL, "http")+"/?to=b", nil)
	if err != nil {
		t.Fatalf("%v %v", err, res)
	}
	defer conn.Close()
	conn.SetReadDeadline(time.Now().Add(3 * patience))
	data := random1MB()
	sizes := []int{0, 1, 125, 126, firstRead, firstRead + 1, chunk, window - 1, window, window + 1, 1 << 20}
	for range 200 {
		sizes = append(sizes, rand.IntN(5000))
	}
	wrote := make(chan error, 1)
	go func() {
		for _, n := range sizes {
			if err := conn.WriteMessage(ws.BinaryMessage, data[:n]); err != nil {
				wrote <- err
				return
			}
		}
		wrote <- nil
	}()
	for i, n := range sizes {
		if _, got, err := conn.ReadMessage(); err != nil || !bytes.Equal(got, data[:n]) {
			t.Fatalf("message %d: %d bytes instead of %d, %v", i, len(got), n, err)
		}
	}
	if err := recv(t, "the writer", wrote); err != nil {
		t.Fatal(err)
	}
	if a.tunnels != 1 {
		t.Fatalf("%d tunnels", a.tunnels)
	}
	conn.WriteMessage(ws.TextMessage, []byte("close"))
	if _, _, err := conn.ReadMessage(); !ws.IsCloseError(err, 4321) {
		t.Fatalf("closed with %v", err)
	}
	conn.Close()
	recv(t, "Carry", a.errs)
	wait(t, "all streams to end", func() bool { return a.streams() == [2]int{} && b.streams() == [2]int{} })
	if a.tunnels != 0 {
		t.Fatalf("%d tunnels", a.tunnels)
	}
}

// TestTheEndOfATunnel ends one in every way, and the other side sees it.
func TestTheEndOfATunnel(t *testing.T) {
	for name, end := range map[string]func(client *ws.Conn, server net.Conn, a, b *gateway, n *natstest.Server){
		"client closes": func(c *ws.Conn, _ net.Conn, _, _ *gateway, _ *natstest.Server) { c.Close() },
		"client resets": func(c *ws.Conn, _ net.Conn, _, _ *gateway, _ *natstest.Server) {
			c.NetConn().(*net.TCPConn).SetLinger(0)
			c.Close()
		},
		"server closes":     func(_ *ws.Conn, s net.Conn, _, _ *gateway, _ *natstest.Server) { s.Close() },
		"server resets":     func(_ *ws.Conn, s net.Conn, _, _ *gateway, _ *natstest.Server) { s.(*stream).abort() },
		"carrier stops":     func(_ *ws.Conn, _ net.Conn, a, _ *gateway, _ *natstest.Server) { a.Stop() },
		"session's stops":   func(_ *ws.Conn, _ net.Conn, _, b *gateway, _ *natstest.Server) { b.stop() },
		"NATS restarts":     func(_ *ws.Conn, _ net.Conn, _, _ *gateway, n *natstest.Server) { n.Restart() },
		"carrier is killed": func(_ *ws.Conn, _ net.Conn, a, _ *gateway, _ *natstest.Server) { a.link.nc.Close() },
		"session's killed":  func(_ *ws.Conn, _ net.Conn, _, b *gateway, _ *natstest.Server) { b.link.nc.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			conns, over := make(chan net.Conn, 1), make(chan error, 1)
			a, b, n := pair(t, func(w http.ResponseWriter, r *http.Request) {
				conn, err := upgrader.Upgrade(w, r, nil)
				if err != nil {
					t.Errorf("upgrade: %v", err)
					return
				}
				conns <- conn.NetConn()
				_, _, err = conn.ReadMessage()
				conn.Close()
				over <- err
			})
			conn, _, err := ws.DefaultDialer.Dial("ws"+strings.TrimPrefix(a.front.URL, "http")+"/?to=b", nil)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			closed := make(chan error, 1)
			go func() { _, _, err := conn.ReadMessage(); closed <- err }()
			end(conn, recv(t, "the WebSocket", conns), a, b, n)
			recv(t, "the server to see the end", over)
			recv(t, "the client to see the end", closed)
			recv(t, "Carry", a.errs)
			wait(t, "all streams to end", func() bool { return a.streams() == [2]int{} && b.streams() == [2]int{} })
		})
	}
}

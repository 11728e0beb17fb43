package carry

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/natter-io/natter/services/gateway/internal/transport"
)

// switching takes a stream over as the session's gateway does, and hands it out.
func switching(t testing.TB, conns chan<- net.Conn) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "test" || r.Header.Get("X") != "y" {
			t.Errorf("carried with %v", r.Header)
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Errorf("taking over: %v", err)
			return
		}
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: test\r\n\r\n4first")
		conns <- conn
	}
}

// carryStream carries one end of a connection, and returns the client's.
func carryStream(t testing.TB, a *gateway, to string) (*net.TCPConn, <-chan error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); conn.Close() })
	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://a/?x=y", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"test"}, "X": {"y"}}
	over := make(chan error, 1)
	go func() { over <- a.CarryStream(conn, r, to) }()
	client.SetDeadline(time.Now().Add(3 * patience))
	return client.(*net.TCPConn), over
}

// TestAStreamIsJoined carries both ways what is said, and the end of it, whoever comes to it first.
func TestAStreamIsJoined(t *testing.T) {
	for name, end := range map[string]func(client, server net.Conn){
		"client closes": func(c, _ net.Conn) { c.Close() },
		"client ends":   func(c, _ net.Conn) { c.(*net.TCPConn).CloseWrite() },
		"server closes": func(_, s net.Conn) { s.Close() },
		"server resets": func(_, s net.Conn) { s.(*stream).abort() },
	} {
		t.Run(name, func(t *testing.T) {
			conns := make(chan net.Conn, 1)
			a, b, _ := pair(t, switching(t, conns))
			client, over := carryStream(t, a, "b")
			server := recv(t, "the stream", conns)
			in := bufio.NewReader(client)
			first := make([]byte, 6)
			if _, err := io.ReadFull(in, first); err != nil || string(first) != "4first" {
				t.Fatalf("%q %v", first, err)
			}
			data := random1MB()
			go client.Write(data)
			got := make([]byte, len(data))
			if _, err := io.ReadFull(server, got); err != nil || string(got) != string(data) {
				t.Fatalf("the server got something else, %v", err)
			}
			go server.Write(data)
			if _, err := io.ReadFull(in, got); err != nil || string(got) != string(data) {
				t.Fatalf("the client got something else, %v", err)
			}
			a.counts.mu.Lock()
			if a.tunnels != 1 {
				t.Errorf("%d tunnels", a.tunnels)
			}
			a.counts.mu.Unlock()
			heard := make(chan struct{})
			go func() { defer close(heard); io.Copy(io.Discard, server); server.Close() }()
			end(client, server)
			recv(t, "the server to hear of it", heard)
			io.Copy(io.Discard, in) // until the client has, too
			if err := recv(t, "CarryStream", over); err != nil {
				t.Error(err)
			}
			wait(t, "all streams to end", func() bool { return a.streams() == [2]int{} && b.streams() == [2]int{} })
		})
	}
}

func TestAStreamIsNotJoined(t *testing.T) {
	a, _, _ := pair(t, http.NotFound)
	for to, want := range map[string]error{"b": transport.ErrNoHolder, "nobody": transport.ErrNoHolder, "a b": transport.ErrNoHolder} {
		client, over := carryStream(t, a, to)
		if err := recv(t, "CarryStream", over); !errors.Is(err, want) {
			t.Errorf("to %s: %v, want %v", to, err, want)
		}
		client.Close()
	}
	a.Stop()
	_, over := carryStream(t, a, "b")
	if err := recv(t, "CarryStream", over); !errors.Is(err, transport.ErrCannotCarry) {
		t.Errorf("after Stop: %v", err)
	}
}

package natstest

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// Link is a TCP connection's way that can be cut and healed: put it between a client and a server to take the network
// from one of them.
type Link struct {
	listener net.Listener
	target   string
	pumps    sync.WaitGroup

	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]struct{}
}

// Proxy makes a link to the server at a URL such as nats://127.0.0.1:4222. It ends with the test.
func Proxy(t testing.TB, target string) *Link {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatalf("natstest: %v", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("natstest: %v", err)
	}
	l := &Link{listener: listener, target: u.Host, conns: make(map[net.Conn]struct{})}
	l.pumps.Go(l.accept)
	t.Cleanup(func() {
		listener.Close()
		l.Cut()
		l.pumps.Wait()
	})
	return l
}

// URL is where clients connect instead.
func (l *Link) URL() string { return "nats://" + l.listener.Addr().String() }

// Cut breaks all connections, and every new one at once.
func (l *Link) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
	for conn := range l.conns {
		conn.Close()
	}
}

// Heal lets connections through again.
func (l *Link) Heal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = false
}

func (l *Link) accept() {
	for {
		client, err := l.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", l.target)
		if err != nil || !l.keep(client, server) {
			client.Close()
			if err == nil {
				server.Close()
			}
			continue
		}
		l.pumps.Go(func() { l.pump(client, server) })
		l.pumps.Go(func() { l.pump(server, client) })
	}
}

// keep notes the connections, unless the link is cut.
func (l *Link) keep(conns ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, conn := range conns {
		if !l.cut {
			l.conns[conn] = struct{}{}
		}
	}
	return !l.cut
}

func (l *Link) pump(to, from net.Conn) {
	_, _ = io.Copy(to, from) // ends when either side is closed
	to.Close()
	from.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, from)
}

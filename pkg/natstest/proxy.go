package natstest

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// Link is a TCP connection's way that can be cut, stalled and healed: put it between a client and a server to take the network
// from one of them, or to have the server stand still for that client.
type Link struct {
	listener net.Listener
	target   string
	pumps    sync.WaitGroup

	mu      sync.Mutex
	changed *sync.Cond
	cut     bool
	stalled bool
	conns   map[net.Conn]struct{}
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
	l.changed = sync.NewCond(&l.mu)
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
	l.changed.Broadcast()
	for conn := range l.conns {
		conn.Close()
	}
}

// Stall stops reading from all connections, which stay: what is written to them is heard after Heal, as far as there is room for it
// until then.
func (l *Link) Stall() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stalled = true
}

// Heal lets connections through again, and what waits on those that stalled.
func (l *Link) Heal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut, l.stalled = false, false
	l.changed.Broadcast()
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
	_, _ = io.Copy(to, unstalled{from, l}) // ends when either side is closed
	to.Close()
	from.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, from)
}

// unstalled is what comes while the link does not stall.
type unstalled struct {
	io.Reader
	l *Link
}

func (u unstalled) Read(p []byte) (int, error) {
	u.l.mu.Lock()
	for u.l.stalled && !u.l.cut {
		u.l.changed.Wait()
	}
	u.l.mu.Unlock()
	return u.Reader.Read(p)
}

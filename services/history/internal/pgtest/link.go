//go:build unix

package pgtest

import (
	"net"
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

// Link is a way to a database over TCP that can break, or go silent. Make it with [Through].
type Link struct {
	Address string       // where it listens
	URL     string       // of the database, through it
	Passed  atomic.Int64 // bytes, both ways

	mu     sync.Mutex
	change sync.Cond
	open   map[net.Conn]bool
	state  state
}

type state int

const (
	whole state = iota
	silent
	broken
	ended
)

// Through makes a link to the database of a connection string of [New] or [Server.Database], which ends with the test.
func Through(t testing.TB, database string) *Link {
	t.Helper()
	there, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	query := there.Query()
	socket := filepath.Join(query.Get("host"), ".s.PGSQL.5432")
	query.Del("host")
	l := &Link{Address: listener.Addr().String(), open: make(map[net.Conn]bool)}
	l.URL = (&url.URL{Scheme: "postgres", Host: l.Address, Path: there.Path, RawQuery: query.Encode()}).String()
	l.change.L = &l.mu
	var running sync.WaitGroup
	t.Cleanup(func() {
		_ = listener.Close() // ends Accept
		l.become(ended)
		running.Wait()
	})
	running.Go(func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("unix", socket)
			if err != nil || !l.add(from, to) {
				_ = from.Close()
				if err == nil {
					_ = to.Close()
				}
				continue
			}
			running.Go(func() { l.pass(to, from) })
			running.Go(func() { l.pass(from, to) })
		}
	})
	return l
}

// Hang lets nothing through any more, and tells nobody, until Mend.
func (l *Link) Hang() { l.become(silent) }

// Cut breaks all connections, and new ones at once, until Mend.
func (l *Link) Cut() { l.become(broken) }

// Mend ends what Hang or Cut began.
func (l *Link) Mend() { l.become(whole) }

func (l *Link) become(s state) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state = s
	if s >= broken {
		for c := range l.open {
			_ = c.Close()
		}
		clear(l.open)
	}
	l.change.Broadcast()
}

// add says false if no connections can be made.
func (l *Link) add(conns ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range conns {
		l.open[c] = l.state < broken
	}
	return l.state < broken
}

func (l *Link) pass(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		l.mu.Lock()
		for l.state == silent {
			l.change.Wait()
		}
		l.mu.Unlock()
		l.Passed.Add(int64(n))
		if n > 0 {
			if _, werr := to.Write(buf[:n]); werr != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

package gatewayd_test

import (
	"bytes"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// gate is a proxy in front of a NATS server that keeps back what a client says after certain words, until it is opened.
type gate struct {
	listener net.Listener
	words    []byte
	with     bool          // the words are kept back, too
	instead  []byte        // nothing is kept back, but the words are replaced; nil: they are not
	reached  chan struct{} // says once that they came
	open     chan struct{}
	came     sync.Once
	opened   sync.Once
}

func newGate(t testing.TB, target, words string) *gate {
	return openGate(t, target, &gate{words: []byte(words)})
}

// newGateBefore keeps back the words, too.
func newGateBefore(t testing.TB, target, words string) *gate {
	return openGate(t, target, &gate{words: []byte(words), with: true})
}

// newChanger puts others in place of the words, which are as long.
func newChanger(t testing.TB, target, words, instead string) *gate {
	return openGate(t, target, &gate{words: []byte(words), instead: []byte(instead)})
}

func openGate(t testing.TB, target string, g *gate) *gate {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g.listener, g.reached, g.open = listener, make(chan struct{}, 1), make(chan struct{})
	var pumps sync.WaitGroup
	pumps.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", u.Host)
			if err != nil {
				client.Close()
				continue
			}
			pumps.Go(func() {
				io.Copy(client, server) //nolint:errcheck // until one of them ends
				client.Close()
			})
			pumps.Go(func() {
				g.pump(server, client)
				server.Close()
			})
		}
	})
	t.Cleanup(func() {
		g.release()
		listener.Close()
		pumps.Wait()
	})
	return g
}

func (g *gate) url() string { return "nats://" + g.listener.Addr().String() }

func (g *gate) release() { g.opened.Do(func() { close(g.open) }) }

func (g *gate) hold() {
	g.came.Do(func() { g.reached <- struct{}{} })
	<-g.open
}

func (g *gate) pump(to io.Writer, from io.Reader) {
	var seen []byte // the end of what has passed: the words may come in parts
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && g.instead != nil {
			if _, err := to.Write(bytes.ReplaceAll(buffer[:n], g.words, g.instead)); err != nil {
				return
			}
		} else if n > 0 {
			seen = append(seen, buffer[:n]...)
			found := bytes.Contains(seen, g.words)
			if found && g.with {
				g.hold()
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
			if found {
				g.hold()
			}
			seen = bytes.Clone(seen[max(0, len(seen)-len(g.words)+1):])
		}
		if err != nil {
			return
		}
	}
}

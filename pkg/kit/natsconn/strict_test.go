package natsconn

import (
	"io"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/natstest"
)

// overLink leads over a link to the address. Its end here holds nothing back: a write passes or fails as a whole, while it depends on the
// operating system how much of one fits into a TCP connection that nobody reads from.
type overLink string

func (o overLink) InProcessConn() (net.Conn, error) {
	conn, err := net.Dial("tcp", string(o))
	if err != nil {
		return nil, err
	}
	ours, theirs := net.Pipe()
	pass := func(to, from net.Conn) {
		_, _ = io.Copy(to, from) // ends when either side is closed
		to.Close()
		from.Close()
	}
	go pass(conn, theirs)
	go pass(theirs, conn)
	return ours, nil
}

func (o overLink) Dial(string, string) (net.Conn, error) { return o.InProcessConn() }

// A server that stands still for longer than a write may take goes on before pings would have found out. What was subscribed to
// meanwhile is in force then.
func TestSubscriptionsOutliveAServerThatStandsStill(t *testing.T) {
	t.Parallel()
	s := natstest.Run(t)
	other := s.Connect(t)
	for name, way := range map[string]func(overLink) nats.Option{
		"over TCP":   func(o overLink) nats.Option { return nats.SetCustomDialer(o) },
		"in process": func(o overLink) nats.Option { return nats.InProcessServer(o) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			link := natstest.Proxy(t, s.URL())
			u, err := url.Parse(link.URL())
			if err != nil {
				t.Fatal(err)
			}
			book, log := newLog()
			nc := dial(t, Options{URL: link.URL()}, log, way(overLink(u.Host)), nats.FlusherTimeout(100*time.Millisecond))
			written := func() bool {
				left, err := nc.Buffered()
				return !nc.IsConnected() || err == nil && left == 0
			}
			link.Stall()
			until(t, "a write that fails", func() bool {
				_ = nc.Publish("fill", make([]byte, 32_000))
				until(t, "the end of a write", written)
				return strings.Contains(book.String(), "i/o timeout")
			})
			heard := make(chan *nats.Msg, 1)
			if _, err := nc.ChanSubscribe("late", heard); err != nil {
				t.Fatal(err)
			}
			until(t, "the end of its write, in vain", written)
			link.Heal()
			until(t, "the connection", func() bool { return nc.IsConnected() && nc.Flush() == nil })
			if err := other.Publish("late", nil); err != nil {
				t.Fatal(err)
			}
			select {
			case <-heard:
			case <-time.After(20 * time.Second):
				t.Fatal("the subscription is not in force")
			}
		})
	}
}

func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

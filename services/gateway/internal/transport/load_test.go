package transport

import (
	"fmt"
	"net"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// An idle WebSocket connection costs the reader's goroutine, and no other.
func TestIdleConnectionsCostOneGoroutine(t *testing.T) {
	const n = 1000
	raiseFileLimit(t)
	s := newServer(t, Options{})
	before := runtime.NumGoroutine()
	for range n {
		_, p := s.openWS()
		p.conn.Send(text("x")) // on the caller's goroutine
	}
	count := func() int { return runtime.NumGoroutine() - before }
	s.wait(fmt.Sprintf("at most %d goroutines", n), func() bool { return count() <= n+5 })
	if s.eio.Len() != n {
		t.Errorf("%d connections", s.eio.Len())
	}
}

func raiseFileLimit(t testing.TB) {
	t.Helper()
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		t.Fatal(err)
	}
	l.Cur = l.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		t.Fatal(err)
	}
}

// drained is a connection whose client reads everything and looks at nothing.
func drained(tb testing.TB, s *server) *peer {
	tb.Helper()
	c, p := s.openWS()
	conn := c.NetConn()
	conn.SetReadDeadline(time.Time{})
	go func() {
		buf := make([]byte, 64<<10)
		for {
			if _, err := conn.Read(buf); err != nil {
				return
			}
		}
	}()
	return p
}

// Sending to an idle connection allocates nothing.
func TestSendDoesNotAllocate(t *testing.T) {
	s := newServer(t, Options{})
	p := drained(t, s)
	m := NewMessage(big(100))
	if n := testing.AllocsPerRun(1000, func() {
		for p.conn.Send(m) != nil {
			t.Fatal("Send failed")
		}
		for !idle(p.conn.wire) { // the kernel's buffer was full
			runtime.Gosched()
		}
	}); n != 0 {
		t.Errorf("Send allocates %v times", n)
	}
}

func idle(w *wire) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.draining
}

// Several waiting messages leave with one write.
func TestDrainWritesOnce(t *testing.T) {
	a, b := net.Pipe() // no descriptor: everything is the drain goroutine's
	defer b.Close()
	conn := &countingConn{Conn: a}
	o := Options{}.WithDefaults()
	w := newWire(conn, &o)
	defer w.abort()
	w.send([]byte("first")) // nobody reads: the goroutine is stuck in it
	wait(t, "the first write", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return len(w.queue) == 0 })
	for i := range 100 {
		w.send(fmt.Appendf(nil, "%02d", i))
	}
	buf := make([]byte, 1000)
	if n, err := b.Read(buf); string(buf[:n]) != "first" {
		t.Fatalf("got %q, %v", buf[:n], err)
	}
	n, err := b.Read(buf)
	if n != 200 || string(buf[:6]) != "000102" || string(buf[196:200]) != "9899" {
		t.Fatalf("got %q, %v", buf[:n], err)
	}
	wait(t, "the end of the goroutine", func() bool { return idle(w) })
	if conn.writes != 2 {
		t.Errorf("%d writes", conn.writes)
	}
}

type countingConn struct {
	net.Conn
	writes int
}

func (c *countingConn) Write(b []byte) (int, error) {
	c.writes++
	return c.Conn.Write(b)
}

// BenchmarkSend is the cost of one recipient of a broadcast: a write, and no allocation.
func BenchmarkSend(b *testing.B) {
	for _, size := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			s := newServer(b, Options{MaxQueueBytes: 1 << 30, MaxQueueMessages: 1 << 30})
			p := drained(b, s)
			m := NewMessage(big(size))
			b.ReportAllocs()
			b.SetBytes(int64(m.Size()))
			for b.Loop() {
				if err := p.conn.Send(m); err != nil {
					b.Fatal(err)
				}
				for !idle(p.conn.wire) { // the kernel's buffer was full
					runtime.Gosched()
				}
			}
		})
	}
}

// BenchmarkBroadcast sends one message to a thousand connections.
func BenchmarkBroadcast(b *testing.B) {
	raiseFileLimit(b)
	s := newServer(b, Options{MaxQueueBytes: 1 << 30, MaxQueueMessages: 1 << 30})
	peers := make([]*peer, 1000)
	for i := range peers {
		peers[i] = drained(b, s)
	}
	b.ReportAllocs()
	for b.Loop() {
		m := NewMessage(big(100))
		for _, p := range peers {
			if err := p.conn.Send(m); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(peers)), "ns/recipient")
}

func BenchmarkNewMessage(b *testing.B) {
	data := big(100)
	b.ReportAllocs()
	for b.Loop() {
		NewMessage(data)
	}
}

// BenchmarkReceive is the cost of one message from a client, with the client's own.
func BenchmarkReceive(b *testing.B) {
	s := newServer(b, Options{})
	c, p := s.openWS()
	frame := "4" + string(big(100))
	b.ReportAllocs()
	for b.Loop() {
		c.send(frame)
		<-p.messages
	}
}

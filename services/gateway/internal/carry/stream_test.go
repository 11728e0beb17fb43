package carry

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/natter-io/natter/pkg/natstest"
	"github.com/natter-io/natter/services/gateway/internal/transport"
)

func twoLinks(t testing.TB) (a *gateway, b *link, n *natstest.Server) {
	t.Helper()
	n = natstest.Run(t)
	return &gateway{Carrier: &Carrier{link: bare(t, n, "a")}}, bare(t, n, "b"), n
}

func TestFrames(t *testing.T) {
	for _, f := range []frame{
		{kind: kindOpen, epoch: 1, stream: 2, at: 0, data: []byte("GET")},
		{kind: kindPing, epoch: ^uint64(0), data: []byte{}},
		{kind: kindReset, epoch: 3, stream: 4, data: []byte{byte(causeBusy)}},
	} {
		got, err := decode(f.append(nil))
		if err != nil || got.kind != f.kind || got.epoch != f.epoch || got.stream != f.stream || got.at != f.at || !bytes.Equal(got.data, f.data) {
			t.Errorf("%+v became %+v, %v", f, got, err)
		}
	}
	good := frame{kind: kindPong}.append(nil)
	for _, b := range [][]byte{nil, good[:frameHeader-1], append([]byte{9}, good[1:]...), append([]byte{1, 0}, good[2:]...), append([]byte{1, 99}, good[2:]...)} {
		if _, err := decode(b); !errors.Is(err, errFrame) {
			t.Errorf("%v: %v", b, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(frame{kind: kindData, epoch: 1, stream: 2, at: 3, data: []byte("data")}.append(nil))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := decode(b)
		if err == nil && !bytes.Equal(got.append(nil), b) {
			t.Fatalf("%x became %+v", b, got)
		}
		got.cause()
	})
}

// TestTheWindowHoldsTheSenderBack writes to one who does not read.
func TestTheWindowHoldsTheSenderBack(t *testing.T) {
	a, b, _ := twoLinks(t)
	s, conn := a.dial(t, "b", b)
	s.SetWriteDeadline(time.Now().Add(2 * time.Second))
	data := make([]byte, 4*window)
	n, err := s.Write(data)
	if !errors.Is(err, os.ErrDeadlineExceeded) || n < window-1 || n > window {
		t.Fatalf("wrote %d bytes of %d, %v", n, len(data), err)
	}
	s.SetWriteDeadline(time.Time{})
	wrote := make(chan error, 1)
	go func() {
		_, err := s.Write(data[n:])
		s.CloseWrite()
		wrote <- err
	}()
	got, err := io.ReadAll(conn)
	if err != nil || len(got) != len(data) {
		t.Fatalf("read %d bytes, %v", len(got), err)
	}
	if err := recv(t, "the writer", wrote); err != nil {
		t.Fatal(err)
	}
	// The other direction is still open.
	if _, err := conn.Write([]byte("thanks")); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if got, err := io.ReadAll(s); err != nil || string(got) != "thanks" {
		t.Fatalf("%q %v", got, err)
	}
	if _, err := s.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
		t.Fatalf("writing to a closed stream: %v", err)
	}
	if err := s.waitOver(); err != nil {
		t.Fatal(err)
	}
}

func TestDeadlinesWakeTheReader(t *testing.T) {
	a, b, _ := twoLinks(t)
	s, conn := a.dial(t, "b", b)
	failed := make(chan error)
	read := func(c net.Conn) { _, err := c.Read(make([]byte, 1)); failed <- err }
	conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	go read(conn)
	if err := recv(t, "the deadline", failed); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Time{})
	go read(conn)
	conn.SetDeadline(time.Unix(1, 0)) // as the HTTP server does to stop a read
	if err := recv(t, "the deadline", failed); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	go read(s)
	s.Close()
	if err := recv(t, "the close", failed); !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
	if s.LocalAddr().String() != "a" || conn.RemoteAddr().String() != "a" || conn.RemoteAddr().Network() != "natter" {
		t.Fatalf("%v %v", s.LocalAddr(), conn.RemoteAddr())
	}
}

// TestWhatBreaksAStream has a gateway that does not keep to the protocol, or dies.
func TestWhatBreaksAStream(t *testing.T) {
	n := natstest.Run(t)
	l := bare(t, n, "a")
	frames, send := fake(t, n, "b")
	for name, c := range map[string]struct {
		first *frame // the answer to the open frame; nil for none
		then  *frame
		want  error
		told  bool // whether the other side is told
	}{
		"no answer":       {nil, nil, transport.ErrNoHolder, true},
		"silence":         {&frame{kind: kindCredit, at: window}, nil, transport.ErrNoHolder, true},
		"a lost byte":     {&frame{kind: kindData, at: 0, data: []byte("ab")}, &frame{kind: kindData, at: 3, data: []byte("d")}, errBroken, true},
		"a lost end":      {&frame{kind: kindCredit, at: window}, &frame{kind: kindClose, at: 5}, errBroken, true},
		"data after end":  {&frame{kind: kindEnd, at: 0}, &frame{kind: kindData, at: 0, data: []byte("x")}, errBroken, true},
		"over the window": {&frame{kind: kindData, at: 0, data: make([]byte, window)}, &frame{kind: kindData, at: window, data: []byte("x")}, errBroken, true},
		"another epoch":   {&frame{kind: kindCredit, at: window}, &frame{kind: kindCredit, at: window, epoch: 8}, transport.ErrNoHolder, true},
		"restarted":       {&frame{kind: kindCredit, at: window}, &frame{kind: kindPong, epoch: 9}, transport.ErrNoHolder, true},
		"forgotten":       {&frame{kind: kindReset, data: []byte{byte(causeUnknown)}}, nil, transport.ErrNoHolder, false},
		"busy":            {&frame{kind: kindReset, data: []byte{byte(causeBusy)}}, nil, transport.ErrCannotCarry, false},
		"reset":           {&frame{kind: kindReset}, nil, errBroken, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := l.open("b")
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if _, err := s.Write([]byte("GET")); err != nil {
				t.Fatal(err)
			}
			open := recv(t, "the open frame", frames)
			if open.kind != kindOpen || open.at != 0 || string(open.data) != "GET" {
				t.Fatalf("%+v", open)
			}
			for _, f := range []*frame{c.first, c.then} {
				if f != nil {
					f.stream = open.stream
					send("a", *f)
				}
			}
			wait(t, "the stream to break", func() bool { return s.cause(nil) != nil })
			if err := s.cause(nil); !errors.Is(err, c.want) {
				t.Fatalf("broken by %v, want %v", err, c.want)
			}
			if _, err := s.Read(make([]byte, 1)); !errors.Is(err, c.want) {
				t.Fatalf("Read: %v", err)
			}
			if c.told {
				if f := recv(t, "the reset", frames); f.kind != kindReset || f.stream != open.stream {
					t.Fatalf("told %+v", f)
				}
			}
		})
	}
}

// TestACloseCrossesWithACredit reads what a peer has sent before it closed, though a credit was on its way then.
func TestACloseCrossesWithACredit(t *testing.T) {
	n := natstest.Run(t)
	l := bare(t, n, "a")
	frames, send := fake(t, n, "b")
	s, err := l.open("b")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Write([]byte("GET")); err != nil {
		t.Fatal(err)
	}
	id := recv(t, "the open frame", frames).stream
	send("a", frame{kind: kindData, stream: id, data: make([]byte, window)})
	send("a", frame{kind: kindClose, stream: id, at: window})
	send("a", frame{kind: kindReset, stream: id, data: []byte{byte(causeUnknown)}})
	send("a", frame{kind: kindPing})
	if f := recv(t, "the pong, behind all of it", frames); f.kind != kindPong {
		t.Fatalf("%+v", f)
	}
	if got, err := io.ReadAll(s); err != nil || len(got) != window {
		t.Fatalf("read %d bytes, %v", len(got), err)
	}
}

// TestFramesOfNoStream are answered, so that the other side does not wait, and never with an endless echo.
func TestFramesOfNoStream(t *testing.T) {
	n := natstest.Run(t)
	bare(t, n, "a")
	frames, send := fake(t, n, "b")
	for _, k := range []kind{kindReset, kindClose, kindPong} {
		send("a", frame{kind: k, stream: 5})
	}
	for _, k := range []kind{kindData, kindEnd, kindCredit} {
		send("a", frame{kind: k, stream: 6})
		if f := recv(t, "the reset", frames); f.kind != kindReset || f.stream != 6 || f.cause() != causeUnknown {
			t.Fatalf("%+v", f)
		}
	}
	send("a", frame{kind: kindPing})
	if f := recv(t, "the pong", frames); f.kind != kindPong {
		t.Fatalf("%+v", f)
	}
}

// TestALostMessageBreaksAllStreams since nothing else would show that the last one is missing.
func TestALostMessageBreaksAllStreams(t *testing.T) {
	a, b, n := twoLinks(t)
	s, conn := a.dial(t, "b", b)
	n.Restart()
	for _, c := range []net.Conn{s, conn} {
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, transport.ErrCannotCarry) && !errors.Is(err, transport.ErrNoHolder) && !errors.Is(err, errBroken) {
			t.Fatalf("Read: %v", err)
		}
	}
	wait(t, "the connections", func() bool { return a.link.nc.IsConnected() && b.nc.IsConnected() })
	// And all is well again, once both have subscribed again.
	wait(t, "an answer", func() bool {
		s, err := a.link.open("b")
		if err != nil {
			return false
		}
		defer s.abort()
		if _, err := s.Write([]byte("?")); err != nil {
			return false
		}
		select {
		case conn := <-b.accepted:
			conn.Close()
			return true
		case <-time.After(50 * time.Millisecond):
			return false
		}
	})
	s, conn = a.dial(t, "b", b)
	conn.Write([]byte("x"))
	conn.Close()
	if got, err := io.ReadAll(s); err != nil || string(got) != "x" {
		t.Fatalf("%q %v", got, err)
	}
}

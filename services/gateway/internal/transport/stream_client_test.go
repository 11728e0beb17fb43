package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/webtransport-go"

	"github.com/natter-io/natter/pkg/engineio"
)

// quicServer is a server that also serves WebTransport.
type quicServer struct {
	*server
	host   string
	config *tls.Config // of clients
	stop   func()      // ends ServeWebTransport
}

func newQUICServer(t testing.TB, opts Options) *quicServer {
	t.Helper()
	if len(opts.Transports) == 0 {
		opts.Transports = []string{Polling, WebSocket, WebTransport}
	}
	s := newServer(t, opts)
	certified := httptest.NewTLSServer(nil)
	certified.Close()
	roots := x509.NewCertPool()
	roots.AddCert(certified.Certificate())
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() {
		served <- s.eio.ServeWebTransport(ctx, socket, &tls.Config{Certificates: certified.TLS.Certificates})
	}()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := recv(t, "the end of ServeWebTransport", served); err != nil {
			t.Error(err)
		}
		socket.Close()
	})
	t.Cleanup(stop)
	return &quicServer{s, socket.LocalAddr().String(), &tls.Config{RootCAs: roots, ServerName: "example.com"}, stop}
}

// streamClient is a WebTransport client with its stream.
type streamClient struct {
	*webtransport.Stream
	session *webtransport.Session
	quic    *quic.Conn
	t       testing.TB
}

// tryStream opens a session and its stream.
func (s *quicServer) tryStream(path string, header http.Header) (*streamClient, *http.Response, error) {
	c := &streamClient{t: s.t}
	d := webtransport.Transport{
		TLSClientConfig: s.config,
		DialAddr: func(ctx context.Context, addr string, t *tls.Config, q *quic.Config) (conn *quic.Conn, err error) {
			c.quic, err = quic.DialAddr(ctx, addr, t, q)
			return c.quic, err
		},
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	res, session, err := d.Dial(ctx, "https://"+s.host+path, header)
	if err != nil {
		return nil, res, err
	}
	s.t.Cleanup(func() { session.CloseWithError(0, "") })
	c.session = session
	if c.Stream, err = session.OpenStreamSync(ctx); err != nil {
		return nil, res, err
	}
	c.SetReadDeadline(time.Now().Add(3 * patience))
	return c, res, nil
}

func (s *quicServer) stream() *streamClient {
	s.t.Helper()
	c, _, err := s.tryStream("/socket.io/", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// openStream opens a connection over WebTransport.
func (s *quicServer) openStream() (*streamClient, *peer) {
	s.t.Helper()
	c := s.stream()
	c.send("0")
	p := s.peer(sid(s.t, c.recv()))
	s.wait("the state", func() bool { return p.conn.Transport() == WebTransport })
	return c, p
}

// probeStream begins an upgrade.
func (s *quicServer) probeStream(p *peer) *streamClient {
	s.t.Helper()
	c := s.stream()
	c.send(`0{"sid":"` + p.conn.ID() + `"}`)
	c.send("2probe")
	c.want("3probe")
	return c
}

func (c *streamClient) raw(b string) {
	c.t.Helper()
	if _, err := io.WriteString(c.Stream, b); err != nil {
		c.t.Fatal(err)
	}
}

// send sends a text packet: its type, and its data.
func (c *streamClient) send(text string) {
	c.t.Helper()
	c.raw(string(engineio.AppendStream(nil, engineio.Packet{Type: engineio.Type(text[0] - '0'), Data: []byte(text[1:])})))
}

func (c *streamClient) sendBinary(data []byte) {
	c.t.Helper()
	c.raw(string(engineio.AppendStream(nil, engineio.Packet{Type: engineio.Message, Binary: true, Data: data})))
}

// next reads a packet; a binary one gets "b:" in front.
func (c *streamClient) next() (string, error) {
	binary, n, err := engineio.ReadStreamHeader(c, 1<<30)
	if err != nil {
		return "", err
	}
	data := make([]byte, n)
	if _, err := io.ReadFull(c, data); err != nil {
		return "", err
	}
	if binary {
		return "b:" + string(data), nil
	}
	return string(data), nil
}

func (c *streamClient) recv() string {
	c.t.Helper()
	text, err := c.next()
	if err != nil {
		c.t.Fatal(err)
	}
	return text
}

func (c *streamClient) want(text string) {
	c.t.Helper()
	if got := c.recv(); got != text {
		c.t.Fatalf("got %.100q, want %.100q", got, text)
	}
}

// wantClosed waits until the server has closed the session; pings are skipped.
func (c *streamClient) wantClosed() {
	c.t.Helper()
	for {
		text, err := c.next()
		switch {
		case err == nil && text == "2":
			continue
		case err == nil:
			c.t.Fatalf("got %.100q, want the end", text)
		case errors.Is(err, os.ErrDeadlineExceeded):
			c.t.Fatal("the stream goes on")
		}
		break
	}
	recv(c.t, "the end of the session", c.session.Context().Done())
	_, err := c.session.AcceptStream(context.Background())
	if e := new(webtransport.SessionError); !errors.As(err, &e) || !e.Remote || e.ErrorCode != 0 {
		c.t.Errorf("the session ended with %v, want it closed", err)
	}
}

// wantRefused waits until the server has ended the session in a way that stock clients notice.
func (c *streamClient) wantRefused() {
	c.t.Helper()
	recv(c.t, "the end of the connection", c.quic.Context().Done())
	err := context.Cause(c.quic.Context())
	if e := new(quic.ApplicationError); !errors.As(err, &e) || !e.Remote || e.ErrorCode == 0 {
		c.t.Errorf("the connection ended with %v, want it refused", err)
	}
}

package transport

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/webtransport-go"
	"golang.org/x/time/rate"

	"github.com/natter-io/natter/pkg/engineio"
)

// WebTransport runs over HTTP/3 (draft-ietf-webtrans-http3), which runs over QUIC (RFC 9000), which runs over UDP.
// A client opens a session with a CONNECT request, and in it one bidirectional stream, over which all goes.

// What a QUIC connection may use. A client needs three streams of HTTP's own each way, one for the request and one
// for its packets; browsers open some more, to keep servers from relying on that.
const (
	maxStreams       = 8
	streamWindow     = 64 << 10 // received and not read yet, as for a WebSocket the kernel's buffer; grows to the next
	maxStreamWindow  = 512 << 10
	maxWindow        = 768 << 10 // of all streams
	maxSessionHeader = 32 << 10
	// handshakeTimeout is how long QUIC's handshake may take, and then how long a connection may have no request.
	handshakeTimeout = 10 * time.Second
	// keepAlive is how often something is sent at least, so that neither a browser nor a router on the way
	// forgets the connection between two pings of Engine.IO.
	keepAlive = 15 * time.Second
	// Over so many new connections a second, clients must first show that the address that they have is theirs
	// (RFC 9000 section 8.1), which takes them one more round trip.
	unproven, unprovenBurst = 100, 500
)

// ServeWebTransport takes WebTransport sessions from the socket until ctx ends, and returns when what it started has
// ended: call Shutdown first for an orderly end. The TLS configuration needs a certificate, and gets HTTP/3's
// protocol. The socket stays open. An error is the socket's, and wraps net.ErrClosed if that was closed.
func (s *Server) ServeWebTransport(ctx context.Context, socket net.PacketConn, config *tls.Config) error {
	if !s.opts.has(WebTransport) {
		return fmt.Errorf("%w: transports does not have %s", ErrOptions, WebTransport)
	}
	sessions := &webtransport.Server{
		H3: &http3.Server{
			MaxHeaderBytes: maxSessionHeader,
			IdleTimeout:    handshakeTimeout,
			Logger:         s.opts.Log,
			ConnContext:    func(ctx context.Context, c *quic.Conn) context.Context { return context.WithValue(ctx, quicConn{}, c) },
		},
		CheckOrigin: func(*http.Request) bool { return true }, // checked before
	}
	sessions.H3.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serveSession(sessions, w, r) })
	limiter := rate.NewLimiter(unproven, unprovenBurst)
	endpoint := &quic.Transport{Conn: socket, VerifySourceAddress: func(net.Addr) bool { return !limiter.Allow() }}
	defer endpoint.Close() //nolint:errcheck // the socket is the caller's
	listener, err := endpoint.ListenEarly(http3.ConfigureTLSConfig(config), s.quicConfig())
	if err != nil {
		return fmt.Errorf("listening for WebTransport: %w", err)
	}
	var conns sync.WaitGroup
	defer endConnections(&conns, sessions)
	// A client that came a moment too late is told so: it would wait for an answer until it gives up.
	defer context.AfterFunc(ctx, func() { listener.Close() })()
	for {
		conn, err := listener.Accept(context.WithoutCancel(ctx))
		switch {
		case ctx.Err() != nil && err != nil:
			return nil
		case ctx.Err() != nil:
			refuseSession(conn)
			continue
		case err != nil:
			return fmt.Errorf("accepting WebTransport: %w", err)
		}
		conns.Go(func() {
			if err := sessions.ServeQUICConn(conn); err != nil {
				s.opts.Log.Debug("a QUIC connection was not served", "error", err)
			}
		})
	}
}

// endConnections waits until the clients have closed their connections, which those do whose session was closed, and
// closes what is left after sessionGrace: a connection that is closed at once takes the end of its session with it.
func endConnections(conns *sync.WaitGroup, sessions *webtransport.Server) {
	ended := make(chan struct{})
	go func() { conns.Wait(); close(ended) }()
	grace := time.NewTimer(sessionGrace)
	defer grace.Stop()
	select {
	case <-ended:
	case <-grace.C:
	}
	sessions.Close() //nolint:errcheck // it has no listener whose closing could fail
	<-ended
}

func (s *Server) quicConfig() *quic.Config {
	return &quic.Config{
		HandshakeIdleTimeout:             handshakeTimeout / 2, // the whole may take twice that
		MaxIdleTimeout:                   2 * keepAlive,
		KeepAlivePeriod:                  keepAlive,
		InitialStreamReceiveWindow:       streamWindow,
		MaxStreamReceiveWindow:           maxStreamWindow,
		InitialConnectionReceiveWindow:   2 * streamWindow,
		MaxConnectionReceiveWindow:       maxWindow,
		MaxIncomingStreams:               maxStreams,
		MaxIncomingUniStreams:            maxStreams,
		EnableDatagrams:                  true, // required, though Engine.IO sends none
		EnableStreamResetPartialDelivery: true, // likewise
	}
}

// quicConn is the key of a request's QUIC connection in its context.
type quicConn struct{}

// serveSession serves a session until it ends. Refusing it here makes the stock client try again, or stay on the
// transport that it has.
func (s *Server) serveSession(sessions *webtransport.Server, w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.URL.Path, s.opts.Path) || r.Method != http.MethodConnect {
		http.NotFound(w, r)
		return
	}
	switch {
	case !validHeader(r.Header.Get("Origin")):
		refuse(w, false, engineio.BadRequest, "")
		return
	case !s.opts.CORS.allowsWebSocket(r):
		refuse(w, false, engineio.Forbidden, "")
		return
	}
	session, err := sessions.Upgrade(w, r)
	if err != nil {
		s.opts.Log.Debug("a WebTransport session was not opened", "error", err)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	conn := r.Context().Value(quicConn{}).(*quic.Conn)
	deadline := time.Now().Add(s.opts.UpgradeTimeout)
	waiting, cancel := context.WithDeadline(session.Context(), deadline)
	stream, err := session.AcceptStream(waiting)
	cancel()
	if err != nil {
		refuseSession(conn)
		return
	}
	c := &sessionConn{Stream: stream, session: session, connect: w.(http3.HTTPStreamer).HTTPStream(), quic: conn}
	if !s.serveStream(c, r, deadline) {
		refuseSession(conn)
	}
}

// refuseSession ends a session before it has become a connection. Closing it would not do: the stock client takes no
// notice of a session that is closed that early, and waits for its timeout.
func refuseSession(conn *quic.Conn) {
	conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeRequestRejected), "")
}

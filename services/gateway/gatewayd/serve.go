package gatewayd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/natter-io/natter/web"
)

// Handler serves clients what the gateway's own port does: Socket.IO and the client bundles under Config.Path
// (/socket.io/), sign-in at /auth/login, and the pages at /. A program that has pages itself mounts the first
// alone, next to its own routes:
//
//	mux.Handle("/socket.io/", gateway.Handler())
//
// It may be mounted before [Service.Run] is called. Whenever the gateway does not run, or is not ready, it
// answers 503, at which Socket.IO clients try again by themselves.
//
// The server around it must let connections be hijacked and HTTP/1.1 be spoken (WebSocket), and must have no
// WriteTimeout and no handler around this one that ends requests: a poll waits for news as long as
// Config.PingInterval. On the way out, end Run first; http.Server.Shutdown then has no poll to wait for.
func (s *Service) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if running := s.running.Load(); running != nil {
			running.handler.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Retry-After", "1")
		http.Error(w, "the gateway is not running", http.StatusServiceUnavailable)
	})
}

// routes are the paths of the gateway's HTTP server.
func (s *Service) routes(p *parts) http.Handler {
	mux := http.NewServeMux()
	path := strings.TrimSuffix(s.cfg.Path, "/") + "/"
	socketio := http.Handler(p.transport)
	if s.cfg.ServeClient {
		bundles, err := web.Bundles(s.cfg.ClientDir)
		if err != nil {
			s.log.Warn("the client bundles are not served", "error", err)
		}
		socketio = withBundles(path, s.cfg.CORS.transport().Handler(bundles), p.transport)
	}
	mux.Handle(path, socketio)
	if !s.cfg.AddTrailingSlash {
		mux.Handle(strings.TrimSuffix(path, "/"), socketio)
	}
	mux.Handle(loginPath, signIn(p.bridge.Login, s.log))
	mux.Handle("/", pages(s.cfg.WebDir, s.cfg.Parser, s.cfg.Chat))
	return mux
}

// withBundles serves the client bundles right under the path, everything else as Engine.IO.
func withBundles(path string, bundles, engine http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name, ok := strings.CutPrefix(r.URL.Path, path); ok && !strings.Contains(name, "/") && web.IsBundle(name) {
			bundles.ServeHTTP(w, r)
			return
		}
		engine.ServeHTTP(w, r)
	})
}

// stopTimeout is how long clients have to take what is queued for them when the gateway stops.
const stopTimeout = 5 * time.Second

func (s *Service) serveHTTP(ctx context.Context, listener net.Listener, p *parts) error {
	s.running.Store(p)
	defer s.running.Store(nil)
	server := newHTTPServer(s.Handler(), s.log)
	s.addr = listener.Addr()
	close(s.ready)
	s.log.Info("serving clients", "address", listener.Addr().String(), "path", s.cfg.Path)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serving clients: %w", err)
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	p.carry.Stop() // polls that wait at other gateways would wait on
	err := p.transport.Shutdown(stopping)
	err = errors.Join(err, server.Shutdown(stopping))
	if errors.Is(err, context.DeadlineExceeded) {
		s.log.Warn("some clients did not take what was queued for them in time", "error", err)
		return server.Close()
	}
	return err
}

// listen takes the port, and says what to do if it is taken.
func listen(ctx context.Context, address string) (net.Listener, error) {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is already in use: another gateway or program is running there; stop it or choose another address with --listen", address)
	}
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return listener, nil
}

// serveMounted lets [Service.Handler] serve until the context ends, then closes what is connected.
func (s *Service) serveMounted(ctx context.Context, p *parts) error {
	s.running.Store(p)
	defer s.running.Store(nil)
	close(s.ready)
	s.log.Info("serving clients in a server of the program's own", "path", s.cfg.Path)
	<-ctx.Done()
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	p.carry.Stop() // polls that wait at other gateways would wait on
	err := p.transport.Shutdown(stopping)
	if errors.Is(err, context.DeadlineExceeded) {
		s.log.Warn("some clients did not take what was queued for them in time", "error", err)
		return nil
	}
	return err
}

// Package health serves the pages by which others watch a service: /healthz,
// /readyz and /metrics.
//
// It does not know what is checked or measured. Part of the kit: small, for
// Natter's own programs, no compatibility promise.
package health

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
)

const (
	checkTimeout = 2 * time.Second
	stopTimeout  = 5 * time.Second
	readTimeout  = 5 * time.Second
	writeTimeout = 30 * time.Second
)

// ErrInUse says that somebody else listens on the address. Run wraps it.
var ErrInUse = errors.New("already in use")

// Options can be embedded in a service's configuration, under `embed:"" prefix:"health-" set:"health=ADDRESS"`,
// where the address is the default.
type Options struct {
	Listen string `default:"${health}" help:"Address of /healthz, /readyz and /metrics; empty for none."`
}

// Check reports why something is not ready, or nil. It must return when its
// context ends, which is 2 s after the request.
type Check func(ctx context.Context) error

// Server collects checks and metrics and serves them. Its methods may be called
// concurrently.
type Server struct {
	opts     Options
	log      *slog.Logger
	registry *prometheus.Registry
	up       chan struct{} // closed when addr is set
	upOnce   sync.Once

	mu      sync.RWMutex
	checks  map[string]Check
	metrics prometheus.Gatherers // the registry's and those of included servers
	addr    net.Addr
}

// New returns a server that serves the Go runtime's and the process's metrics and has no check.
func New(o Options, log *slog.Logger) *Server {
	r := prometheus.NewRegistry()
	return &Server{opts: o, log: log, registry: r, metrics: prometheus.Gatherers{r}, up: make(chan struct{}), checks: map[string]Check{}}
}

// Include adds what another server checks and measures, for a program that runs several services: its
// report counts as one check with that name.
func (s *Server) Include(name string, other *Server) {
	s.SetCheck(name, func(ctx context.Context) error {
		var errs []error
		report := other.Report(ctx)
		for _, check := range slices.Sorted(maps.Keys(report.Checks)) {
			if result := report.Checks[check]; result != checkOK {
				errs = append(errs, fmt.Errorf("%s: %s", check, result))
			}
		}
		return errors.Join(errs...)
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.metrics = append(s.metrics, other.registry)
}

// gather collects the metrics of the process and of everything included.
func (s *Server) gather() ([]*dto.MetricFamily, error) {
	process := prometheus.NewRegistry()
	process.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	s.mu.RLock()
	all := append(prometheus.Gatherers{process}, s.metrics...)
	s.mu.RUnlock()
	return all.Gather()
}

// checkOK is the result of a check that found nothing wrong.
const checkOK = "ok"

// Registry is where a service registers its metrics.
func (s *Server) Registry() *prometheus.Registry { return s.registry }

// SetCheck adds a named check to /readyz or replaces it; nil removes it.
func (s *Server) SetCheck(name string, c Check) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c == nil {
		delete(s.checks, name)
		return
	}
	s.checks[name] = c
}

// Handler serves the three pages, for a program that has its own HTTP server.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", s.ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(prometheus.GathererFunc(s.gather), promhttp.HandlerOpts{Registry: s.registry}))
	return mux
}

// Report is the body of /readyz.
type Report struct {
	Ready bool `json:"ready"`
	// Checks maps each check's name to "ok" or to what is wrong.
	Checks map[string]string `json:"checks"`
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	report := s.Report(r.Context())
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !report.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(report) // the asker is gone if this fails
}

// Report runs all checks side by side. One that does not return within 2 s fails.
func (s *Server) Report(ctx context.Context) Report {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	s.mu.RLock()
	results := make(map[string]chan error, len(s.checks))
	for name, check := range s.checks {
		result := make(chan error, 1)
		results[name] = result
		go func() { result <- check(ctx) }()
	}
	s.mu.RUnlock()

	report := Report{Ready: true, Checks: make(map[string]string, len(results))}
	for name, result := range results {
		var err error
		select {
		case err = <-result:
		case <-ctx.Done():
			select {
			case err = <-result: // came in time, while another was waited for
			default:
				err = fmt.Errorf("no answer within %s", checkTimeout)
			}
		}
		report.Checks[name] = checkOK
		if err != nil {
			report.Ready = false
			report.Checks[name] = err.Error()
		}
	}
	return report
}

// Run listens and serves until ctx ends, then lets running requests finish for up
// to 5 s. With an empty Listen it only waits for ctx.
func (s *Server) Run(ctx context.Context) error {
	if s.opts.Listen == "" {
		s.upOnce.Do(func() { close(s.up) })
		<-ctx.Done()
		return nil
	}
	l, err := net.Listen("tcp", s.opts.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s is %w: another service or program is running there; stop it or choose another address for the health pages with --health-listen",
			s.opts.Listen, ErrInUse)
	}
	if err != nil {
		return fmt.Errorf("health pages: --health-listen: %w", err)
	}
	s.mu.Lock()
	s.addr = l.Addr()
	s.mu.Unlock()
	s.upOnce.Do(func() { close(s.up) })
	s.log.Info("health pages", "url", "http://"+l.Addr().String()+"/readyz")

	srv := &http.Server{
		Handler: s.Handler(), ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	select {
	case err = <-served:
		return fmt.Errorf("health pages: %w", err)
	case <-ctx.Done():
	}
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	err = srv.Shutdown(stopCtx)
	if err != nil {
		err = errors.Join(err, srv.Close())
	}
	<-served
	return err
}

// Ready blocks until Run listens or ctx ends. It fits run.Component.
func (s *Server) Ready(ctx context.Context) error {
	select {
	case <-s.up:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Addr is the address listened on, nil before Ready and for an empty Listen.
func (s *Server) Addr() net.Addr {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.addr
}

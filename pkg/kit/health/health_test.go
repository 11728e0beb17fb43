package health

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var silent = slog.New(slog.DiscardHandler)

// serve runs s until the test ends.
func serve(t *testing.T, s *Server) (url string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	if err := s.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return "http://" + s.Addr().String()
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestPages(t *testing.T) {
	t.Parallel()
	s := New(Options{Listen: "127.0.0.1:0"}, silent)
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "natter_test_total", Help: "For the test."})
	s.Registry().MustRegister(counter)
	counter.Add(3)
	url := serve(t, s)

	ready := func(status int, want Report) {
		t.Helper()
		got, body := get(t, url+"/readyz")
		var r Report
		if err := json.Unmarshal([]byte(body), &r); err != nil {
			t.Fatalf("%v in %s", err, body)
		}
		if got != status || r.Ready != want.Ready || len(r.Checks) != len(want.Checks) {
			t.Errorf("got %d %+v, want %d %+v", got, r, status, want)
		}
		for name, state := range want.Checks {
			if r.Checks[name] != state {
				t.Errorf("%s: got %q, want %q", name, r.Checks[name], state)
			}
		}
	}
	if status, body := get(t, url+"/healthz"); status != 200 || body != "ok\n" {
		t.Errorf("healthz: %d %q", status, body)
	}
	ready(200, Report{Ready: true})
	s.SetCheck("nats", func(context.Context) error { return nil })
	s.SetCheck("database", func(context.Context) error { return errors.New("disk is full") })
	ready(503, Report{Checks: map[string]string{"nats": "ok", "database": "disk is full"}})
	if status, _ := get(t, url+"/healthz"); status != 200 {
		t.Errorf("healthz while not ready: %d", status)
	}
	s.SetCheck("database", nil)
	ready(200, Report{Ready: true, Checks: map[string]string{"nats": "ok"}})
	if status, body := get(t, url+"/metrics"); status != 200 || !strings.Contains(body, "natter_test_total 3") || !strings.Contains(body, "go_goroutines") {
		t.Errorf("metrics: %d %s", status, body)
	}
	if status, _ := get(t, url+"/other"); status != 404 {
		t.Errorf("another page: %d", status)
	}
}

func TestSlowCheckFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{}, silent)
		release := make(chan struct{})
		s.SetCheck("stuck", func(context.Context) error { <-release; return nil })
		s.SetCheck("fast", func(context.Context) error { return nil })
		began := time.Now()
		r := s.Report(t.Context())
		if r.Ready || r.Checks["stuck"] != "no answer within 2s" || r.Checks["fast"] != "ok" {
			t.Errorf("got %+v", r)
		}
		if took := time.Since(began); took != checkTimeout {
			t.Errorf("took %s", took)
		}
		close(release)
	})
}

func TestRunningRequestFinishesBeforeTheEnd(t *testing.T) {
	t.Parallel()
	s := New(Options{Listen: "127.0.0.1:0"}, silent)
	entered, release := make(chan struct{}), make(chan struct{})
	s.SetCheck("slow", func(context.Context) error { close(entered); <-release; return nil })
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	if err := s.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	status := make(chan int, 1)
	go func() {
		got, _ := get(t, "http://"+s.Addr().String()+"/readyz")
		status <- got
	}()
	<-entered
	cancel()
	close(release)
	if got := <-status; got != 200 {
		t.Errorf("status %d", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestAddressInUse(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	err = New(Options{Listen: l.Addr().String()}, silent).Run(t.Context())
	if !errors.Is(err, ErrInUse) || !strings.HasPrefix(err.Error(), l.Addr().String()+" is already in use") || !strings.Contains(err.Error(), "--health-listen") {
		t.Errorf("got %v", err)
	}
}

func TestNoAddress(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s := New(Options{}, silent)
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	if err := s.Ready(ctx); err != nil || s.Addr() != nil {
		t.Errorf("%v, %v", err, s.Addr())
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

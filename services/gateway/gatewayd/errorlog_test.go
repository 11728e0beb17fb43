package gatewayd

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// lines collects a log; the HTTP server writes it from goroutines of its own.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// A handler that panics costs its own request, and operators hear of it; what clients do wrong they do not hear.
func TestPanicsOfHandlersAreLogged(t *testing.T) {
	var out lines
	mux := http.NewServeMux()
	mux.HandleFunc("/panics", func(http.ResponseWriter, *http.Request) { panic("boom") })
	s := httptest.NewUnstartedServer(nil)
	s.Config = newHTTPServer(mux, slog.New(slog.NewTextHandler(&out, nil)))
	s.Start()
	if _, err := s.Client().Get(s.URL + "/panics"); err == nil {
		t.Error("the panic was answered")
	}
	res, err := s.Client().Get(s.URL + "/other")
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil {
		t.Fatal(err)
	}
	s.Close() // and with it the goroutines that log
	s.Config.ErrorLog.Print("http: TLS handshake error from a client")
	out.mu.Lock()
	defer out.mu.Unlock()
	if got := out.b.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "level=ERROR") || !strings.Contains(got, "boom") {
		t.Errorf("logged %q", got)
	}
}

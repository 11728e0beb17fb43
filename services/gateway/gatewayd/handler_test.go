package gatewayd_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// mount makes a gateway without a port, and a server with a route of its own around it.
func (d *deployment) mount() (*gatewayd.Service, *httptest.Server) {
	d.t.Helper()
	cfg := gatewayd.Defaults()
	cfg.NATS.URL, cfg.ServeClient = d.nats.URL(), false
	s, err := gatewayd.New(cfg, slog.New(slog.NewTextHandler(d.t.Output(), nil)), gatewayd.WithoutListener())
	if err != nil {
		d.t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", s.Handler())
	mux.HandleFunc("/own", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("own")) })
	server := httptest.NewServer(mux)
	d.t.Cleanup(server.Close)
	return s, server
}

func get(t *testing.T, url string) (status int, body string, header http.Header) {
	t.Helper()
	res, err := browser.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text), res.Header
}

func TestMounted(t *testing.T) {
	d := deploy(t)
	s, server := d.mount()
	idle := func(when string) {
		t.Helper()
		if status, _, header := get(t, server.URL+engineQuery+"polling"); status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
			t.Errorf("%s Run: status %d, Retry-After %q", when, status, header.Get("Retry-After"))
		}
		if status, body, _ := get(t, server.URL+"/own"); status != http.StatusOK || body != "own" {
			t.Errorf("%s Run the program's own route answers %d %q", when, status, body)
		}
	}
	idle("before")

	g := d.run(s)
	g.mounted, g.keeps = server.Listener.Addr().String(), true
	g.awaitReady()
	if g.Addr() != nil {
		t.Errorf("a gateway without a port is at %s", g.Addr())
	}
	ann, bob := g.dial().enter("/", "{}"), g.poll().enter("/", "{}")
	bob.emit(`"chat message"`, `"hello"`)
	for _, s := range []*socket{ann, bob} {
		if event := s.event(); !strings.HasPrefix(event, `["chat message","hello",`) {
			t.Errorf("heard %s", event)
		}
	}

	g.stop()
	ann.wantOver()
	bob.wantOver()
	idle("after")
}

func TestMountedBesideOwnRoutesOnly(t *testing.T) {
	_, server := deploy(t).mount()
	for path, want := range map[string]int{"/own": http.StatusOK, "/": http.StatusNotFound, "/auth/login": http.StatusNotFound} {
		if status, _, _ := get(t, server.URL+path); status != want {
			t.Errorf("%s: status %d, want %d", path, status, want)
		}
	}
}

// What is said of the defaults holds: they need no file and open no port for others.
func TestDefaults(t *testing.T) {
	cfg := gatewayd.Defaults()
	if err := cfg.Validate(); err != nil {
		t.Errorf("the defaults cannot work: %v", err)
	}
	if cfg.Health.Listen != "" || cfg.Path != "/socket.io/" || cfg.RecoveryWindow == 0 {
		t.Errorf("health at %q, path %q, recovery window %s", cfg.Health.Listen, cfg.Path, cfg.RecoveryWindow)
	}
}

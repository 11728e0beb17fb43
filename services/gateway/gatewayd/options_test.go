package gatewayd_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/natter-io/natter/pkg/kit/config"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// TestSocketIONamesInTheFile: as they stand in a Socket.IO server's options, and as they stood before.
func TestSocketIONamesInTheFile(t *testing.T) {
	t.Parallel()
	for yaml, change := range map[string]func(*gatewayd.Settings){
		"cookie: io":    func(s *gatewayd.Settings) { s.Cookie = "io" },
		"cookie: true":  func(s *gatewayd.Settings) { s.Cookie = "io" },
		"cookie: false": func(*gatewayd.Settings) {},
		"cookie: {name: lb, path: /x, httpOnly: false, sameSite: none, secure: true, maxAge: 60s, domain: a.example, partitioned: true}": func(s *gatewayd.Settings) {
			s.Cookie = "lb"
			s.CookieOptions = gatewayd.CookieOptions{Path: "/x", Domain: "a.example", MaxAge: time.Minute, SameSite: "none", Secure: true, Partitioned: true}
		},
		"cookie: {path: /x}":     func(s *gatewayd.Settings) { s.Cookie, s.CookieOptions.Path = "io", "/x" },
		"httpCompression: false": func(s *gatewayd.Settings) { s.HTTPCompression = false },
		"httpCompression: {threshold: 4096}": func(s *gatewayd.Settings) {
			s.HTTPCompression, s.HTTPCompressionOptions.Threshold = true, 4096
		},
		"perMessageDeflate: true": func(s *gatewayd.Settings) { s.PerMessageDeflate = true },
		"perMessageDeflate: {threshold: 0}": func(s *gatewayd.Settings) {
			s.PerMessageDeflate, s.PerMessageDeflateOptions.Threshold = true, 0
		},
		"cors: {origin: 'https://a.example', methods: [GET], allowedHeaders: [x-a], exposedHeaders: [x-b], credentials: true, maxAge: 1m, optionsSuccessStatus: 200}": func(s *gatewayd.Settings) {
			s.CORS = gatewayd.CORSOptions{
				Origin: []string{"https://a.example"}, Methods: []string{"GET"}, AllowedHeaders: []string{"x-a"}, ExposedHeaders: []string{"x-b"},
				Credentials: true, MaxAge: time.Minute, OptionsSuccessStatus: 200,
			}
		},
		"corsOrigin: [a, b]\ncorsCredentials: true": func(s *gatewayd.Settings) { s.CORS.Origin, s.CORS.Credentials = []string{"a", "b"}, true },
		"path: /x\naddTrailingSlash: false":         func(s *gatewayd.Settings) { s.Path, s.AddTrailingSlash = "/x", false },
		"transports: [polling]":                     func(s *gatewayd.Settings) { s.Transports = []string{"polling"} },
		"allowUpgrades: false":                      func(s *gatewayd.Settings) { s.AllowUpgrades = false },
		"pingInterval: 1s\npingTimeout: 2s\nupgradeTimeout: 3s\nconnectTimeout: 4s\nmaxHttpBufferSize: 1e5\nserveClient: false": func(s *gatewayd.Settings) {
			s.PingInterval, s.PingTimeout, s.UpgradeTimeout, s.ConnectTimeout = time.Second, 2*time.Second, 3*time.Second, 4*time.Second
			s.MaxHTTPBufferSize, s.ServeClient = 1e5, false
		},
	} {
		file := filepath.Join(t.TempDir(), "gateway.yaml")
		if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		load := func(args ...string) (all struct{ gatewayd.Settings }) {
			t.Helper()
			// Without Validate: the origins are made up.
			plain := struct {
				S gatewayd.Settings `embed:""`
			}{}
			if err := config.Load("x", "", args, &plain, config.Environ(nil)); err != nil && !strings.Contains(err.Error(), "cors.") {
				t.Fatalf("%s: %v", yaml, err)
			}
			all.Settings = plain.S
			return all
		}
		want := load()
		change(&want.Settings)
		if got := load("--config", file); !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", yaml, got, want)
		}
	}
}

// TestPathWithoutItsSlash: what clients with addTrailingSlash: false ask for.
func TestPathWithoutItsSlash(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway(func(c *gatewayd.Config) { c.Path, c.AddTrailingSlash = "/live", false })
	for _, path := range []string{"/live?EIO=4&transport=polling", "/live/?EIO=4&transport=polling"} {
		if res, body := g.do("GET", path, ""); res.StatusCode != 200 || !strings.HasPrefix(body, "0{") {
			t.Errorf("%s: %d %s", path, res.StatusCode, body)
		}
	}
	if res, _ := g.do("GET", "/lively?EIO=4&transport=polling", ""); res.StatusCode != 404 {
		t.Errorf("another path: %d", res.StatusCode)
	}
}

// TestBundlesForOtherOrigins: a page that may connect may load the client as a module.
func TestBundlesForOtherOrigins(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway(func(c *gatewayd.Config) { c.ServeClient, c.CORS.Origin = true, []string{"https://*.example.com"} })
	for origin, want := range map[string]string{"https://app.example.com": "https://app.example.com", "https://example.org": ""} {
		res, _ := g.do("GET", "/socket.io/socket.io.esm.min.js", "", "Origin", origin)
		if got := res.Header.Get("Access-Control-Allow-Origin"); got != want {
			t.Errorf("%s is answered %q", origin, got)
		}
	}
}

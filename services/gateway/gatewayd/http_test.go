package gatewayd_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/natter-io/natter/pkg/engineio"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// do makes an HTTP request; header holds names and values in turn.
func (g *gateway) do(method, path, body string, header ...string) (*http.Response, string) {
	g.t.Helper()
	req, err := http.NewRequest(method, g.url("http", path), strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := browser.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return res, string(data)
}

const (
	login    = "/auth/login"
	jsonBody = "application/json"
)

func TestSignInIsForwarded(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	asked := make(chan map[string]string, 10)
	d.serve("natter.auth.login", func(m *nats.Msg) string {
		var q map[string]string
		if err := json.Unmarshal(m.Data, &q); err != nil {
			t.Errorf("asked %s: %v", m.Data, err)
		}
		asked <- q
		return q["password"]
	})
	for _, c := range []struct {
		reply  string
		status int
	}{
		{`{"ok":true,"token":"<&>","user":"u1","name":"Ann","roles":[],"expires":"2030-01-01T00:00:00Z"}`, 200},
		{`{"ok":false,"code":"unauthorized","message":"m"}`, 401},
		{`{"ok":false,"code":"forbidden","message":"m"}`, 403},
		{`{"ok":false,"code":"invalid","message":"m"}`, 400},
		{`{"ok":false,"code":"rate_limited","message":"m"}`, 429},
		{`{"ok":false,"code":"unavailable","message":"m"}`, 503},
		{`{"ok":false,"code":"something new","message":"m"}`, 500},
		{`{}`, 500},
		{`not JSON`, 502},
		{`[]`, 502},
	} {
		body, err := json.Marshal(map[string]string{"name": "Ann", "password": c.reply, "address": "forged", "extra": "x"})
		if err != nil {
			t.Fatal(err)
		}
		res, got := g.do("POST", login, string(body), "Content-Type", jsonBody+"; charset=utf-8", "X-Forwarded-For", "8.8.8.8")
		if res.StatusCode != c.status || c.status != 502 && got != c.reply {
			t.Errorf("%s became %d %s", c.reply, res.StatusCode, got)
		}
		var any map[string]any
		if json.Unmarshal([]byte(got), &any) != nil || !strings.HasPrefix(res.Header.Get("Content-Type"), jsonBody) ||
			res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s became %v %s", c.reply, res.Header, got)
		}
		q := recv(t, "the question", asked)
		if len(q) != 3 || q["name"] != "Ann" || q["password"] != c.reply || q["address"] != "127.0.0.1" {
			t.Errorf("the auth service was asked %v", q)
		}
	}
}

func TestSignInRefusesWhatIsNoSignIn(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	asked := d.listen("natter.auth.login")
	good := `{"name":"a","password":"b"}`
	for _, c := range []struct {
		name, method, body, contentType string
		status                          int
	}{
		{"GET", "GET", "", jsonBody, 405},
		{"PUT", "PUT", good, jsonBody, 405},
		{"OPTIONS", "OPTIONS", "", "", 405},
		{"form", "POST", "name=a&password=b", "application/x-www-form-urlencoded", 415},
		{"text", "POST", good, "text/plain", 415},
		{"no type", "POST", good, "", 415},
		{"almost the type", "POST", good, "application/jsonp", 415},
		{"too large", "POST", `{"name":"` + strings.Repeat("a", 5000) + `"}`, jsonBody, 413},
		{"not JSON", "POST", `name`, jsonBody, 400},
		{"empty", "POST", ``, jsonBody, 400},
		{"array", "POST", `[]`, jsonBody, 400},
		{"number for the name", "POST", `{"name":1,"password":"b"}`, jsonBody, 400},
	} {
		res, body := g.do(c.method, login, c.body, "Content-Type", c.contentType)
		if res.StatusCode != c.status || !strings.HasPrefix(body, `{"ok":false,"code":"invalid"`) {
			t.Errorf("%s: %d %s, want %d", c.name, res.StatusCode, body, c.status)
		}
		if res.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: open to other origins", c.name)
		}
	}
	if len(asked) > 0 {
		t.Fatalf("the auth service was asked %s", (<-asked).Data)
	}
}

func TestSignInWithoutAnAuthService(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway()
	res, body := g.do("POST", login, `{"name":"a","password":"b"}`, "Content-Type", jsonBody)
	if res.StatusCode != 503 || !strings.HasPrefix(body, `{"ok":false,"code":"unavailable"`) {
		t.Fatalf("%d %s", res.StatusCode, body)
	}
}

// bundles makes a folder that looks like the installed client.
func bundles(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	dist := filepath.Join(dir, "dist")
	if err := os.Mkdir(dist, 0o755); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{filepath.Join(dir, "package.json"): `{"name":"socket.io-client","version":"4.8.4"}`}
	for _, name := range []string{"socket.io.js", "socket.io.min.js", "socket.io.esm.min.js", "socket.io.msgpack.min.js"} {
		files[filepath.Join(dist, name)] = "/* " + name + " */"
		files[filepath.Join(dist, name+".map")] = `{"version":3}`
	}
	for name, content := range files {
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dist
}

func TestPathsOfTheHTTPServer(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway(func(c *gatewayd.Config) { c.ServeClient, c.ClientDir = true, bundles(t) })
	bare := d.gateway()
	for _, c := range []struct {
		g            *gateway
		method, path string
		status       int
		body         string // the beginning
	}{
		{g, "GET", "/socket.io/socket.io.js", 200, "/* socket.io.js */"},
		{g, "GET", "/socket.io/socket.io.esm.min.js", 200, "/* socket.io.esm.min.js */"},
		{g, "GET", "/socket.io/socket.io.msgpack.min.js.map", 200, `{"version":3}`},
		{g, "GET", "/socket.io/secret.js", 400, `{"code":0,"message":"Transport unknown"}`},
		{g, "GET", "/socket.io/../../package.json", 404, ""},
		{g, "GET", "/socket.io/%2e%2e/package.json", 400, `{"code":0,`},
		{g, "GET", "/socket.io/?EIO=4&transport=polling", 200, `0{"sid":"`},
		{g, "GET", "/socket.io/any/thing?EIO=4&transport=polling", 200, `0{"sid":"`},
		{g, "GET", "/socket.io/?EIO=4&transport=__proto__", 400, `{"code":0,`},
		{g, "GET", "/socket.io/?EIO=4&transport=constructor", 400, `{"code":0,`},
		{g, "GET", "/socket.io/?EIO=3&transport=polling", 400, `{"code":5,`},
		{g, "POST", "/socket.io/?EIO=4&transport=polling", 400, `{"code":2,`},
		{g, "GET", "/socket.io/?EIO=4&transport=polling&sid=nobody", 400, `{"code":1,`},
		{g, "GET", "/", 200, "<!"},
		{g, "GET", "/tutorial/", 200, "<!"},
		{g, "GET", "/admin/", 200, "<!"},
		{g, "GET", "/nothing", 404, ""},
		{g, "POST", "/", 405, ""},
		{g, "GET", "/.git/config", 404, ""},
		{bare, "GET", "/socket.io/socket.io.js", 400, `{"code":0,`},
		{bare, "GET", "/metrics", 404, ""},
	} {
		res, body := c.g.do(c.method, c.path, "")
		if res.StatusCode != c.status || !strings.HasPrefix(body, c.body) {
			t.Errorf("%s %s: %d %.60s, want %d %s", c.method, c.path, res.StatusCode, body, c.status, c.body)
		}
		if !strings.HasPrefix(c.path, "/socket.io/") {
			h := res.Header
			if h.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'self'") || h.Get("X-Frame-Options") != "DENY" {
				t.Errorf("%s: headers %v", c.path, h)
			}
		}
	}
}

func TestOtherOriginsAreNotLetInByDefault(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	for _, c := range []struct {
		g             *gateway
		origin, allow string
	}{
		{d.gateway(), "https://elsewhere.example", ""},
		{d.gateway(func(c *gatewayd.Config) { c.CORS.Origin = []string{"https://app.example"} }), "https://app.example", "https://app.example"},
		{d.gateway(func(c *gatewayd.Config) { c.CORS.Origin = []string{"https://app.example"} }), "https://elsewhere.example", ""},
	} {
		res, _ := c.g.do("GET", engineQuery+"polling", "", "Origin", c.origin)
		if got := res.Header.Get("Access-Control-Allow-Origin"); got != c.allow && !(c.allow == "" && got != "*" && got != c.origin) {
			t.Errorf("origin %s is answered %q", c.origin, got)
		}
	}
}

// TestHugeRequestsAreRefused sends more than a client may.
func TestHugeRequestsAreRefused(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway(func(c *gatewayd.Config) { c.MaxHTTPBufferSize = 10_000 })
	s := g.poll().enter("/", "")
	sid := s.link.(*pollLink).url[len(g.url("http", "")):]
	if res, body := g.do("POST", sid, strings.Repeat("x", 20_000)); res.StatusCode != 413 {
		t.Fatalf("%d %s", res.StatusCode, body)
	}
	s.wantAlive()
	if res, _ := g.do("GET", "/", "", "X-Large", strings.Repeat("x", 64<<10)); res.StatusCode != 431 {
		t.Fatalf("large headers: %d", res.StatusCode)
	}
	w := g.connect()
	// The gateway may have closed it before all of it is written.
	_ = w.link.write(engineio.Packet{Type: engineio.Message, Data: []byte(`2["chat message",` + quote(strings.Repeat("x", 20_000)) + `]`)})
	w.wantOver()
	s.wantAlive()
	wait(t, "the count of both", func() bool { return g.metric("natter_gateway_connections_closed_total", "too large") == 2 })
}

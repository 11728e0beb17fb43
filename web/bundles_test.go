package web

import (
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// install writes a folder as npm does, with the file's own name in every file.
func install(t testing.TB, version string) (dir string) {
	t.Helper()
	root := t.TempDir()
	dir = filepath.Join(root, "dist")
	write(t, filepath.Join(root, "package.json"), `{"name":"socket.io-client","version":"`+version+`"}`)
	for _, name := range bundleNames {
		write(t, filepath.Join(dir, name), "// "+name)
		write(t, filepath.Join(dir, name+".map"), `{"file":"`+name+`"}`)
	}
	return dir
}

func write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestBundles(t *testing.T) {
	t.Parallel()
	h, err := Bundles(install(t, "4.8.1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range bundleNames {
		for file, contentType := range map[string]string{
			name:          "application/javascript; charset=utf-8",
			name + ".map": "application/json; charset=utf-8",
		} {
			r := get(t, h, "/socket.io/"+file)
			if r.StatusCode != 200 || r.Header.Get("Content-Type") != contentType {
				t.Errorf("%s: status %d, content type %q", file, r.StatusCode, r.Header.Get("Content-Type"))
			}
			if got := r.Header.Get("ETag"); got != `"4.8.1"` {
				t.Errorf("%s: ETag %s", file, got)
			}
			if got := r.Header.Get("Cache-Control"); got != "public, max-age=0" {
				t.Errorf("%s: Cache-Control %s", file, got)
			}
			if got := body(t, r); !strings.Contains(got, name) {
				t.Errorf("%s: body %q", file, got)
			}
		}
	}
}

func TestBundlesRevalidate(t *testing.T) {
	t.Parallel()
	h, err := Bundles(install(t, "4.8.1"))
	if err != nil {
		t.Fatal(err)
	}
	for given, want := range map[string]int{
		`"4.8.1"`: 304, `W/"4.8.1"`: 304, `"1", W/"4.8.1"`: 304, `*`: 304,
		`"4.8.0"`: 200, `4.8.1`: 200, `W/"4.8.0"`: 200,
	} {
		r := get(t, h, "/socket.io/socket.io.js", "If-None-Match", given)
		if r.StatusCode != want {
			t.Errorf("If-None-Match %s: status %d, want %d", given, r.StatusCode, want)
		}
		if want == 304 && body(t, r) != "" {
			t.Errorf("If-None-Match %s: a 304 with a body", given)
		}
	}
}

func TestBundlesCompress(t *testing.T) {
	t.Parallel()
	h, err := Bundles(install(t, "4.8.1"))
	if err != nil {
		t.Fatal(err)
	}
	for given, want := range map[string]bool{
		"gzip": true, "br, gzip;q=0.8": true, "GZIP": true, "gzip; q=1.0": true,
		"": false, "br": false, "gzip;q=0": false, "gzip; q=0.0": false, "identity": false,
	} {
		r := get(t, h, "/socket.io/socket.io.js", "Accept-Encoding", given)
		if got := r.Header.Get("Content-Encoding") == "gzip"; got != want {
			t.Errorf("Accept-Encoding %q: gzip %v, want %v", given, got, want)
		}
	}
	unzip, err := gzip.NewReader(get(t, h, "/socket.io/socket.io.js", "Accept-Encoding", "gzip").Body)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(unzip); err != nil || string(text) != "// socket.io.js" {
		t.Errorf("unzipped: %q, %v", text, err)
	}
}

func TestBundlesRefuse(t *testing.T) {
	t.Parallel()
	h, err := Bundles(install(t, "4.8.1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"/socket.io/", "/socket.io/socket.io.slim.js", "/socket.io/package.json", "/socket.io/..%2fpackage.json", "/socket.io/socket.io.js.map.map"} {
		r := get(t, h, target)
		if got := body(t, r); r.StatusCode != 400 || got != `{"code":0,"message":"Transport unknown"}` {
			t.Errorf("%s: status %d, body %s", target, r.StatusCode, got)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/socket.io/socket.io.js", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: status %d", w.Code)
	}
	w = httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodHead, "/socket.io/socket.io.js", nil))
	if w.Code != http.StatusOK || w.Body.Len() != 0 || w.Header().Get("Content-Length") == "" {
		t.Errorf("HEAD: status %d, %d bytes", w.Code, w.Body.Len())
	}
}

func TestBundlesMissing(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "socket.io-client", "dist")
	h, err := Bundles(dir)
	if !errors.Is(err, ErrNoBundles) || !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("error %v", err)
	}
	check := func(text string) {
		t.Helper()
		if strings.Contains(strings.TrimSpace(text), "\n") || !strings.Contains(text, "npm ci --prefix web") || !strings.Contains(text, filepath.Dir(dir)) {
			t.Errorf("not one line that says what is missing, where, and how to get it: %q", text)
		}
	}
	check(err.Error())
	r := get(t, h, "/socket.io/socket.io.js")
	if r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("status %d, want 503", r.StatusCode)
	}
	check(body(t, r))
	if r := get(t, h, "/socket.io/other.js"); r.StatusCode != http.StatusBadRequest {
		t.Errorf("unknown file: status %d, want 400", r.StatusCode)
	}

	// npm brings them while the gateway runs.
	if err := os.Rename(filepath.Dir(install(t, "4.8.1")), filepath.Dir(dir)); err != nil {
		t.Fatal(err)
	}
	if r := get(t, h, "/socket.io/socket.io.js"); r.StatusCode != http.StatusOK {
		t.Errorf("after the installation: status %d, want 200", r.StatusCode)
	}
}

func TestBundlesIncomplete(t *testing.T) {
	t.Parallel()
	dir := install(t, "4.8.1")
	if err := os.Remove(filepath.Join(dir, "socket.io.msgpack.min.js.map")); err != nil {
		t.Fatal(err)
	}
	if _, err := Bundles(dir); !errors.Is(err, ErrNoBundles) || !strings.Contains(err.Error(), "msgpack.min.js.map") {
		t.Errorf("error %v", err)
	}
	dir = install(t, "")
	if _, err := Bundles(dir); !errors.Is(err, ErrNoBundles) || !strings.Contains(err.Error(), "version") {
		t.Errorf("error %v", err)
	}
}

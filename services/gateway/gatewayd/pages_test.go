package gatewayd

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPagesOfOnesOwn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{"site/index.html": "my page", "site/sub/a.txt": "a file", "secret.txt": "a secret"} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	h := pages(filepath.Join(dir, "site"), "default", true)
	for path, want := range map[string]string{
		"/":              "my page",
		"/sub/a.txt":     "a file",
		"/tutorial/":     "<form",
		"/sub/":          "page not found",
		"/sub":           "page not found",
		"/../secret.txt": "page not found",
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.Path = path
		h.ServeHTTP(w, r)
		if body := w.Body.String(); !strings.Contains(body, want) || strings.Contains(body, "a secret") {
			t.Errorf("%s: %d %.80q; want %q", path, w.Code, body, want)
		}
	}
}

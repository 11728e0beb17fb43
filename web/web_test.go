package web

import (
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"testing"
)

func get(t testing.TB, h http.Handler, target string, headers ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, target, nil)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t testing.TB, r *http.Response) string {
	t.Helper()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestPages(t *testing.T) {
	t.Parallel()
	h := Handler(DefaultBundle)
	for target, want := range map[string]struct {
		status      int
		contentType string
	}{
		"/":                   {200, "text/html; charset=utf-8"},
		"/main.js":            {200, "text/javascript; charset=utf-8"},
		"/chat.css":           {200, "text/css; charset=utf-8"},
		"/admin/":             {200, "text/html; charset=utf-8"},
		"/admin/main.js":      {200, "text/javascript; charset=utf-8"},
		"/tutorial/":          {200, "text/html; charset=utf-8"},
		"/shared/base.css":    {200, "text/css; charset=utf-8"},
		"/shared/favicon.svg": {200, "image/svg+xml"},
		"/admin":              {301, ""},
		"/chat/":              {404, "text/plain; charset=utf-8"},
		"/index.html":         {404, "text/plain; charset=utf-8"},
		"/shared/":            {404, "text/plain; charset=utf-8"},
		"/web.go":             {404, "text/plain; charset=utf-8"},
		"/../web.go":          {404, "text/plain; charset=utf-8"},
	} {
		r := get(t, h, target)
		if r.StatusCode != want.status {
			t.Errorf("%s: status %d, want %d", target, r.StatusCode, want.status)
		}
		if got := r.Header.Get("Content-Type"); want.contentType != "" && got != want.contentType {
			t.Errorf("%s: content type %q, want %q", target, got, want.contentType)
		}
		if got := r.Header.Get("X-Content-Type-Options"); got != "nosniff" {
			t.Errorf("%s: X-Content-Type-Options %q", target, got)
		}
		for _, part := range []string{"default-src 'self'", "frame-ancestors 'none'", "connect-src 'self' ws://example.com wss://example.com"} {
			if got := r.Header.Get("Content-Security-Policy"); !strings.Contains(got, part) {
				t.Errorf("%s: policy %q lacks %q", target, got, part)
			}
		}
	}
	if got := get(t, h, "/admin").Header.Get("Location"); got != "/admin/" {
		t.Errorf("/admin leads to %q", got)
	}
}

func TestPagesWithoutChat(t *testing.T) {
	t.Parallel()
	h := HandlerWithoutChat(DefaultBundle)
	for target, want := range map[string]int{"/": 404, "/main.js": 404, "/tutorial/": 404, "/tutorial": 404, "/admin/": 200, "/shared/base.css": 200} {
		if r := get(t, h, target); r.StatusCode != want {
			t.Errorf("%s: status %d, want %d", target, r.StatusCode, want)
		}
	}
}

func TestPagesAreRevalidated(t *testing.T) {
	t.Parallel()
	h := Handler(DefaultBundle)
	first := get(t, h, "/")
	etag := first.Header.Get("ETag")
	if etag == "" || first.Header.Get("Cache-Control") != "no-cache" {
		t.Fatalf("ETag %q, Cache-Control %q", etag, first.Header.Get("Cache-Control"))
	}
	if r := get(t, h, "/", "If-None-Match", etag); r.StatusCode != http.StatusNotModified {
		t.Errorf("same ETag: status %d, want 304", r.StatusCode)
	}
	if r := get(t, h, "/", "If-None-Match", `"other"`); r.StatusCode != http.StatusOK {
		t.Errorf("other ETag: status %d, want 200", r.StatusCode)
	}
}

func TestPagesRefuseOtherMethods(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	Handler(DefaultBundle).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", nil))
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: status %d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
}

// A Host header is the client's: it must not be able to add a directive to the policy.
func TestPolicyKeepsForeignHostsOut(t *testing.T) {
	t.Parallel()
	for host, allowed := range map[string]bool{
		"chat.example:8443": true, "[::1]:3000": true, "10.0.0.1": true,
		"a; script-src *": false, "a b": false, "a,b": false, "é": false, "": false,
	} {
		h := http.Header{}
		secure(h, host)
		got := h.Get("Content-Security-Policy")
		if want := "connect-src 'self' ws://" + host + " wss://" + host; strings.Contains(got, want) != allowed {
			t.Errorf("host %q: %s", host, got)
		}
		if !allowed && !strings.HasSuffix(got, "connect-src 'self'") {
			t.Errorf("host %q: %s", host, got)
		}
	}
}

// Every path that a page, a module or a style sheet names must be served, or the page breaks in the
// browser only.
func TestReferencesAreServed(t *testing.T) {
	t.Parallel()
	h := Handler(DefaultBundle)
	references := regexp.MustCompile(`(?:src|href)="([^"#:]+)"|from "([^"]+)"|import\(["']([^"']+)["']\)|url\("?([^")]+)"?\)`)
	checked := 0
	eachFile(t, func(name, text string) {
		for _, match := range references.FindAllStringSubmatch(text, -1) {
			target := strings.Join(match[1:], "")
			if strings.HasPrefix(target, "/socket.io/") {
				continue
			}
			if !strings.HasPrefix(target, "/") {
				target = path.Join(path.Dir(urlPath(name)), target)
			}
			checked++
			if r := get(t, h, target); r.StatusCode != http.StatusOK {
				t.Errorf("%s names %s: status %d", name, target, r.StatusCode)
			}
		}
	})
	if checked < 20 {
		t.Errorf("only %d references found: does the expression still fit?", checked)
	}
}

// What the policy would block in the browser, and what would turn text into markup.
func TestNothingInline(t *testing.T) {
	t.Parallel()
	inline := regexp.MustCompile(`(?i)<script(?:>|[^>]*[^>]>[^<])|<style|\sstyle="|\son[a-z]+="|javascript:`)
	sinks := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|setHTMLUnsafe`)
	eachFile(t, func(name, text string) {
		if path.Ext(name) == ".html" {
			if found := inline.FindString(text); found != "" {
				t.Errorf("%s: inline %q", name, found)
			}
		}
		if found := sinks.FindString(text); found != "" {
			t.Errorf("%s: %s", name, found)
		}
	})
}

func eachFile(t *testing.T, visit func(name, text string)) {
	t.Helper()
	err := fs.WalkDir(Files(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(Files(), name)
		visit(name, string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestPagesLoadTheBundle looks for the script that each page begins with.
func TestPagesLoadTheBundle(t *testing.T) {
	t.Parallel()
	for _, bundle := range []string{DefaultBundle, MsgpackBundle} {
		h := Handler(bundle)
		for _, target := range []string{"/", "/admin/", "/tutorial/"} {
			text := body(t, get(t, h, target))
			if strings.Count(text, `src="/socket.io/`) != 1 || !strings.Contains(text, `src="/socket.io/`+bundle+`"`) {
				t.Errorf("%s does not load %s", target, bundle)
			}
		}
	}
}

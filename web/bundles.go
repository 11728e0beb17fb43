package web

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
)

// ErrNoBundles says that the stock client's files are not on disk. The gateway works without them: clients
// that bring their own copy do not need them, the pages do.
var ErrNoBundles = errors.New("the Socket.IO client bundles are not installed")

// DefaultBundles is where npm puts the bundles, from the top of the repository.
const DefaultBundles = "web/node_modules/socket.io-client/dist"

// bundleNames are the files that a Socket.IO server gives to browsers
// (https://socket.io/docs/v4/client-installation/#standalone-build), each with its source map.
var bundleNames = []string{"socket.io.js", "socket.io.min.js", "socket.io.esm.min.js", "socket.io.msgpack.min.js"}

// IsBundle says whether a URL path under the Socket.IO path asks for a client bundle or its source map, so
// that it is for [Bundles] and not for a transport.
func IsBundle(urlPath string) bool {
	name := strings.TrimSuffix(path.Base(urlPath), ".map")
	for _, bundle := range bundleNames {
		if name == bundle {
			return true
		}
	}
	return false
}

// Bundles serves the stock client's files from dir, the folder dist of the npm package socket.io-client. Only
// the last element of the URL path counts. The ETag is the client's version, as a Socket.IO server has it.
//
// The handler is usable even if the error is not nil: the error wraps [ErrNoBundles] and says what is
// missing and how to get it; until the files are there browsers are told the same with status 503.
func Bundles(dir string) (http.Handler, error) {
	b := &bundles{dir: dir}
	_, err := b.get()
	return b, err
}

type bundle struct {
	contentType string
	etag        string
	body        []byte
	zipped      []byte
}

type bundles struct {
	dir string

	mu     sync.Mutex
	loaded map[string]bundle // by file name; nil until all were read
}

func (b *bundles) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if !IsBundle(r.URL.Path) {
		// What a Socket.IO server says to any request under its path that names no transport.
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"code":0,"message":"Transport unknown"}`))
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	files, err := b.get()
	if err != nil {
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	files[path.Base(r.URL.Path)].serve(w, r)
}

func (f bundle) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("ETag", f.etag)
	h.Set("Cache-Control", "public, max-age=0")
	h.Add("Vary", "Accept-Encoding")
	if matches(r.Header.Get("If-None-Match"), f.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", f.contentType)
	body := f.body
	if acceptsGzip(r.Header.Get("Accept-Encoding")) {
		h.Set("Content-Encoding", "gzip")
		body = f.zipped
	}
	h.Set("Content-Length", fmt.Sprint(len(body)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(body)
	}
}

// get reads the files once. As long as they are missing it looks again at every request, so that npm can
// bring them while the gateway runs.
func (b *bundles) get() (map[string]bundle, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.loaded != nil {
		return b.loaded, nil
	}
	loaded, err := readBundles(b.dir)
	if err != nil {
		return nil, fmt.Errorf("%w: %w; get them with: npm ci --prefix web, or name their folder by clientDir (--client-dir)", ErrNoBundles, err)
	}
	b.loaded = loaded
	return loaded, nil
}

func readBundles(dir string) (map[string]bundle, error) {
	manifest := filepath.Join(dir, "..", "package.json")
	text, err := os.ReadFile(manifest)
	if err != nil {
		return nil, err
	}
	var about struct{ Version string }
	if err := json.Unmarshal(text, &about); err != nil || about.Version == "" {
		return nil, fmt.Errorf("%s: has no version", manifest)
	}
	files := map[string]bundle{}
	for _, name := range bundleNames {
		for name, contentType := range map[string]string{
			name:          "application/javascript; charset=utf-8",
			name + ".map": "application/json; charset=utf-8",
		} {
			body, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				return nil, err
			}
			files[name] = bundle{contentType, `"` + about.Version + `"`, body, zip(body)}
		}
	}
	return files, nil
}

func zip(body []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(body) // a bytes.Buffer takes everything
	_ = w.Close()
	return out.Bytes()
}

// matches compares If-None-Match with an ETag, weakly: RFC 9110, section 13.1.2.
func matches(ifNoneMatch, etag string) bool {
	for candidate := range strings.SplitSeq(ifNoneMatch, ",") {
		candidate = strings.TrimSpace(candidate)
		if candidate == "*" || strings.TrimPrefix(candidate, "W/") == etag {
			return true
		}
	}
	return false
}

// acceptsGzip reads Accept-Encoding as far as it is needed: RFC 9110, section 12.5.3. gzip;q=0 refuses it.
func acceptsGzip(header string) bool {
	for coding := range strings.SplitSeq(header, ",") {
		name, weight, _ := strings.Cut(strings.TrimSpace(coding), ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			weight = strings.TrimRight(strings.TrimPrefix(strings.ReplaceAll(weight, " ", ""), "q="), "0.")
			return weight != "" || !strings.Contains(coding, "=")
		}
	}
	return false
}

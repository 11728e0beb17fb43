// Package web holds the pages that the gateway serves: the chat page at /, the admin page at /admin/ and
// the tutorial's page at /tutorial/, with what they share under /shared/. It also serves the stock client
// bundles from disk ([Bundles]). It knows files and HTTP headers; it knows nothing of Socket.IO, NATS or
// who is signed in. Every page talks to the gateway as any client on the outside could.
package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed chat admin tutorial shared
var embedded embed.FS

// Files are the pages as they lie in this folder: chat/, admin/, tutorial/ and shared/.
func Files() fs.FS { return embedded }

// Handler serves the pages, which load the client from a bundle, one of [Bundles] that makes a global io. It
// answers 404 to what is no page, so that it can stand behind everything else on "/". It is safe for
// concurrent use.
func Handler(bundle string) http.Handler {
	return newPages(embedded, bundle, "chat", "tutorial", "admin", "shared")
}

// HandlerWithoutChat is [Handler] without the chat and the tutorial's page, whose namespace somebody else has.
func HandlerWithoutChat(bundle string) http.Handler {
	return newPages(embedded, bundle, "admin", "shared")
}

// The bundles that the pages can load.
const (
	DefaultBundle = "socket.io.js"
	MsgpackBundle = "socket.io.msgpack.min.js"
)

// contentTypes are all the types that the pages consist of. The system's own table is not asked: it differs
// from machine to machine, and with nosniff a wrong type means a dead page.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

type page struct {
	body        []byte
	contentType string
	etag        string
}

type pages map[string]page // by URL path; a folder's index.html stands under the folder

func newPages(files fs.FS, bundle string, folders ...string) pages {
	all := pages{}
	for _, folder := range folders {
		if err := all.add(files, folder, bundle); err != nil {
			panic(err) // the files are compiled in: a mistake of the build, which every test of this package sees
		}
	}
	return all
}

// add takes the files of a folder.
func (p pages) add(files fs.FS, folder, bundle string) error {
	return fs.WalkDir(files, folder, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		contentType, known := contentTypes[path.Ext(name)]
		if !known {
			return fmt.Errorf("web: %s: no content type for %q", name, path.Ext(name))
		}
		body, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		if contentType == contentTypes[".html"] {
			body = bytes.ReplaceAll(body, []byte(`src="/socket.io/`+DefaultBundle), []byte(`src="/socket.io/`+bundle))
		}
		sum := sha256.Sum256(body)
		p[urlPath(name)] = page{body, contentType, `"` + hex.EncodeToString(sum[:12]) + `"`}
		return nil
	})
}

// urlPath says where a file is served: the chat page's files at the root, the others under their folder.
func urlPath(name string) string {
	name = "/" + strings.TrimPrefix(name, "chat/")
	return strings.TrimSuffix(name, "index.html")
}

func (p pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header(), r.Host)
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	found, ok := p[r.URL.Path]
	if !ok {
		if _, folder := p[r.URL.Path+"/"]; folder {
			http.Redirect(w, r, r.URL.Path+"/", http.StatusMovedPermanently)
			return
		}
		http.Error(w, "page not found", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", found.contentType)
	w.Header().Set("ETag", found.etag)
	w.Header().Set("Cache-Control", "no-cache") // kept, but asked for every time: a new gateway means a new page
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(found.body))
}

package gatewayd

import (
	"io/fs"
	"net/http"
	"os"
	"path"
	"strings"

	"github.com/natter-io/natter/web"
)

// pages serves the built-in pages, with the client that speaks the gateway's parser, and before them those of a
// folder, if it is named. A folder without an index.html is not listed. Without the chat, its pages are not there.
func pages(dir, parserName string, chat bool) http.Handler {
	bundle := web.DefaultBundle
	if parserName == "msgpack" {
		bundle = web.MsgpackBundle
	}
	builtIn := web.Handler(bundle)
	if !chat {
		builtIn = web.HandlerWithoutChat(bundle)
	}
	if dir == "" {
		return builtIn
	}
	own := os.DirFS(dir)
	files := http.FileServerFS(own)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/")
		if strings.HasSuffix(r.URL.Path, "/") {
			name = path.Join(name, "index.html")
		}
		if info, err := fs.Stat(own, name); err != nil || info.IsDir() {
			builtIn.ServeHTTP(w, r)
			return
		}
		files.ServeHTTP(w, r)
	})
}

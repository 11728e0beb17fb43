package transport

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// CORS says which other origins' pages may use the server. The zero value allows none to read
// polling answers, and leaves WebSocket handshakes alone, to which browsers apply no CORS. With
// origins given, a WebSocket handshake from any other origin is refused as well.
type CORS struct {
	Origins     []string      // such as "https://example.com"; "*" allows all
	Credentials bool          // allow cookies; not with "*"
	MaxAge      time.Duration // how long browsers may remember a preflight answer; default: they decide
}

func (c CORS) validate() error {
	for _, o := range c.Origins {
		if o == "*" {
			if c.Credentials {
				return errors.New(`CORS origin "*" with credentials would let every site act for its visitors: list the origins`)
			}
			continue
		}
		u, err := url.Parse(o)
		if err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != o {
			return fmt.Errorf("CORS origin %q must be scheme://host[:port] or *", o)
		}
	}
	return nil
}

func (c CORS) enabled() bool { return len(c.Origins) > 0 }

func (c CORS) any() bool { return slices.Contains(c.Origins, "*") }

// header sets the answer's CORS header fields.
func (c CORS) header(h http.Header, origin string) {
	if !c.enabled() {
		return
	}
	if c.any() {
		h.Set("Access-Control-Allow-Origin", "*")
		return
	}
	h.Add("Vary", "Origin")
	if !slices.Contains(c.Origins, origin) {
		return
	}
	h.Set("Access-Control-Allow-Origin", origin)
	if c.Credentials {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
}

// preflight answers a browser's question whether it may send a request.
func (c CORS) preflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "GET,POST")
	h.Add("Vary", "Access-Control-Request-Headers")
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
		h.Set("Access-Control-Allow-Headers", asked)
	}
	if c.MaxAge > 0 {
		h.Set("Access-Control-Max-Age", strconv.Itoa(int(c.MaxAge.Seconds())))
	}
	w.WriteHeader(http.StatusNoContent)
}

// allowsWebSocket reports whether a WebSocket handshake may come from the request's origin.
func (c CORS) allowsWebSocket(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if !c.enabled() || c.any() || origin == "" || slices.Contains(c.Origins, origin) {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, r.Host)
}

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
	// Origins are such as "https://example.com", "https://*.example.com" for all hosts below it,
	// "http://localhost:*" for all ports; "*" allows all origins.
	Origins        []string
	Methods        []string      // that a page may use; default GET and POST
	AllowedHeaders []string      // that a page may send; default: what it asks for
	ExposedHeaders []string      // that a page may read
	Credentials    bool          // allow cookies; not with "*"
	MaxAge         time.Duration // how long browsers may remember a preflight answer; default: they decide
	Status         int           // of a preflight answer, 200 to 299; default 204
}

func (c CORS) validate() error {
	var errs []error
	for _, o := range c.Origins {
		if o == "*" {
			if c.Credentials {
				errs = append(errs, errors.New(`cors.origin: "*" with cors.credentials would let every site act for its visitors: list the origins`))
			}
			continue
		}
		pattern := parseOrigin(o)
		plain := pattern.scheme + "://" + pattern.host
		if u, err := url.Parse(plain); err != nil || pattern.scheme == "" || u.Hostname() == "" || u.Scheme+"://"+u.Host != plain || strings.Contains(plain, "*") {
			errs = append(errs, fmt.Errorf("cors.origin: %q is not scheme://host[:port], with *. before the host for all below it or * for any port; or *", o))
		}
	}
	for name, values := range map[string][]string{"methods": c.Methods, "allowedHeaders": c.AllowedHeaders, "exposedHeaders": c.ExposedHeaders} {
		for _, v := range values {
			if strings.Trim(v, tokenCharacters) != "" || v == "" {
				errs = append(errs, fmt.Errorf("cors.%s: %q has characters that it cannot have", name, v))
			}
		}
	}
	if c.MaxAge < 0 {
		errs = append(errs, fmt.Errorf("cors.maxAge: %s is negative", c.MaxAge))
	}
	if c.Status != 0 && (c.Status < 200 || c.Status > 299) {
		errs = append(errs, fmt.Errorf("cors.optionsSuccessStatus: %d is not from 200 to 299", c.Status))
	}
	return errors.Join(errs...)
}

// tokenCharacters are those of methods and header names, RFC 9110 section 5.6.2.
const tokenCharacters = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// originPattern is an origin, or all that differ from it as it says.
type originPattern struct {
	scheme, host string // the host with its port, unless any
	below        bool   // hosts that end with a dot and the host, and not the host itself
	anyPort      bool
}

func parseOrigin(s string) originPattern {
	var p originPattern
	p.scheme, p.host, _ = strings.Cut(s, "://")
	p.host, p.below = strings.CutPrefix(p.host, "*.")
	p.host, p.anyPort = strings.CutSuffix(p.host, ":*")
	return p
}

// matches reports whether an Origin header field names an origin of the pattern.
func (p originPattern) matches(origin string) bool {
	host, ok := strings.CutPrefix(origin, p.scheme+"://")
	if !ok {
		return false
	}
	if p.anyPort {
		if i := strings.LastIndexByte(host, ':'); i >= 0 && strings.Trim(host[i+1:], "0123456789") == "" {
			host = host[:i]
		}
	}
	if !p.below {
		return host == p.host
	}
	label, ok := strings.CutSuffix(host, "."+p.host)
	return ok && label != "" && strings.Trim(label, hostCharacters) == ""
}

const hostCharacters = "0123456789abcdefghijklmnopqrstuvwxyz-_."

func (c CORS) enabled() bool { return len(c.Origins) > 0 }

func (c CORS) any() bool { return slices.Contains(c.Origins, "*") }

// allows reports whether pages of the origin may use the server; "*" aside.
func (c CORS) allows(origin string) bool {
	return slices.ContainsFunc(c.Origins, func(o string) bool {
		return o == origin || strings.Contains(o, "*") && parseOrigin(o).matches(origin)
	})
}

// header sets the answer's CORS header fields.
func (c CORS) header(h http.Header, origin string) {
	if !c.enabled() {
		return
	}
	switch {
	case c.any():
		h.Set("Access-Control-Allow-Origin", "*")
	default:
		h.Add("Vary", "Origin")
		if !c.allows(origin) {
			return
		}
		h.Set("Access-Control-Allow-Origin", origin)
		if c.Credentials {
			h.Set("Access-Control-Allow-Credentials", "true")
		}
	}
	if len(c.ExposedHeaders) > 0 {
		h.Set("Access-Control-Expose-Headers", strings.Join(c.ExposedHeaders, ","))
	}
}

// preflight answers a browser's question whether it may send a request.
func (c CORS) preflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	methods := c.Methods
	if len(methods) == 0 {
		methods = []string{http.MethodGet, http.MethodPost}
	}
	h.Set("Access-Control-Allow-Methods", strings.Join(methods, ","))
	if len(c.AllowedHeaders) > 0 {
		h.Set("Access-Control-Allow-Headers", strings.Join(c.AllowedHeaders, ","))
	} else {
		h.Add("Vary", "Access-Control-Request-Headers")
		if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
			h.Set("Access-Control-Allow-Headers", asked)
		}
	}
	if c.MaxAge > 0 {
		h.Set("Access-Control-Max-Age", strconv.Itoa(int(c.MaxAge.Seconds())))
	}
	status := c.Status
	if status == 0 {
		status = http.StatusNoContent
	}
	w.WriteHeader(status)
}

// allowsWebSocket reports whether a WebSocket handshake may come from the request's origin.
func (c CORS) allowsWebSocket(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if !c.enabled() || c.any() || origin == "" || c.allows(origin) {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, r.Host)
}

// Handler serves next with the CORS header fields of the server's own answers, for what stands beside it.
func (c CORS) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.header(w.Header(), r.Header.Get("Origin"))
		next.ServeHTTP(w, r)
	})
}

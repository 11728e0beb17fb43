package gatewayd

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/natter-io/natter/pkg/kit/config"
	"github.com/natter-io/natter/services/gateway/internal/transport"
)

// HTTPCompressionOptions say which answers to polls are compressed.
type HTTPCompressionOptions struct {
	Threshold config.Bytes `default:"1KiB" help:"Size from which they are compressed." socketio:"httpCompression.threshold"`
}

// DeflateOptions say which WebSocket messages are compressed.
type DeflateOptions struct {
	Threshold config.Bytes `default:"1KiB" help:"Size from which they are compressed." socketio:"perMessageDeflate.threshold"`
}

// RecoveryOptions say how clients that come back are received.
type RecoveryOptions struct {
	RecoveryWindow time.Duration `name:"window" yaml:"maxDisconnectionDuration" default:"2m" help:"How long a client may be away for that." socketio:"connectionStateRecovery.maxDisconnectionDuration"`
}

// CookieName is the name of a cookie, as a setting: "true" stands for Socket.IO's default, io, and "false" for no
// cookie.
type CookieName string

// UnmarshalText reads the setting.
func (n *CookieName) UnmarshalText(text []byte) error {
	switch *n = CookieName(text); *n {
	case "true":
		*n = "io"
	case "false":
		*n = ""
	}
	return nil
}

// CookieOptions are the attributes of the cookie with the session id.
type CookieOptions struct {
	Path        string        `default:"/" help:"Path that the cookie is for." socketio:"cookie.path"`
	Domain      string        `help:"Domain that the cookie is for; empty: the host that set it." socketio:"cookie.domain"`
	MaxAge      time.Duration `default:"0s" help:"How long browsers keep it, in whole seconds; 0: until they are closed." socketio:"cookie.maxAge"`
	HTTPOnly    bool          `name:"http-only" default:"true" negatable:"" help:"Keep it from pages' scripts." socketio:"cookie.httpOnly"`
	SameSite    string        `default:"lax" enum:"lax,strict,none,false" help:"When other sites' pages send it; false leaves that to the browser." socketio:"cookie.sameSite"`
	Secure      bool          `help:"Send it over HTTPS alone." socketio:"cookie.secure"`
	Partitioned bool          `help:"Keep it apart for each site in which the page is embedded." socketio:"cookie.partitioned"`
}

var sameSites = map[string]http.SameSite{
	"lax": http.SameSiteLaxMode, "strict": http.SameSiteStrictMode, "none": http.SameSiteNoneMode, "false": 0,
}

func (o CookieOptions) validate() error {
	var errs []error
	if o.MaxAge < 0 || o.MaxAge%time.Second != 0 {
		errs = append(errs, fmt.Errorf("cookie.maxAge: %s is not a number of seconds from 0s on", o.MaxAge))
	}
	if _, ok := sameSites[o.SameSite]; !ok {
		errs = append(errs, fmt.Errorf("cookie.sameSite: %q is none of lax, strict, none, false", o.SameSite))
	}
	if o.SameSite == "none" && !o.Secure {
		errs = append(errs, errors.New("cookie.sameSite: none needs cookie.secure: browsers do not take the cookie otherwise"))
	}
	return errors.Join(errs...)
}

// cookie is what the transport sets, nil for none.
func (s Settings) cookie() *http.Cookie {
	if s.Cookie == "" {
		return nil
	}
	o := s.CookieOptions
	return &http.Cookie{
		Name: string(s.Cookie), Path: o.Path, Domain: o.Domain, MaxAge: int(o.MaxAge / time.Second),
		HttpOnly: o.HTTPOnly, SameSite: sameSites[o.SameSite], Secure: o.Secure, Partitioned: o.Partitioned,
	}
}

// CORSOptions say which pages of other origins may use the gateway, and how.
type CORSOptions struct {
	Origin               []string      `help:"Other origins whose pages may connect, such as https://example.com, https://*.example.com for all below it, http://localhost:* for all ports; * for all. Empty: none." socketio:"cors.origin"`
	Methods              []string      `default:"GET,POST" help:"Methods that these pages may use." socketio:"cors.methods"`
	AllowedHeaders       []string      `help:"Headers that these pages may send; empty: what they ask for." socketio:"cors.allowedHeaders"`
	ExposedHeaders       []string      `help:"Headers of answers that these pages may read." socketio:"cors.exposedHeaders"`
	Credentials          bool          `help:"Let these pages send cookies." socketio:"cors.credentials"`
	MaxAge               time.Duration `default:"0s" help:"How long browsers may remember what a page may do; 0: they decide." socketio:"cors.maxAge"`
	OptionsSuccessStatus int           `default:"204" help:"Status of the answer to a browser that asks; 200 for very old ones." socketio:"cors.optionsSuccessStatus"`
}

func (o CORSOptions) transport() transport.CORS {
	return transport.CORS{
		Origins: o.Origin, Methods: o.Methods, AllowedHeaders: o.AllowedHeaders, ExposedHeaders: o.ExposedHeaders,
		Credentials: o.Credentials, MaxAge: o.MaxAge, Status: o.OptionsSuccessStatus,
	}
}

// httpCompression is the size in bytes from which polls are compressed, as the transport takes it.
func (s Settings) httpCompression() int {
	if !s.HTTPCompression {
		return -1
	}
	return max(1, int(s.HTTPCompressionOptions.Threshold))
}

// perMessageDeflate is the same for WebSockets.
func (s Settings) perMessageDeflate() int {
	if !s.PerMessageDeflate {
		return 0
	}
	return max(1, int(s.PerMessageDeflateOptions.Threshold))
}

// Elsewhere are the options of a Socket.IO 4.8 server that are no settings.
func (Settings) Elsewhere() []config.Elsewhere {
	return []config.Elsewhere{
		{Names: []string{"adapter"}, Why: "NATS is in its place; there is nothing to choose"},
		{Names: []string{"connectionStateRecovery.skipMiddlewares"}, Why: "middlewares always run again: whom one refuses by then, such as a deleted account, stays out"},
		{Names: []string{"cleanupEmptyChildNamespaces"}, Why: "always so: a namespace of a pattern that nobody is in costs a gateway nothing"},
		{Names: []string{"wsEngine", "initialPacket", "destroyUpgrade", "destroyUpgradeTimeout", "cors.preflightContinue"}, Why: "only for a server inside a Node process"},
		{Names: []string{"cookie.expires", "cookie.priority", "cookie.encode"}, Why: "not here: `cookie.maxAge` says when it ends, and a session id needs no encoding"},
		{Names: []string{
			"httpCompression.level", "httpCompression.memLevel", "httpCompression.windowBits", "httpCompression.chunkSize", "httpCompression.strategy",
			"perMessageDeflate.zlibDeflateOptions", "perMessageDeflate.zlibInflateOptions", "perMessageDeflate.serverNoContextTakeover", "perMessageDeflate.clientNoContextTakeover",
			"perMessageDeflate.serverMaxWindowBits", "perMessageDeflate.clientMaxWindowBits", "perMessageDeflate.concurrencyLimit",
		}, Why: "not here: levels are the fastest ones, and WebSockets are compressed without context takeover in both directions, so that no connection holds a compressor and a message is compressed once for all who hear it"},
	}
}

// validatePath refuses a path that would leave no room for what else the gateway serves.
func (s Settings) validatePath() error {
	trimmed := strings.TrimSuffix(s.Path, "/")
	u, err := url.Parse(trimmed)
	if err != nil || u.Path != trimmed || strings.ContainsAny(trimmed, "{}") || path.Clean("/"+trimmed) != trimmed {
		return fmt.Errorf("path: %q is not a path such as /socket.io/", s.Path)
	}
	if trimmed == "/auth" || trimmed == loginPath {
		return fmt.Errorf("path: %q is taken by signing in at %s", s.Path, loginPath)
	}
	return nil
}

// loginPath is where clients sign in.
const loginPath = "/auth/login"

package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"
)

// The names of the transports, as in the query parameter "transport".
const (
	Polling      = "polling"
	WebSocket    = "websocket"
	WebTransport = "webtransport"
)

var transports = []string{Polling, WebSocket, WebTransport}

// Options configures a [Server]. The zero value of every field stands for the default that is
// named at it; the defaults are those of stock Socket.IO servers.
type Options struct {
	// Path is the prefix of all requests that are Engine.IO's. Default "/socket.io/"; a missing
	// trailing slash is added.
	Path string
	// NoTrailingSlash serves the path without its trailing slash too, for clients whose option
	// addTrailingSlash is false.
	NoTrailingSlash bool

	PingInterval   time.Duration // from a pong to the next ping; default 25 s
	PingTimeout    time.Duration // how long a client may take to answer a ping; default 20 s
	UpgradeTimeout time.Duration // how long an upgrade may take; default 10 s
	WriteTimeout   time.Duration // how long one write of at most 64 KiB may take; default 10 s
	CloseTimeout   time.Duration // how long Close may take to send what is queued; default 30 s

	// MaxPayload bounds one WebSocket message and one POST body, in bytes; default 1e6.
	MaxPayload int64
	// Oversize is called for each message that is over it. Default: nothing.
	Oversize func()
	// MaxQueueBytes and MaxQueueMessages bound what waits for one client; over either of them the
	// client is disconnected. One message is accepted whatever its size. Defaults 8 MiB and 8192.
	MaxQueueBytes    int
	MaxQueueMessages int
	// MaxConnections bounds the open connections; further handshakes get 503. Default: no bound.
	MaxConnections int

	// Transports lists what clients may use. Default polling and websocket. With polling among others,
	// it may upgrade to them. webtransport needs [Server.ServeWebTransport] as well.
	Transports []string
	// NoUpgrades keeps clients on the transport that they began with.
	NoUpgrades bool

	// HTTPCompression is the size in bytes from which poll answers are compressed, for clients that
	// accept gzip or deflate. Default 1024; a negative one compresses none.
	HTTPCompression int
	// PerMessageDeflate is the size in bytes from which what is sent over a WebSocket is compressed, for
	// clients that offer permessage-deflate (RFC 7692). Default: the extension is not negotiated.
	PerMessageDeflate int

	// Name names this server among several that serve the same clients; session ids begin with it and a
	// dot. One to 64 characters of A-Z a-z 0-9 _ -. Default: ids without a name.
	Name string
	// Carrier takes requests to the server that their session's id names, if that is another one. Default:
	// such a session is unknown.
	Carrier Carrier

	// AllowEIO3 serves clients of revision 3 of the protocol too, which are those of Socket.IO 1 and 2. Default:
	// they are refused with [engineio.UnsupportedVersion].
	AllowEIO3 bool

	// CORS is off by default: no cross-origin page may read a polling answer.
	CORS CORS
	// Cookie is set by the polling handshake only, with the session id for its value, for load balancers
	// that need one. Default: no cookie.
	Cookie *http.Cookie
	// AllowRequest may refuse a handshake: a [Refusal] answers 403 Forbidden. Any other error says that
	// nobody can tell: it is answered with 503, and clients try again by themselves. It may block until
	// the request's context ends, and is called concurrently. Default: everyone is allowed.
	AllowRequest func(ctx context.Context, r *Request) error

	// Log receives what operators may want to know; debug level for what clients can cause at
	// will. Default: nothing is logged.
	Log *slog.Logger
}

// Refusal is the error with which [Options.AllowRequest] refuses a handshake. The text is seen by the client;
// the empty one stands for the protocol's own, "Forbidden".
type Refusal string

func (r Refusal) Error() string { return "transport: handshake refused: " + string(r) }

// ErrOptions is wrapped by all errors about [Options].
var ErrOptions = errors.New("transport: invalid options")

// WithDefaults returns a copy in which unset fields have their defaults.
func (o Options) WithDefaults() Options {
	setDefault(&o.Path, "/socket.io/")
	if !strings.HasSuffix(o.Path, "/") {
		o.Path += "/"
	}
	setDefault(&o.PingInterval, 25*time.Second)
	setDefault(&o.PingTimeout, 20*time.Second)
	setDefault(&o.UpgradeTimeout, 10*time.Second)
	setDefault(&o.WriteTimeout, 10*time.Second)
	setDefault(&o.CloseTimeout, 30*time.Second)
	setDefault(&o.MaxPayload, 1e6)
	if o.Oversize == nil {
		o.Oversize = func() {}
	}
	setDefault(&o.MaxQueueBytes, 8<<20)
	setDefault(&o.MaxQueueMessages, 8192)
	setDefault(&o.HTTPCompression, 1024)
	if len(o.Transports) == 0 {
		o.Transports = []string{Polling, WebSocket}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate names every setting that makes no sense, as Socket.IO calls it where that has it, with its value and what is
// valid. Unset fields are valid.
func (o Options) Validate() error {
	o = o.WithDefaults()
	var errs []error
	fail := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: "+format, append([]any{ErrOptions}, args...)...))
	}
	if !strings.HasPrefix(o.Path, "/") {
		fail("path: %q must start with a slash", o.Path)
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"pingInterval", o.PingInterval}, {"pingTimeout", o.PingTimeout}, {"upgradeTimeout", o.UpgradeTimeout},
		{"writeTimeout", o.WriteTimeout}, {"closeTimeout", o.CloseTimeout},
	} {
		if d.value < time.Millisecond {
			fail("%s: %v is less than 1ms", d.name, d.value)
		}
	}
	for _, n := range []struct {
		name  string
		value int64
		least int64
	}{
		{"maxHttpBufferSize", o.MaxPayload, 1}, {"maxQueueBytes", int64(o.MaxQueueBytes), 1},
		{"maxQueueMessages", int64(o.MaxQueueMessages), 1}, {"maxConnections", int64(o.MaxConnections), 0},
		{"perMessageDeflate", int64(o.PerMessageDeflate), 0},
	} {
		if n.value < n.least {
			fail("%s: %d is less than %d", n.name, n.value, n.least)
		}
	}
	for _, t := range o.Transports {
		if !slices.Contains(transports, t) {
			fail("transports: %q is not one of %s", t, strings.Join(transports, ", "))
		}
	}
	if o.Cookie != nil {
		if err := o.Cookie.Valid(); err != nil {
			fail("cookie: %q: %w", o.Cookie.Name, err)
		}
	}
	if strings.ContainsFunc(o.Name, func(r rune) bool { return !strings.ContainsRune(nameCharacters, r) }) || len(o.Name) > maxName {
		fail("name: %q must be at most %d characters of A-Z a-z 0-9 _ -", o.Name, maxName)
	}
	if o.Carrier != nil && o.Name == "" {
		fail("a carrier needs a name of this server, for others to carry to")
	}
	if err := o.CORS.validate(); err != nil {
		errs = append(errs, fmt.Errorf("%w: %w", ErrOptions, err))
	}
	return errors.Join(errs...)
}

func (o *Options) has(transport string) bool { return slices.Contains(o.Transports, transport) }

// upgrades reports whether polling may upgrade to WebSocket.
func (o *Options) upgrades() bool { return (o.has(WebSocket) || o.has(WebTransport)) && !o.NoUpgrades }

// serves reports whether requests for the path are Engine.IO's.
func (o *Options) serves(path string) bool {
	return strings.HasPrefix(path, o.Path) || o.NoTrailingSlash && path == strings.TrimSuffix(o.Path, "/")
}

package transport

import (
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
	Polling   = "polling"
	WebSocket = "websocket"
)

// Options configures a [Server]. The zero value of every field stands for the default that is
// named at it; the defaults are those of stock Socket.IO servers.
type Options struct {
	// Path is the prefix of all requests that are Engine.IO's. Default "/socket.io/"; a missing
	// trailing slash is added.
	Path string

	PingInterval   time.Duration // from a pong to the next ping; default 25 s
	PingTimeout    time.Duration // how long a client may take to answer a ping; default 20 s
	UpgradeTimeout time.Duration // how long an upgrade may take; default 10 s
	WriteTimeout   time.Duration // how long one write of at most 64 KiB may take; default 10 s
	CloseTimeout   time.Duration // how long Close may take to send what is queued; default 30 s

	// MaxPayload bounds one WebSocket message and one POST body, in bytes; default 1e6.
	MaxPayload int64
	// MaxQueueBytes and MaxQueueMessages bound what waits for one client; over either of them the
	// client is disconnected. One message is accepted whatever its size. Defaults 8 MiB and 8192.
	MaxQueueBytes    int
	MaxQueueMessages int
	// MaxConnections bounds the open connections; further handshakes get 503. Default: no bound.
	MaxConnections int

	// Transports lists what clients may use. Default polling and websocket. With both, polling
	// may upgrade to websocket.
	Transports []string

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
	// Cookie is the name of a cookie that carries the session id, for load balancers that need
	// one. It is set by the polling handshake only. Default: no cookie.
	Cookie string
	// AllowRequest may refuse a handshake: not ok answers 403 Forbidden with message, or with
	// the protocol's own text if message is empty. The message is seen by the client. It may
	// block, and is called concurrently. Default: everyone is allowed.
	AllowRequest func(r *http.Request) (ok bool, message string)

	// Log receives what operators may want to know; debug level for what clients can cause at
	// will. Default: nothing is logged.
	Log *slog.Logger
}

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
	setDefault(&o.MaxQueueBytes, 8<<20)
	setDefault(&o.MaxQueueMessages, 8192)
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

// Validate names every setting that makes no sense, with its value and what is valid. Unset
// fields are valid.
func (o Options) Validate() error {
	o = o.WithDefaults()
	var errs []error
	fail := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: "+format, append([]any{ErrOptions}, args...)...))
	}
	if !strings.HasPrefix(o.Path, "/") {
		fail("path %q must start with a slash", o.Path)
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"ping interval", o.PingInterval}, {"ping timeout", o.PingTimeout}, {"upgrade timeout", o.UpgradeTimeout},
		{"write timeout", o.WriteTimeout}, {"close timeout", o.CloseTimeout},
	} {
		if d.value < time.Millisecond {
			fail("%s %v must be at least 1ms", d.name, d.value)
		}
	}
	for _, n := range []struct {
		name  string
		value int64
		least int64
	}{
		{"max payload", o.MaxPayload, 1}, {"max queue bytes", int64(o.MaxQueueBytes), 1},
		{"max queue messages", int64(o.MaxQueueMessages), 1}, {"max connections", int64(o.MaxConnections), 0},
	} {
		if n.value < n.least {
			fail("%s %d must be at least %d", n.name, n.value, n.least)
		}
	}
	for _, t := range o.Transports {
		if t != Polling && t != WebSocket {
			fail("transport %q must be %s or %s", t, Polling, WebSocket)
		}
	}
	if o.Cookie != "" && (&http.Cookie{Name: o.Cookie, Value: "v"}).Valid() != nil {
		fail("cookie name %q has characters that a cookie name cannot have", o.Cookie)
	}
	if strings.ContainsFunc(o.Name, func(r rune) bool { return !strings.ContainsRune(nameCharacters, r) }) || len(o.Name) > maxName {
		fail("name %q must be at most %d characters of A-Z a-z 0-9 _ -", o.Name, maxName)
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

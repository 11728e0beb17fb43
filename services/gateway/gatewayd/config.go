package gatewayd

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/config"
	"github.com/natter-io/natter/pkg/kit/health"
	"github.com/natter-io/natter/pkg/kit/logging"
	"github.com/natter-io/natter/pkg/kit/natsconn"
	"github.com/natter-io/natter/services/gateway/internal/parser"
	"github.com/natter-io/natter/services/gateway/internal/transport"
)

// Name is the service's name, from which its environment variables and its connection are named.
const Name = "natter-gateway"

// About describes the service in its help.
const About = "Speaks Socket.IO to clients and maps namespaces and rooms onto NATS subjects."

// Config are the settings of a gateway that runs by itself.
type Config struct {
	Settings
	NATS   natsconn.Options `embed:"" prefix:"nats-"`
	Log    logging.Options  `embed:"" prefix:"log-"`
	Health health.Options   `embed:"" prefix:"health-" set:"health=127.0.0.1:9090"`

	Prefix   string `default:"natter" help:"First token of every subject; the same for all services of a deployment."`
	Replicas int    `default:"1" help:"Copies of the streams and buckets in a NATS cluster, 1 to 5."`
}

// Settings are what a gateway does, wherever it runs. Those that Socket.IO has bear Socket.IO's names.
type Settings struct {
	Listen    string `default:"127.0.0.1:3000" help:"Address for clients: host:port; :port listens on all interfaces."`
	GatewayID string `help:"This gateway's id, the first part of socket ids; drawn at random if empty. No two gateways may share one: a second one does not start." placeholder:"ID"`

	Path              string        `default:"/socket.io/" help:"Prefix of the requests that are Socket.IO's." socketio:"path"`
	AddTrailingSlash  bool          `default:"true" negatable:"" help:"Take the path with a slash at its end alone; off, without it too." socketio:"addTrailingSlash"`
	ServeClient       bool          `default:"true" negatable:"" help:"Serve the client bundles under the path." socketio:"serveClient"`
	ClientDir         string        `default:"web/node_modules/socket.io-client/dist" help:"Folder dist of the npm package socket.io-client." placeholder:"DIR"`
	Chat              bool          `default:"true" negatable:"" help:"Have the chat in the namespace /: its rules, its middleware auth, its pages. Off, / is yours: everybody may enter, and every event goes to services, unless namespaces says otherwise."`
	WebDir            string        `help:"Folder with pages of your own, served at /; where it has none, the built-in ones are." placeholder:"DIR"`
	Parser            string        `default:"default" help:"How clients and gateways write packets: default, or msgpack for clients with socket.io-msgpack-parser; the same for all of them." placeholder:"NAME" socketio:"parser"`
	Transports        []string      `default:"polling,websocket" help:"What clients may connect by: polling, websocket, webtransport." socketio:"transports"`
	AllowUpgrades     bool          `default:"true" negatable:"" help:"Let clients go over from polling to WebSocket or WebTransport." socketio:"allowUpgrades"`
	PingInterval      time.Duration `default:"25s" help:"From a client's pong to the next ping." socketio:"pingInterval"`
	PingTimeout       time.Duration `default:"20s" help:"How long a client may take to answer a ping." socketio:"pingTimeout"`
	UpgradeTimeout    time.Duration `default:"10s" help:"How long an upgrade to WebSocket or WebTransport may take." socketio:"upgradeTimeout"`
	ConnectTimeout    time.Duration `default:"45s" help:"How long a client may stay without a namespace, and a middleware without an answer." socketio:"connectTimeout"`
	MaxHTTPBufferSize config.Bytes  `name:"max-http-buffer-size" default:"1MB" help:"Largest message of a client, in bytes, compressed or not." socketio:"maxHttpBufferSize"`
	AllowEIO3         bool          `yaml:"allowEIO3" help:"Serve clients of Socket.IO 1 and 2 too (Engine.IO 3), over WebSocket and XHR polling." socketio:"allowEIO3"`

	WebTransport WebTransport `embed:"" prefix:"webtransport-"`

	HTTPCompression          bool                   `default:"true" negatable:"" help:"Compress answers to polls for clients that accept gzip or deflate." socketio:"httpCompression"`
	HTTPCompressionOptions   HTTPCompressionOptions `embed:"" prefix:"http-compression-"`
	PerMessageDeflate        bool                   `help:"Compress what is said over WebSockets, for clients that offer it. Costs CPU time for each message." socketio:"perMessageDeflate"`
	PerMessageDeflateOptions DeflateOptions         `embed:"" prefix:"per-message-deflate-"`

	Cookie        CookieName    `inner:"name" help:"Name of a cookie with the session id, for load balancers that need one; true: io." placeholder:"NAME" socketio:"cookie.name"`
	CookieOptions CookieOptions `embed:"" prefix:"cookie-"`

	CORS CORSOptions `embed:"" prefix:"cors-"`

	AllowRequest string `help:"Ask the service of this name, over NATS, whether a client may connect; empty: everybody may." placeholder:"NAME" socketio:"allowRequest"`

	MaxConnections   int          `default:"0" help:"Open connections; further ones are refused. 0: no bound."`
	MaxQueueBytes    config.Bytes `default:"8MiB" help:"What may wait for one slow client; over it the client is disconnected."`
	MaxQueueMessages int          `default:"8192" help:"The same, counted in messages."`
	MaxNamespaces    int          `default:"32" help:"Namespaces that one connection may be in."`
	MaxRooms         int          `default:"256" help:"Rooms that one client may join by itself."`
	MaxPendingAcks   int          `default:"1024" help:"Acks that one client may owe."`

	MaxCarried int `default:"10000" help:"Requests, WebSockets and WebTransport streams that reached another gateway than their session, carried at a time each way; 0: clients must stay at their gateway."`

	Recovery        bool `yaml:"connectionStateRecovery" default:"true" negatable:"" help:"Let clients that come back go on as the same socket, at any gateway, and send them what they missed. Every event that wants no ack then has one argument more, the offset, behind all others. Off, services never hear disconnect of the sockets of a gateway that was killed. A Socket.IO server has it off by default." socketio:"connectionStateRecovery"`
	RecoveryOptions `embed:"" prefix:"recovery-" yaml:"connectionStateRecovery"`

	Lease            time.Duration `default:"10s" help:"A gateway not heard of for so long counts as gone."`
	DuplicateWindow  time.Duration `default:"0s" help:"How long a message that is said again with the same id is known to be the same one; 0: as long as its stream keeps messages, which is the recovery window and what it takes to notice that a client is gone."`
	StreamMaxBytes   config.Bytes  `default:"0" help:"Most that the stream of what is said to clients may hold; when it is full, new messages are refused. 0: no bound but the account's."`
	StreamMaxMessage config.Bytes  `default:"0" help:"Largest message in that stream, with its headers; 0: what NATS takes (max_payload)."`
	AckTimeout       time.Duration `default:"30s" help:"How long a service may take to answer a client's event."`
	RoomLinger       time.Duration `default:"5s" help:"How long a room without members stays subscribed."`
	Workers          int           `default:"0" help:"Goroutines that hand messages to sockets; 0: one a CPU."`

	// Namespaces says which namespaces exist and what their events do, by name.
	Namespaces map[string]contract.Namespace `kong:"-" yaml:"namespaces" help:"Which namespaces exist and what their events do: docs/contract.md has the fields."`
}

// Defaults are the settings of a gateway without a file, environment or flags, for programs that make one
// themselves. The address for health pages is empty: [Service.Health] has a handler of them.
func Defaults() Config {
	var cfg Config
	if err := config.Load(Name, About, nil, &cfg, config.Environ(nil)); err != nil {
		panic("gatewayd: the default settings are wrong: " + err.Error()) // a test calls Defaults
	}
	cfg.Health.Listen = ""
	return cfg
}

// Validate reports settings that cannot work.
func (c Config) Validate() error {
	var errs []error
	if _, err := contract.NewSubjects(c.Prefix); err != nil {
		errs = append(errs, fmt.Errorf("prefix: %w", err))
	}
	if c.Replicas < 1 || c.Replicas > 5 {
		errs = append(errs, fmt.Errorf("replicas: %d is not from 1 to 5", c.Replicas))
	}
	return errors.Join(append(errs, c.Settings.Validate())...)
}

// Validate reports settings that cannot work.
func (s Settings) Validate() error {
	var errs []error
	errs = append(errs, validateAddress("listen", s.Listen), s.WebTransport.validate(s.servesWebTransport()))
	if s.GatewayID != "" && !contract.ValidGatewayID(s.GatewayID) {
		errs = append(errs, fmt.Errorf("gatewayId: %q: want 1 to %d characters of A-Z a-z 0-9 _ -", s.GatewayID, contract.MaxGatewayID))
	}
	if _, err := contract.EncodeToken(s.AllowRequest); err != nil {
		errs = append(errs, fmt.Errorf("allowRequest: %w", err))
	}
	if parser.ByName(s.Parser) == nil {
		errs = append(errs, fmt.Errorf("parser: %q is not one of %s", s.Parser, strings.Join(parser.Names, ", ")))
	}
	if s.AllowEIO3 && s.Parser != "default" {
		errs = append(errs, fmt.Errorf("allowEIO3: clients of Socket.IO 1 and 2 need the parser default, not %s", s.Parser))
	}
	if info, err := os.Stat(s.WebDir); s.WebDir != "" && (err != nil || !info.IsDir()) {
		errs = append(errs, fmt.Errorf("webDir: %q is not a folder", s.WebDir))
	}
	for _, n := range []struct {
		name            string
		value, min, max int64
	}{
		{"maxHttpBufferSize", int64(s.MaxHTTPBufferSize), 1, math.MaxInt32},
		{"maxQueueBytes", int64(s.MaxQueueBytes), 1, 1 << 40},
		{"maxQueueMessages", int64(s.MaxQueueMessages), 1, 1 << 30},
		{"maxNamespaces", int64(s.MaxNamespaces), 1, 1024},
		{"maxRooms", int64(s.MaxRooms), 0, 1_000_000},
		{"maxCarried", int64(s.MaxCarried), 0, 1_000_000},
		{"maxPendingAcks", int64(s.MaxPendingAcks), 1, 1_000_000},
		{"workers", int64(s.Workers), 0, 1024},
		{"maxConnections", int64(s.MaxConnections), 0, 100_000_000},
	} {
		if n.value < n.min || n.value > n.max {
			errs = append(errs, fmt.Errorf("%s: %d is not from %d to %d", n.name, n.value, n.min, n.max))
		}
	}
	for _, d := range []struct {
		name     string
		value    time.Duration
		min, max time.Duration
	}{
		{"pingInterval", s.PingInterval, time.Millisecond, 24 * time.Hour},
		{"pingTimeout", s.PingTimeout, time.Millisecond, 24 * time.Hour},
		{"upgradeTimeout", s.UpgradeTimeout, time.Millisecond, time.Hour},
		{"connectTimeout", s.ConnectTimeout, 100 * time.Millisecond, time.Hour},
		{"connectionStateRecovery.maxDisconnectionDuration", s.RecoveryWindow, time.Second, 24 * time.Hour},
		{"lease", s.Lease, time.Second, time.Hour},
		{"ackTimeout", s.AckTimeout, 100 * time.Millisecond, time.Hour},
		{"roomLinger", s.RoomLinger, 0, time.Hour},
	} {
		if d.value < d.min || d.value > d.max {
			errs = append(errs, fmt.Errorf("%s: %s is not from %s to %s", d.name, d.value, d.min, d.max))
		}
	}
	if s.DuplicateWindow != 0 && (s.DuplicateWindow < time.Second || s.DuplicateWindow > s.streamAge()) {
		errs = append(errs, fmt.Errorf("duplicateWindow: %s is neither 0 nor from 1s to %s, for which the stream keeps messages with this connectionStateRecovery.maxDisconnectionDuration, pingInterval and pingTimeout", s.DuplicateWindow, s.streamAge()))
	}
	if s.StreamMaxBytes < 0 || s.StreamMaxBytes > 0 && s.StreamMaxBytes < 1<<20 {
		errs = append(errs, fmt.Errorf("streamMaxBytes: %d is neither 0 nor at least 1MiB", s.StreamMaxBytes))
	}
	if s.StreamMaxMessage < 0 || s.StreamMaxMessage > 0 && s.StreamMaxMessage < 1<<10 || s.StreamMaxMessage > math.MaxInt32 {
		errs = append(errs, fmt.Errorf("streamMaxMessage: %d is neither 0 nor from 1KiB to 2GiB", s.StreamMaxMessage))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Namespaces)) {
		if err := s.Namespaces[name].Validate(name); err != nil {
			errs = append(errs, fmt.Errorf("namespaces: %w", err))
		}
	}
	errs = append(errs, s.validatePath(), s.CookieOptions.validate(), s.validateTransport())
	return errors.Join(errs...)
}

// validateTransport is the transport's word on its part of the settings, without saying that it is the transport's.
func (s Settings) validateTransport() error {
	o := s.transport()
	o.Path = "" // validatePath has had more to say of it
	if err := o.Validate(); err != nil {
		return errors.New(strings.ReplaceAll(err.Error(), transport.ErrOptions.Error()+": ", ""))
	}
	return nil
}

// streamMargin is how long the main stream keeps messages beyond the recovery window and a heartbeat.
const streamMargin = 15 * time.Second

// streamAge is how long the main stream keeps messages: a client that is gone is noticed within a heartbeat, and may come
// back within the recovery window.
func (s Settings) streamAge() time.Duration {
	return s.RecoveryWindow + s.PingInterval + s.PingTimeout + streamMargin
}

// duplicates is how long the main stream remembers the ids of messages.
func (s Settings) duplicates() time.Duration {
	if s.DuplicateWindow == 0 {
		return s.streamAge()
	}
	return s.DuplicateWindow
}

// bodyTimeout is how long a request's body may take: as long as a client may take to show that it lives.
func (s Settings) bodyTimeout() time.Duration { return s.PingInterval + s.PingTimeout }

// validateAddress reports a setting that is no address to listen at.
func validateAddress(setting, address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%s: %q is not host:port, such as 127.0.0.1:3000 or :3000", setting, address)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%s: %q: the port is not a number from 0 to 65535", setting, address)
	}
	return nil
}

// transport are the settings that the Engine.IO layer takes.
func (s Settings) transport() transport.Options {
	return transport.Options{
		Path:              s.Path,
		NoTrailingSlash:   !s.AddTrailingSlash,
		PingInterval:      s.PingInterval,
		PingTimeout:       s.PingTimeout,
		UpgradeTimeout:    s.UpgradeTimeout,
		MaxPayload:        int64(s.MaxHTTPBufferSize),
		MaxQueueBytes:     int(s.MaxQueueBytes),
		MaxQueueMessages:  s.MaxQueueMessages,
		MaxConnections:    s.MaxConnections,
		Transports:        s.Transports,
		NoUpgrades:        !s.AllowUpgrades,
		HTTPCompression:   s.httpCompression(),
		PerMessageDeflate: s.perMessageDeflate(),
		CORS:              s.CORS.transport(),
		AllowEIO3:         s.AllowEIO3,
		Cookie:            s.cookie(),
	}
}

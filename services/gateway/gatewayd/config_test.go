package gatewayd_test

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/config"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

func TestSettingsThatCannotWorkAreNamed(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*gatewayd.Config){
		"prefix":         func(c *gatewayd.Config) { c.Prefix = "a.b" },
		"replicas":       func(c *gatewayd.Config) { c.Replicas = 6 },
		"listen":         func(c *gatewayd.Config) { c.Listen = "3000" },
		"gatewayId":      func(c *gatewayd.Config) { c.GatewayID = "a.b" },
		"maxNamespaces":  func(c *gatewayd.Config) { c.MaxNamespaces = 0 },
		"maxRooms":       func(c *gatewayd.Config) { c.MaxRooms = -1 },
		"maxPendingAcks": func(c *gatewayd.Config) { c.MaxPendingAcks = 0 },
		"workers":        func(c *gatewayd.Config) { c.Workers = -1 },
		"maxConnections": func(c *gatewayd.Config) { c.MaxConnections = -1 },
		"connectTimeout": func(c *gatewayd.Config) { c.ConnectTimeout = 0 },
		"connectionStateRecovery.maxDisconnectionDuration: 0s": func(c *gatewayd.Config) { c.RecoveryWindow = 0 },
		"lease":                         func(c *gatewayd.Config) { c.Lease = time.Millisecond },
		"ackTimeout":                    func(c *gatewayd.Config) { c.AckTimeout = 0 },
		"roomLinger":                    func(c *gatewayd.Config) { c.RoomLinger = -1 },
		"path":                          func(c *gatewayd.Config) { c.Path = "socket.io" },
		`path: "/"`:                     func(c *gatewayd.Config) { c.Path = "/" },
		`path: "/a/{b}"`:                func(c *gatewayd.Config) { c.Path = "/a/{b}" },
		`path: "/a//b/"`:                func(c *gatewayd.Config) { c.Path = "/a//b/" },
		`path: "/auth/"`:                func(c *gatewayd.Config) { c.Path = "/auth/" },
		`cookie: "a b"`:                 func(c *gatewayd.Config) { c.Cookie = "a b" },
		"cookie.maxAge":                 func(c *gatewayd.Config) { c.CookieOptions.MaxAge = time.Millisecond },
		"cookie.sameSite: \"x\"":        func(c *gatewayd.Config) { c.CookieOptions.SameSite = "x" },
		"cookie.sameSite: none":         func(c *gatewayd.Config) { c.CookieOptions.SameSite = "none" },
		"cookie: \"lb\"":                func(c *gatewayd.Config) { c.Cookie, c.CookieOptions.Partitioned = "lb", true },
		"cors.origin: \"example.com\"":  func(c *gatewayd.Config) { c.CORS.Origin = []string{"example.com"} },
		"cors.optionsSuccessStatus: 99": func(c *gatewayd.Config) { c.CORS.OptionsSuccessStatus = 99 },
		"transports: \"pigeon\"":        func(c *gatewayd.Config) { c.Transports = []string{"pigeon"} },
		"pingInterval: 0s":              func(c *gatewayd.Config) { c.PingInterval = 0 },
		"pingTimeout: -1s":              func(c *gatewayd.Config) { c.PingTimeout = -time.Second },
		"upgradeTimeout: 2h0m0s":        func(c *gatewayd.Config) { c.UpgradeTimeout = 2 * time.Hour },
		"maxHttpBufferSize: 0":          func(c *gatewayd.Config) { c.MaxHTTPBufferSize = 0 },
		"maxQueueBytes: 0":              func(c *gatewayd.Config) { c.MaxQueueBytes = 0 },
		"maxQueueMessages: 0":           func(c *gatewayd.Config) { c.MaxQueueMessages = 0 },
		"allowEIO3":                     func(c *gatewayd.Config) { c.AllowEIO3, c.Parser = true, "msgpack" },
		"parser":                        func(c *gatewayd.Config) { c.Parser = "json" },
		"namespaces": func(c *gatewayd.Config) {
			c.Namespaces = map[string]contract.Namespace{"/": {Events: map[string]contract.Rule{"x": {Action: "fly"}}}}
		},
	} {
		var cfg gatewayd.Config
		if err := config.Load(gatewayd.Name, gatewayd.About, nil, &cfg, config.Environ(nil)); err != nil {
			t.Fatal(err)
		}
		if _, err := gatewayd.New(cfg, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatalf("the defaults: %v", err)
		}
		change(&cfg)
		if _, err := gatewayd.New(cfg, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), name) || strings.HasPrefix(err.Error(), "transport:") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestMistakesNameTheSettingAsItWasWritten: by its key in the file, with the line, variable or flag that it came from.
func TestMistakesNameTheSettingAsItWasWritten(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		yaml, env, flag, want string // FILE stands for the file's path
	}{
		{yaml: "connectionStateRecovery:\n  maxDisconnectionDuration: 1ms", want: "connectionStateRecovery.maxDisconnectionDuration: 1ms is not from 1s to 24h0m0s (FILE:2)"},
		{flag: "--recovery-window=1ms", want: "connectionStateRecovery.maxDisconnectionDuration: 1ms is not from 1s to 24h0m0s (--recovery-window)"},
		{yaml: "transports: [polling, pigeon]", want: `transports: "pigeon" is not one of polling, websocket, webtransport (FILE:1)`},
		{flag: "--transports=pigeon", want: `transports: "pigeon" is not one of polling, websocket, webtransport (--transports)`},
		{yaml: "cors: {origin: example.com}", want: `cors.origin: "example.com" is not scheme://host[:port], with *. before the host for all below it or * for any port; or * (FILE:1)`},
		{env: "NATTER_GATEWAY_CORS_ORIGIN=https://a.example,b.example", want: `cors.origin: "b.example" is not scheme://host[:port], with *. before the host for all below it or * for any port; or * (NATTER_GATEWAY_CORS_ORIGIN)`},
		{yaml: "pingTimeout: 20000", want: `FILE:1: pingTimeout: "20000" is not valid: want a duration with a unit such as 250ms, 25s or 5m: did you mean 20s, which is 20000 milliseconds?`},
		{yaml: "path: socket.io", want: `path: "socket.io" is not a path such as /socket.io/ (FILE:1)`},
		{flag: "--nochat", want: `unknown flag --nochat, did you mean "--no-chat"?`},
		{yaml: "adapter: redis", want: "FILE:1: unknown setting adapter: NATS is in its place; there is nothing to choose"},
		{yaml: "wsEngine: ws", want: "FILE:1: unknown setting wsEngine: only for a server inside a Node process"},
		{yaml: "connectionStateRecovery:\n  skipMiddlewares: true", want: "FILE:2: unknown setting connectionStateRecovery.skipMiddlewares: middlewares always run again: whom one refuses by then, such as a deleted account, stays out"},
		{yaml: "cookie: {name: io, priority: high}", want: "FILE:1: unknown setting cookie.priority: not here: cookie.maxAge says when it ends"},
		{yaml: "cors: {orgin: '*'}", want: "FILE:1: unknown setting cors.orgin: did you mean cors.origin?"},
		{yaml: "namespaces:\n  /game:\n    events:\n      \"my move\":\n        args: 1\n        action: fly", want: `namespaces: namespace /game: events: "my move": action: "fly" is none of`},
		{yaml: "namespaces:\n  /game:\n    events:\n      \"my move\":\n        args: 1\n        action: fly", want: `(FILE:6)`},
		{yaml: "namespaces:\n  /: {}\n  /game:\n    events:\n      move: {action: emit, args: 1}", want: `says "all" or "room" (FILE:5)`},
		{yaml: "namespaces:\n  /: {}\n  /game:\n    role: admin", want: `cannot be granted, since use names no middleware (FILE:4)`},
		{yaml: "namespaces:\n  \"/a*b*\":\n    ordered: \"a b\"", want: "at most 128 of them (FILE:3)"},
		{flag: "--ping-interval=3", want: `--ping-interval: "3" is not valid: want a duration with a unit such as 250ms, 25s or 5m: did you mean 3s?`},
	} {
		file := filepath.Join(t.TempDir(), "gateway.yaml")
		if err := os.WriteFile(file, []byte(c.yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		args, env := []string{"--config", file}, []string{}
		if c.flag != "" {
			args = append(args, c.flag)
		}
		if c.env != "" {
			env = append(env, c.env)
		}
		var cfg gatewayd.Config
		err := config.Load(gatewayd.Name, gatewayd.About, args, &cfg, config.Environ(env))
		if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), file, "FILE"), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s %s %s: got  %v\nwant %s", c.yaml, c.env, c.flag, err, c.want)
		}
	}
}

// TestAllowEIO3 is off by default, and is spelled as in Socket.IO.
func TestAllowEIO3(t *testing.T) {
	t.Parallel()
	if gatewayd.Defaults().AllowEIO3 {
		t.Error("allowEIO3 is on by default")
	}
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(file, []byte("allowEIO3: true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{"flag": {"--allow-eio3"}, "file": {"--config", file}} {
		var cfg gatewayd.Config
		if err := config.Load(gatewayd.Name, gatewayd.About, args, &cfg, config.Environ(nil)); err != nil || !cfg.AllowEIO3 {
			t.Errorf("%s: %v, %v", name, cfg.AllowEIO3, err)
		}
	}
}

// TestWithoutTheChat the namespace / is bare, also where the chat's rules stood before: a token is nobody's business but
// the services', and every event is theirs.
func TestWithoutTheChat(t *testing.T) {
	t.Parallel()
	for name, own := range map[string]map[string]contract.Namespace{"alone": nil, "with others": {"/other": {}}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := deploy(t)
			d.gateway(func(c *gatewayd.Config) { c.Namespaces = nil }).stop()
			g := d.gateway(func(c *gatewayd.Config) { c.Chat, c.Namespaces = false, own })
			if len(own) > 1 {
				t.Errorf("the settings were changed: %v", own)
			}
			d.serve("natter.on._.join.>", func(m *nats.Msg) string { return string(m.Data) })
			if ack := g.dial().enter("/", `{"token":"of their own"}`).request(`"join"`, `"red"`); ack != `["join","red"]` {
				t.Errorf("the service acked %s", ack)
			}
			if res, _ := g.do("GET", "/", ""); res.StatusCode != 404 {
				t.Errorf("the chat's page: %d", res.StatusCode)
			}
		})
	}
	t.Run("its own", func(t *testing.T) {
		t.Parallel()
		d := deploy(t)
		g := d.gateway(func(c *gatewayd.Config) {
			c.Chat = false
			c.Namespaces = map[string]contract.Namespace{"/": {Events: map[string]contract.Rule{"join": {Action: contract.ActionRefuse}}}}
		})
		if ack := g.dial().enter("/", "").request(`"join"`, `"red"`); !strings.Contains(ack, "forbidden") {
			t.Errorf("the rule of the settings is not in force: %s", ack)
		}
	})
}

// TestGatewaysAnnounceTheContract asks as nats micro ls does.
func TestGatewaysAnnounceTheContract(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	g := d.gateway(func(c *gatewayd.Config) { c.GatewayID = "gw-1" })
	reply, err := d.nc.Request("$SRV.INFO."+gatewayd.Name, nil, patience)
	if err != nil {
		t.Fatal(err)
	}
	var info micro.Info
	if err := json.Unmarshal(reply.Data, &info); err != nil {
		t.Fatal(err)
	}
	if info.Name != gatewayd.Name || info.Metadata["gateway"] != "gw-1" || info.Metadata[contract.MetadataVersion] != contract.Version {
		t.Fatalf("announced %+v", info)
	}
	if s := g.connect(); !strings.HasPrefix(s.id, "gw-1.") {
		t.Fatalf("socket %s", s.id)
	}
}

// TestDeploymentsShareANATS has another prefix for each.
func TestDeploymentsShareANATS(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	one := d.gateway()
	two := d.gateway(func(c *gatewayd.Config) { c.Prefix = "other" })
	a, b := one.connect(), two.connect()
	one.awaitPeers(1)
	two.awaitPeers(1)
	if ack := b.request(`"chat message"`, `"theirs"`); !strings.Contains(ack, `"ok":true`) {
		t.Fatal(ack)
	}
	b.wantStamped("chat message", "theirs")
	a.request(`"chat message"`, `"ours"`)
	a.wantStamped("chat message", "ours")
	a.wantHeard()
	if len(b.events) > 0 {
		t.Fatalf("heard %s", b.event())
	}
}

// TestDeclaringKeepsWhatServicesRegistered starts a gateway where services have registered something.
func TestDeclaringKeepsWhatServicesRegistered(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	d.gateway()
	d.configure("bare", `{"registered":["bouncer"],"ordered":"till","events":{"old":{"action":"refuse"}}}`)
	d.configure("theirs", `{"events":{"say":{"action":"emit","to":"all","args":1}}}`)
	g := d.gateway(func(c *gatewayd.Config) {
		c.Namespaces["/bare"] = contract.Namespace{Events: map[string]contract.Rule{"new": {Action: contract.ActionRefuse}}}
	})
	entry, err := d.namespacesBucket().Get(t.Context(), "bare")
	if err != nil {
		t.Fatal(err)
	}
	_, ns, err := contract.ParseNamespace("bare", entry.Value())
	if err != nil || len(ns.Registered) != 1 || ns.Registered[0] != "bouncer" || ns.Ordered != "till" || len(ns.Events) != 1 || ns.Events["new"].Action != contract.ActionRefuse {
		t.Fatalf("configuration %s: %v", entry.Value(), err)
	}
	if ack := g.dial().enter("/theirs", "").request(`"say"`, `1`); !strings.Contains(ack, `"ok":true`) {
		t.Fatal(ack)
	}
	// Another start changes nothing, and so writes nothing.
	d.gateway(func(c *gatewayd.Config) { c.Namespaces = map[string]contract.Namespace{"/bare": {Events: ns.Events}} })
	again, err := d.namespacesBucket().Get(t.Context(), "bare")
	if err != nil || again.Revision() != entry.Revision() {
		t.Fatalf("revision %d, want %d: %v", again.Revision(), entry.Revision(), err)
	}
}

// TestDuplicateWindow fits the recovery window unless it is said otherwise, and never exceeds what the stream keeps.
func TestDuplicateWindow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want time.Duration // of the stream; 0: refused
	}{
		{nil, 3 * time.Minute},
		{[]string{"--recovery-window=10m"}, 11 * time.Minute},
		{[]string{"--duplicate-window=1m"}, time.Minute},
		{[]string{"--duplicate-window=3m"}, 3 * time.Minute},
		{[]string{"--duplicate-window=3m1s"}, 0},
		{[]string{"--duplicate-window=500ms"}, 0},
		{[]string{"--duplicate-window=-1s"}, 0},
	} {
		var cfg gatewayd.Config
		err := config.Load(gatewayd.Name, gatewayd.About, c.args, &cfg, config.Environ(nil))
		if (err == nil) != (c.want != 0) || err != nil && !strings.Contains(err.Error(), "duplicateWindow") {
			t.Errorf("%q: %v", c.args, err)
		}
		if c.want == 0 {
			continue
		}
		d := deploy(t)
		d.gateway(func(g *gatewayd.Config) {
			g.RecoveryWindow, g.DuplicateWindow = cfg.RecoveryWindow, cfg.DuplicateWindow
		})
		stream, err := d.js.Stream(t.Context(), contract.Subjects{}.Names().Stream)
		if err != nil {
			t.Fatal(err)
		}
		if got := stream.CachedInfo().Config.Duplicates; got != c.want {
			t.Errorf("%q: %s, want %s", c.args, got, c.want)
		}
	}
	for _, args := range [][]string{{"--stream-max-bytes=1000"}, {"--stream-max-message=10"}, {"--stream-max-message=3GiB"}} {
		var cfg gatewayd.Config
		if err := config.Load(gatewayd.Name, gatewayd.About, args, &cfg, config.Environ(nil)); err == nil || !strings.Contains(err.Error(), "streamMax") {
			t.Errorf("%q: %v", args, err)
		}
	}
}

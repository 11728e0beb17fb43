package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type connection struct {
	URL      string `default:"nats://127.0.0.1:4222" help:"Servers."`
	Password Secret `help:"Password."`
	CertFile string `help:"Certificate."`
	KeyFile  string `help:"Key."`
}

func (c connection) Validate() error {
	var errs []error
	if (c.CertFile == "") != (c.KeyFile == "") {
		errs = append(errs, errors.New("certFile and keyFile go together"))
	}
	if c.URL == "" {
		errs = append(errs, errors.New("url is empty"))
	}
	return errors.Join(errs...)
}

type common struct {
	Format string `default:"text" enum:"text,json" help:"Format."`
}

type namespace struct {
	Use  []string      `yaml:"use"`
	Wait time.Duration `yaml:"wait"`
	Max  Bytes         `yaml:"max"`
	Key  Secret        `yaml:"key"`
}

// ticket is a name that true stands for, and false for none.
type ticket string

func (n *ticket) UnmarshalText(text []byte) error {
	switch *n = ticket(text); *n {
	case "true":
		*n = "io"
	case "false":
		*n = ""
	}
	return nil
}

type ticketOptions struct {
	Path string `default:"/" help:"Path."`
	Size Bytes  `help:"Size."`
}

type gateway struct {
	common
	Ticket            ticket               `inner:"name" help:"A setting with a group of its name."`
	TicketOptions     ticketOptions        `embed:"" prefix:"ticket-"`
	PingInterval      time.Duration        `default:"25s" help:"Time between pings."`
	MaxHTTPBufferSize Bytes                `default:"1MB" help:"Largest packet."`
	Recovery          bool                 `default:"true" negatable:"" help:"Recover sockets."`
	Origins           []string             `help:"Allowed origins."`
	Rate              float64              `default:"1.5" help:"Events a second."`
	Workers           uint                 `default:"4" help:"Workers."`
	NATS              connection           `embed:"" prefix:"nats-"`
	Namespaces        map[string]namespace `kong:"-" yaml:"namespaces" help:"Which namespaces exist."`
	Internal          string               `kong:"-"`
}

func (g gateway) Validate() error {
	if g.Workers == 0 {
		return fmt.Errorf("workers: 0 is not valid: want at least 1")
	}
	for name, ns := range g.Namespaces {
		if slices.Contains(ns.Use, "x") {
			return fmt.Errorf("namespaces: namespace %s: use: %q is nobody", name, "x")
		}
		if ns.Key == "none" {
			return fmt.Errorf("namespaces: namespace %s: wait: is not set", name)
		}
	}
	return nil
}

func (g gateway) Elsewhere() []Elsewhere {
	return []Elsewhere{{[]string{"adapter"}, "use `rate`"}, {[]string{"ticket.ink"}, "tickets are black"}}
}

func defaults() gateway {
	return gateway{
		common: common{Format: "text"}, PingInterval: 25 * time.Second, MaxHTTPBufferSize: 1e6, Recovery: true,
		Origins: nil, Rate: 1.5, Workers: 4, NATS: connection{URL: "nats://127.0.0.1:4222"},
		TicketOptions: ticketOptions{Path: "/"},
	}
}

func load(t *testing.T, yaml string, env []string, args ...string) (gateway, string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gateway.yaml")
	if yaml != "" {
		if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append([]string{"--config", path}, args...)
	}
	var cfg gateway
	err := Load("natter-gateway", "The gateway.", args, &cfg, Environ(env), Version("v1.2.3"))
	return cfg, path, err
}

func TestLoad(t *testing.T) {
	t.Parallel()
	with := func(change func(*gateway)) gateway { g := defaults(); change(&g); return g }
	for name, tc := range map[string]struct {
		yaml string
		env  []string
		args []string
		want gateway
	}{
		"defaults":        {want: defaults()},
		"empty file":      {yaml: "# nothing\n", want: defaults()},
		"empty group":     {yaml: "nats:\n", want: defaults()},
		"foreign env":     {env: []string{"PATH=/bin", "NATTER_HISTORY_FOO=1"}, want: defaults()},
		"file":            {yaml: "pingInterval: 10s", want: with(func(g *gateway) { g.PingInterval = 10 * time.Second })},
		"exponent":        {yaml: "maxHttpBufferSize: 1e6", want: defaults()},
		"anonymous":       {yaml: "format: json", want: with(func(g *gateway) { g.Format = "json" })},
		"false":           {yaml: "recovery: false", want: with(func(g *gateway) { g.Recovery = false })},
		"negated":         {args: []string{"--no-recovery"}, want: with(func(g *gateway) { g.Recovery = false })},
		"nested":          {yaml: "nats:\n  url: nats://n", want: with(func(g *gateway) { g.NATS.URL = "nats://n" })},
		"as it stands":    {yaml: "nats:\n  password: 0123", want: with(func(g *gateway) { g.NATS.Password = "0123" })},
		"quoted":          {yaml: `nats: {password: "a: b"}`, want: with(func(g *gateway) { g.NATS.Password = "a: b" })},
		"block":           {yaml: "nats:\n  password: |-\n    a\n    b\n", want: with(func(g *gateway) { g.NATS.Password = "a\nb" })},
		"list":            {yaml: "origins: [a, 'b,c']", want: with(func(g *gateway) { g.Origins = []string{"a", "b,c"} })},
		"list as flag":    {args: []string{"--origins=a,b"}, want: with(func(g *gateway) { g.Origins = []string{"a", "b"} })},
		"list as env":     {env: []string{"NATTER_GATEWAY_ORIGINS=a,b"}, want: with(func(g *gateway) { g.Origins = []string{"a", "b"} })},
		"flags replace":   {yaml: "origins: [a]", args: []string{"--origins=b"}, want: with(func(g *gateway) { g.Origins = []string{"b"} })},
		"env over file":   {yaml: "workers: 2", env: []string{"NATTER_GATEWAY_WORKERS=3"}, want: with(func(g *gateway) { g.Workers = 3 })},
		"flag over env":   {env: []string{"NATTER_GATEWAY_WORKERS=3"}, args: []string{"--workers=5"}, want: with(func(g *gateway) { g.Workers = 5 })},
		"flag over all":   {yaml: "workers: 2", env: []string{"NATTER_GATEWAY_WORKERS=3"}, args: []string{"--workers", "6"}, want: with(func(g *gateway) { g.Workers = 6 })},
		"nested env":      {env: []string{"NATTER_GATEWAY_NATS_URL=nats://e"}, want: with(func(g *gateway) { g.NATS.URL = "nats://e" })},
		"empty env":       {yaml: "nats: {password: x}", env: []string{"NATTER_GATEWAY_NATS_PASSWORD="}, want: defaults()},
		"kubernetes":      {env: []string{"NATTER_GATEWAY_SERVICE_HOST=10.0.0.1", "NATTER_GATEWAY_SERVICE_PORT_HTTP=80", "NATTER_GATEWAY_PORT=tcp://10.0.0.1:80", "NATTER_GATEWAY_PORT_80_TCP_ADDR=10.0.0.1", "NATTER_GATEWAY_PORT_80_TCP=tcp://10.0.0.1:80"}, want: defaults()},
		"flag over wrong": {args: []string{"--rate=2"}, want: with(func(g *gateway) { g.Rate = 2 })},
		"one word":        {yaml: "natsUrl: nats://n", want: with(func(g *gateway) { g.NATS.URL = "nats://n" })},
		"switch":          {yaml: "ticket: true", want: with(func(g *gateway) { g.Ticket = "io" })},
		"switch off":      {yaml: "ticket: false", env: []string{"NATTER_GATEWAY_TICKET_PATH=/x"}, want: with(func(g *gateway) { g.TicketOptions.Path = "/x" })},
		"switch and flag": {args: []string{"--ticket=a", "--ticket-path=/x"}, want: with(func(g *gateway) { g.Ticket, g.TicketOptions.Path = "a", "/x" })},
		"switch by group": {yaml: "ticket: {size: 1KB}", want: with(func(g *gateway) { g.Ticket, g.TicketOptions.Size = "io", 1000 })},
		"empty switch":    {yaml: "ticket: {}", want: with(func(g *gateway) { g.Ticket = "io" })},
		"switch in group": {yaml: "ticket:\n  path: /x\n  name: a", want: with(func(g *gateway) { g.Ticket, g.TicketOptions.Path = "a", "/x" })},
		"half a group":    {yaml: "ticketPath: /x", want: with(func(g *gateway) { g.TicketOptions.Path = "/x" })},
		"file alone": {
			yaml: "namespaces:\n  /:\n    use: [auth]\n    wait: 3s\n    max: 1KiB\n    key: k\n",
			want: with(func(g *gateway) {
				g.Namespaces = map[string]namespace{"/": {Use: []string{"auth"}, Wait: 3 * time.Second, Max: 1024, Key: "k"}}
			}),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, _, err := load(t, tc.yaml, tc.env, tc.args...)
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Origins) == 0 {
				got.Origins = nil
			}
			if !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got  %#v\nwant %#v", got, tc.want)
			}
		})
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		yaml string
		env  []string
		args []string
		want string // FILE stands for the file's path
	}{
		"unknown key":      {yaml: "\npingIntervall: 10s", want: "FILE:2: unknown setting pingIntervall: did you mean pingInterval?"},
		"unknown nested":   {yaml: "nats:\n  ulr: x", want: "FILE:2: unknown setting nats.ulr: did you mean nats.url?"},
		"unknown group":    {yaml: "nat: {url: x}", want: "FILE:1: unknown setting nat: did you mean nats?"},
		"nothing like it":  {yaml: "zzzzzz: 1", want: "FILE:1: unknown setting zzzzzz; see --help for all of them"},
		"two mistakes":     {yaml: "a1: 1\nb1: 2", want: "FILE:1: unknown setting a1; see --help for all of them\nFILE:2: unknown setting b1; see --help for all of them"},
		"duration":         {yaml: "pingInterval: 25000", want: `FILE:1: pingInterval: "25000" is not valid: want a duration with a unit such as 250ms, 25s or 5m: did you mean 25s, which is 25000 milliseconds?`},
		"minutes":          {env: []string{"NATTER_GATEWAY_PING_INTERVAL=120000"}, want: `environment variable NATTER_GATEWAY_PING_INTERVAL: "120000" is not valid: want a duration with a unit such as 250ms, 25s or 5m: did you mean 2m, which is 120000 milliseconds?`},
		"hours":            {yaml: "pingInterval: 7200000", want: `FILE:1: pingInterval: "7200000" is not valid: want a duration with a unit such as 250ms, 25s or 5m: did you mean 2h, which is 7200000 milliseconds?`},
		"seconds":          {args: []string{"--ping-interval", "3"}, want: `--ping-interval: "3" is not valid: want a duration with a unit such as 250ms, 25s or 5m: did you mean 3s? (natter-gateway --help lists all settings)`},
		"negative":         {args: []string{"--ping-interval", "-5x"}, want: `--ping-interval: "-5x" is not valid: want a duration with a unit such as 250ms, 25s or 5m (natter-gateway --help lists all settings)`},
		"negative, number": {args: []string{"--workers", "-1"}, want: `--workers: expected a valid 64 bit uint but got "-1" (natter-gateway --help lists all settings)`},
		"a flag, no value": {args: []string{"--ping-interval", "--workers"}, want: `--ping-interval: expected duration value but got "--workers" (long flag); perhaps try --ping-interval="--workers"? (natter-gateway --help lists all settings)`},
		"either":           {args: []string{"--ping-interval=500"}, want: `--ping-interval: "500" is not valid: want a duration with a unit such as 250ms, 25s or 5m: did you mean 500ms or 500s? (natter-gateway --help lists all settings)`},
		"no time":          {args: []string{"--ping-interval=soon"}, want: `--ping-interval: "soon" is not valid: want a duration with a unit such as 250ms, 25s or 5m (natter-gateway --help lists all settings)`},
		"bytes":            {yaml: "maxHttpBufferSize: 1XB", want: `FILE:1: maxHttpBufferSize: "1XB" is not valid: want a size in bytes such as 1000000, 1e6, 64KB or 1MiB`},
		"bool":             {yaml: "recovery: maybe", want: `FILE:1: recovery: "maybe" is not valid: want true or false`},
		"uint":             {yaml: "workers: -1", want: `FILE:1: workers: "-1" is not valid: want a whole number of at least 0`},
		"float":            {yaml: "rate: fast", want: `FILE:1: rate: "fast" is not valid: want a number`},
		"enum":             {yaml: "format: xml", want: `FILE:1: format: "xml" is not valid: want one of text, json`},
		"list for one":     {yaml: "format: [text]", want: "FILE:1: format: one value is wanted here, not a list"},
		"no value":         {yaml: "format:", want: "FILE:1: format: a plain value is wanted here"},
		"mapping for one":  {yaml: "format: {a: b}", want: "FILE:1: format: a plain value is wanted here"},
		"value for group":  {yaml: "nats: here", want: `FILE:1: nats is a group of settings (key: value), not "here"`},
		"no mapping":       {yaml: "hello", want: `FILE:1: the file is a group of settings (key: value), not "hello"`},
		"no YAML":          {yaml: "origins: [", want: "FILE:1: sequence end token ']' not found"},
		"twice":            {yaml: "rate: 1\nrate: 2", want: `FILE:2: mapping key "rate" already defined at [1:1]`},
		"twice in words":   {yaml: "nats: {url: a}\nnatsUrl: b", want: "FILE:2: nats.url: is set already: FILE:1: nats.url"},
		"unknown inner":    {yaml: "ticket: {nam: a}", want: "FILE:1: unknown setting ticket.nam: did you mean ticket.name?"},
		"two documents":    {yaml: "rate: 1\n---\nrate: 2", want: "FILE:3: a second document: one file holds one configuration"},
		"file alone key":   {yaml: "namespaces:\n  /:\n    uze: [auth]", want: `FILE:3: namespaces: unknown field "uze"`},
		"file alone value": {yaml: "namespaces:\n  /:\n    wait: 3", want: `FILE:3: namespaces: "3" is not valid: want a duration with a unit such as 250ms, 25s or 5m`},
		"no file":          {args: []string{"--config=/nowhere/x.yaml"}, want: "configuration file: open /nowhere/x.yaml: no such file or directory"},
		"no file by env":   {env: []string{"NATTER_GATEWAY_CONFIG=/nowhere/x.yaml"}, want: "configuration file: open /nowhere/x.yaml: no such file or directory"},
		"unknown env":      {env: []string{"NATTER_GATEWAY_FOO=1"}, want: "environment variable NATTER_GATEWAY_FOO: no such setting; see --help for all of them"},
		"misspelt env":     {env: []string{"NATTER_GATEWAY_NAST_URL=1"}, want: "environment variable NATTER_GATEWAY_NAST_URL: no such setting: did you mean NATTER_GATEWAY_NATS_URL?"},
		"file alone env":   {env: []string{"NATTER_GATEWAY_NAMESPACES=1"}, want: "environment variable NATTER_GATEWAY_NAMESPACES: no such setting; see --help for all of them"},
		"wrong env":        {env: []string{"NATTER_GATEWAY_WORKERS=many"}, want: `environment variable NATTER_GATEWAY_WORKERS: "many" is not valid: want a whole number of at least 0`},
		"secret's file":    {env: []string{"NATTER_GATEWAY_NATS_PASSWORD=file:/nowhere/s"}, want: "environment variable NATTER_GATEWAY_NATS_PASSWORD: [redacted] is not valid: the secret's file: open /nowhere/s: no such file or directory"},
		"unknown flag":     {args: []string{"--wokers=1"}, want: `unknown flag --wokers, did you mean "--workers"? (natter-gateway --help lists all settings)`},
		"flag turned off":  {args: []string{"--norecovery"}, want: `unknown flag --norecovery, did you mean "--no-recovery"? (natter-gateway --help lists all settings)`},
		"flag of nothing":  {args: []string{"--zzzzzz"}, want: `unknown flag --zzzzzz (natter-gateway --help lists all settings)`},
		"elsewhere":        {yaml: "adapter: {a: b}", want: "FILE:1: unknown setting adapter: use rate"},
		"elsewhere, group": {yaml: "ticket:\n  path: /x\n  ink: blue", want: "FILE:3: unknown setting ticket.ink: tickets are black"},
		"wrong flag":       {args: []string{"--max-http-buffer-size=1XB"}, want: `--max-http-buffer-size: "1XB" is not a size in bytes such as 1000000, 1e6, 64KB or 1MiB (natter-gateway --help lists all settings)`},
		"enum flag":        {args: []string{"--format=xml"}, want: `--format must be one of "text","json" but got "xml" (natter-gateway --help lists all settings)`},
		"argument":         {args: []string{"serve"}, want: "unexpected argument serve (natter-gateway --help lists all settings)"},
		"Validate":         {args: []string{"--workers=0"}, want: "workers: 0 is not valid: want at least 1 (--workers)"},
		"Validate, file":   {yaml: "rate: 1\nworkers: 0", want: "workers: 0 is not valid: want at least 1 (FILE:2)"},
		"Validate, env":    {yaml: "workers: 1", env: []string{"NATTER_GATEWAY_WORKERS=0"}, want: "workers: 0 is not valid: want at least 1 (NATTER_GATEWAY_WORKERS)"},
		"Validate, over":   {yaml: "workers: 0", args: []string{"--workers", "0"}, want: "workers: 0 is not valid: want at least 1 (--workers)"},
		"Validate, tree":   {yaml: "namespaces:\n  /a: {}\n  \"/b c\":\n    use:\n    - x", want: `namespaces: namespace /b c: use: "x" is nobody (FILE:4)`},
		"Validate, absent": {yaml: "namespaces:\n  /a:\n    use: []\n  /b: {key: none}", want: `namespaces: namespace /b: wait: is not set (FILE:4)`},
		"group's Validate": {args: []string{"--nats-cert-file=x", "--nats-url="}, want: "nats: certFile and keyFile go together\nnats: url is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, path, err := load(t, tc.yaml, tc.env, tc.args...)
			if err == nil {
				t.Fatal("no error")
			}
			if got := strings.ReplaceAll(err.Error(), path, "FILE"); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestFileByEnvironment(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.yaml")
	if err := os.WriteFile(path, []byte("workers: 7"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, _, err := load(t, "", []string{"NATTER_GATEWAY_CONFIG=" + path})
	if err != nil || got.Workers != 7 {
		t.Errorf("workers %d, %v", got.Workers, err)
	}
}

func TestHelpListsEverySetting(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	var cfg gateway
	err := Load("natter-gateway", "The gateway.", []string{"--help"}, &cfg, Stdout(&out), Environ([]string{"NATTER_GATEWAY_FOO=1"}))
	if !errors.Is(err, ErrDone) {
		t.Fatalf("got %v, want ErrDone", err)
	}
	text := strings.Join(strings.Fields(out.String()), " ") // whatever the width
	for _, want := range []string{
		"The gateway.", "--ping-interval=25s", "$NATTER_GATEWAY_PING_INTERVAL; file: pingInterval", "Time between pings.",
		"$NATTER_GATEWAY_MAX_HTTP_BUFFER_SIZE; file: maxHttpBufferSize", "one of text, json",
		"--[no-]recovery", "default: true", "--nats-url", "file: nats.url", "--config=FILE", "$NATTER_GATEWAY_CONFIG",
		"--version", "Settings of the file alone: namespaces Which namespaces exist.",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("help lacks %q:\n%s", want, out.String())
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	err := Load("natter-gateway", "", []string{"--version"}, &gateway{}, Stdout(&out), Version("v1.2.3"), Environ(nil))
	if !errors.Is(err, ErrDone) || out.String() != "natter-gateway v1.2.3\n" {
		t.Errorf("got %q, %v", out.String(), err)
	}
}

func TestLoadRefusesStructs(t *testing.T) {
	t.Parallel()
	for _, cfg := range []any{nil, gateway{}, new(int), &struct{ Labels map[string]string }{}} {
		if err := Load("x", "", nil, cfg, Environ(nil)); err == nil {
			t.Errorf("%T: no error", cfg)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][2]string{
		"PingInterval":      {"ping-interval", "pingInterval"},
		"MaxHTTPBufferSize": {"max-http-buffer-size", "maxHttpBufferSize"},
		"ConnectTimeout":    {"connect-timeout", "connectTimeout"},
		"PerMessageDeflate": {"per-message-deflate", "perMessageDeflate"},
		"URL":               {"url", "url"},
		"NATS":              {"nats", "nats"},
		"ServerID":          {"server-id", "serverId"},
		"X":                 {"x", "x"},
	} {
		if got := [2]string{kebab(name), camel(kebab(name))}; got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

// FuzzFile: no file makes Load panic, and every refusal names the file.
func FuzzFile(f *testing.F) {
	for _, s := range []string{
		"", "pingInterval: 10s", "nats: {url: x}", "origins: [a, *b]", "&a x: *a", "<<: {a: b}", "? [a]\n: b", "!!str rate: !!int 3",
		"namespaces:\n  /: {use: [auth]}", "- a", "---\n---\n", "rate: |\n  x", "\"a.b\": 1", "nats:\n\turl: x", "namespaces: 3", "rate: !!str",
	} {
		f.Add(s)
	}
	path := filepath.Join(f.TempDir(), "fuzz.yaml")
	f.Fuzz(func(t *testing.T, content string) {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		l := &loader{texts: map[string]text{}}
		var cfg gateway
		var err error
		if l.settings, err = settings(reflect.ValueOf(&cfg).Elem(), "", nil); err != nil {
			t.Fatal(err)
		}
		if err := l.readFile(path); err != nil && !strings.HasPrefix(err.Error(), path+":") {
			t.Errorf("error without the file's name: %v", err)
		}
	})
}

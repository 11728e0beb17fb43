package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/natter-io/natter/pkg/kit/config"
	"github.com/natter-io/natter/services/auth/authd"
	"github.com/natter-io/natter/services/gateway/gatewayd"
	"github.com/natter-io/natter/services/history/historyd"
)

//go:generate go test -run ^TestOptionsDocument$ . -update

var update = flag.Bool("update", false, "write docs/options.md anew")

const optionsDocument = "docs/options.md"

// TestOptionsDocument: docs/options.md says what the programs take.
func TestOptionsDocument(t *testing.T) {
	want := documentOptions(t)
	if *update {
		if err := os.WriteFile(optionsDocument, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(optionsDocument)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the settings in the code are: make options", optionsDocument)
	}
}

// socketIO are the options of a Socket.IO 4.8 server, as in the types ServerOptions of socket.io and engine.io, with the
// members of those that are objects.
var socketIO = []string{
	"path", "addTrailingSlash", "serveClient", "adapter", "parser", "connectTimeout", "connectionStateRecovery", "connectionStateRecovery.maxDisconnectionDuration", "connectionStateRecovery.skipMiddlewares", "cleanupEmptyChildNamespaces",
	"pingTimeout", "pingInterval", "upgradeTimeout", "maxHttpBufferSize", "allowRequest", "transports", "allowUpgrades", "allowEIO3", "wsEngine", "initialPacket",
	"perMessageDeflate", "perMessageDeflate.threshold", "httpCompression", "httpCompression.threshold", "destroyUpgrade", "destroyUpgradeTimeout",
	"cookie.name", "cookie.path", "cookie.domain", "cookie.maxAge", "cookie.expires", "cookie.httpOnly", "cookie.sameSite", "cookie.secure", "cookie.partitioned", "cookie.priority", "cookie.encode",
	"cors.origin", "cors.methods", "cors.allowedHeaders", "cors.exposedHeaders", "cors.credentials", "cors.maxAge", "cors.optionsSuccessStatus", "cors.preflightContinue",
}

// TestEverySocketIOOptionIsAccountedFor: a setting has its name, or the document says where it is.
func TestEverySocketIOOptionIsAccountedFor(t *testing.T) {
	settings := list(t, gatewayd.Name, &gatewayd.Config{})
	var other []string
	for _, e := range new(gatewayd.Settings).Elsewhere() {
		other = append(other, e.Names...)
	}
	for _, name := range socketIO {
		isSetting := slices.ContainsFunc(settings, func(s config.Setting) bool { return s.Tag.Get("socketio") == name })
		if isSetting == slices.Contains(other, name) {
			t.Errorf("%s: is a setting with this tag socketio: %v; it must be either that or in Settings.Elsewhere", name, isSetting)
		}
	}
	for _, s := range settings {
		name := s.Tag.Get("socketio")
		if name != "" && (!slices.Contains(socketIO, name) || !slices.Contains(s.Keys, name)) {
			t.Errorf("%v: Socket.IO has no option %q, or it has another name in the file", s.Keys, name)
		}
	}
}

func list(t *testing.T, name string, cfg any) []config.Setting {
	t.Helper()
	settings, err := config.List(name, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return settings
}

func documentOptions(t *testing.T) []byte {
	t.Helper()
	gateway := list(t, gatewayd.Name, &gatewayd.Config{})
	named := func(s config.Setting) bool { return s.Tag.Get("socketio") != "" }
	var b bytes.Buffer
	b.WriteString(optionsIntroduction)
	b.WriteString("\n## Gateway\n\n### Options of Socket.IO\n\nThe key in the file is Socket.IO's name.\n\n")
	settingsTable(&b, gateway, named)
	b.WriteString("\nWhat else a Socket.IO server has:\n\n| option of Socket.IO | here |\n|---|---|\n")
	for _, e := range new(gatewayd.Settings).Elsewhere() {
		names := make([]string, len(e.Names))
		for i, name := range e.Names {
			names[i] = code(name)
		}
		fmt.Fprintf(&b, "| %s | %s |\n", strings.Join(names, ", "), e.Why)
	}
	b.WriteString("\n### The gateway's own\n\n")
	settingsTable(&b, gateway, func(s config.Setting) bool { return !named(s) })
	b.WriteString("\n## Auth\n\n")
	settingsTable(&b, list(t, authd.Name, &authd.Config{}), nil)
	b.WriteString("\n## History\n\n")
	settingsTable(&b, list(t, historyd.Name, &historyd.Config{}), nil)

	var theirs []string
	own := func(s config.Setting) bool {
		i := slices.IndexFunc(gateway, func(g config.Setting) bool { return g.Keys[0] == s.Keys[0] })
		return i < 0 || gateway[i].Help != s.Help || gateway[i].Default != s.Default
	}
	all := list(t, name, &Config{})
	for _, g := range gateway {
		if !slices.ContainsFunc(all, func(s config.Setting) bool { return s.Keys[0] == g.Keys[0] }) {
			theirs = append(theirs, "`"+g.Keys[0]+"`")
		}
	}
	fmt.Fprintf(&b, "\n## All in one\n\nThe settings of the gateway, with variables that begin with `NATTER_` instead of `NATTER_GATEWAY_`, but for %s; and:\n\n", strings.Join(theirs, ", "))
	settingsTable(&b, all, own)
	return b.Bytes()
}

// settingsTable writes those of the settings for which keep is true, or all.
func settingsTable(b *bytes.Buffer, settings []config.Setting, keep func(config.Setting) bool) {
	b.WriteString("| in the file | default | takes | what it does | flag, variable |\n|---|---|---|---|---|\n")
	for _, s := range settings {
		if keep != nil && !keep(s) {
			continue
		}
		value := ""
		if s.Default != "" {
			value = code(s.Default)
		}
		elsewhere := "in the file alone"
		if s.Flag != "" {
			elsewhere = code(s.Flag) + " " + code(s.Env)
		}
		keys := make([]string, len(s.Keys))
		for i, key := range s.Keys {
			keys[i] = code(key)
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", strings.Join(keys, " "), value, s.Unit, markdown.Replace(s.Help), elsewhere)
	}
}

// markdown keeps plain text plain.
var markdown = strings.NewReplacer("|", `\|`, "*", `\*`, "<", `\<`)

func code(text string) string { return "`" + text + "`" }

const optionsIntroduction = `# Settings

<!-- Written by "make options" from the programs' settings. A test compares. -->

Every setting can be written in a YAML file (` + "`--config FILE`" + `), as an environment variable and as a flag; a flag wins over a variable, a
variable over the file, the file over the default. What has a dot stands in a group in the file, and may also be written as
one word:

    pingInterval: 10s
    cors:
      origin: ["https://example.com"]
    corsCredentials: true          # the same as cors: {credentials: true}

- A **time** has a unit: ` + "`250ms`, `25s`, `5m`, `12h`" + `. Socket.IO's own options are numbers of milliseconds.
- A **size** is a number of bytes, or has a unit: ` + "`1000000`, `1e6`, `64KB`, `1MiB`" + `.
- A **list** is a YAML list, or has commas.
- A **secret** may stand in a file of its own: ` + "`file:/run/secrets/password`" + `.
- A setting with a group of its name is turned on by the group, as in Socket.IO: ` + "`cookie: {path: /}`, `perMessageDeflate: {threshold: 4KB}`" + `.

What a program does not know, or cannot work with, is an error that says what is wrong and where. ` + "`--help`" + ` lists the same settings.
`

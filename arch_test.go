package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/natter-io/natter"

// What packages of one kind may import of this module: arrows point one way, from the programs to the
// libraries.
var arrows = map[string][]string{
	"natter":   {"service", "pkg"}, // the all-in-one program, at the top
	"main":     {"service", "pkg"}, // services/X
	"service":  {"internal", "pkg", "web"},
	"internal": {"internal", "pkg"},
	"web":      {},
	"pkg":      {"pkg"},
	"example":  {"pkg"},
	"embedded": {"pkg", "service"}, // the example with a gateway inside
}

// What packages must not depend on, not even by way of others.
var never = []struct {
	of     []string
	on     []string // paths; one that ends with / means all below it too
	reason string
}{
	{
		of:     []string{"pkg/engineio", "pkg/socketio", "services/gateway/internal/hub"},
		on:     []string{"net/http", "github.com/nats-io/"},
		reason: "codecs and hub know neither HTTP nor NATS",
	},
	{
		of:     []string{"pkg/contract"},
		on:     []string{"net", "net/http", "os/exec", "github.com/nats-io/"},
		reason: "the contract makes no connection",
	},
	{
		of:     []string{"services/gateway/internal/session", "services/gateway/internal/transport"},
		on:     []string{"github.com/nats-io/"},
		reason: "sessions and transport reach NATS through the interface Backend alone",
	},
	{
		of:     []string{"services/auth", "services/gateway", "services/history", "pkg/sdk", "examples/dice"},
		on:     []string{"github.com/nats-io/nats-server/"},
		reason: "the services and back ends run apart from NATS",
	},
	{
		of:     []string{"services/auth", "services/gateway", "pkg/sdk", "examples/dice"},
		on:     []string{"modernc.org/", "github.com/jackc/"},
		reason: "history alone has a database",
	},
}

// Who alone may import a package directly.
var only = []struct {
	what   string // as in never
	by     []string
	tests  bool // whether the rule holds for tests too
	reason string
}{
	{"github.com/nats-io/nats-server/", []string{"pkg/kit/embed"}, true, "nats-server is behind one package"},
	{module + "/pkg/kit/embed", []string{"", "pkg/natstest", "examples/embedded"}, false, "programs that are all in one embed NATS, services do not"},
	{module + "/pkg/natstest", nil, false, "it is for tests"},
	{module + "/services/history/internal/pgtest", nil, false, "it is for tests"},
	{module + "/web", []string{"services/gateway/gatewayd"}, true, "the gateway serves the pages"},
	{module, nil, true, "nothing imports the program"},
}

// goPackage is what go list says of a package.
type goPackage struct {
	ImportPath                               string
	Imports, TestImports, XTestImports, Deps []string
}

// name is the package's path in the module; "" is the top.
func (p goPackage) name() string { return inModule(p.ImportPath) }

func inModule(importPath string) string {
	return strings.TrimPrefix(strings.TrimPrefix(importPath, module), "/")
}

func ours(importPath string) bool {
	return importPath == module || strings.HasPrefix(importPath, module+"/")
}

// kind says what a package of the module is, and of which service.
func kind(name string) (kind, service string) {
	parts := strings.Split(name, "/")
	switch {
	case name == "":
		return "natter", ""
	case parts[0] == "services" && len(parts) == 2:
		return "main", parts[1]
	case parts[0] == "services" && len(parts) == 3 && parts[2] == parts[1]+"d":
		return "service", parts[1]
	case parts[0] == "services" && len(parts) > 3 && parts[2] == "internal":
		return "internal", parts[1]
	case parts[0] == "pkg":
		return "pkg", ""
	case name == "web":
		return "web", ""
	case name == "examples/embedded":
		return "embedded", ""
	case parts[0] == "examples", parts[0] == "test": // back ends
		return "example", ""
	}
	return "", ""
}

func matches(pattern, importPath string) bool {
	return importPath == pattern || strings.HasSuffix(pattern, "/") && strings.HasPrefix(importPath, pattern)
}

func packages(t *testing.T) map[string]goPackage {
	t.Helper()
	var failed bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,TestImports,XTestImports,Deps", "./...")
	cmd.Stderr = &failed
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, failed.String())
	}
	all := map[string]goPackage{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all[p.name()] = p
	}
}

func TestImportsPointOneWay(t *testing.T) {
	seen := map[string]bool{}
	for name, p := range packages(t) {
		from, service := kind(name)
		if from == "" {
			t.Errorf("%s: the rules do not know what kind of package this is", name)
			continue
		}
		seen[from] = true
		for _, i := range p.Imports {
			if !ours(i) {
				continue
			}
			to, other := kind(inModule(i))
			if !slices.Contains(arrows[from], to) {
				t.Errorf("%s (%s) imports %s (%s); it may import %v only", name, from, inModule(i), to, arrows[from])
			}
			if service != "" && other != "" && service != other {
				t.Errorf("%s imports %s: no service imports another", name, inModule(i))
			}
		}
	}
	for from := range arrows {
		if !seen[from] {
			t.Errorf("there is no package of the kind %s any more: correct the rules", from)
		}
	}
}

func TestWhatPackagesNeverDependOn(t *testing.T) {
	all := packages(t)
	for _, rule := range never {
		for _, name := range rule.of {
			p, ok := all[name]
			if !ok {
				t.Errorf("there is no package %s any more: correct the rules", name)
			}
			for _, dep := range p.Deps {
				for _, on := range rule.on {
					if matches(on, dep) {
						t.Errorf("%s depends on %s: %s", name, dep, rule.reason)
					}
				}
			}
		}
	}
}

func TestWhoAloneImports(t *testing.T) {
	all := packages(t)
	for _, rule := range only {
		for _, name := range rule.by {
			p, ok := all[name]
			if !ok {
				t.Errorf("there is no package %q any more: correct the rules", name)
			}
			if !slices.ContainsFunc(p.Imports, func(i string) bool { return matches(rule.what, i) }) {
				t.Errorf("%q does not import %s any more: correct the rules", name, rule.what)
			}
		}
		if _, ok := all[inModule(rule.what)]; ours(rule.what) && !ok {
			t.Errorf("there is no package %s any more: correct the rules", rule.what)
		}
		for name, p := range all {
			imports := p.Imports
			if rule.tests {
				imports = slices.Concat(imports, p.TestImports, p.XTestImports)
			}
			for _, i := range imports {
				own := i == p.ImportPath // a package's tests from outside
				if matches(rule.what, i) && !own && !slices.Contains(rule.by, name) {
					t.Errorf("%s imports %s: %s", name, i, rule.reason)
				}
			}
		}
	}
}

// The rules must be able to fail: what they forbid is recognised.
func TestRulesRecognise(t *testing.T) {
	for name, want := range map[string]string{
		"": "natter", "services/auth": "main", "services/auth/authd": "service", "services/auth/internal/a/b": "internal",
		"pkg/kit/run": "pkg", "web": "web", "examples/dice": "example", "examples/embedded": "embedded", "services/auth/gatewayd": "", "elsewhere": "",
	} {
		if got, _ := kind(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for _, yes := range [][2]string{{"net", "net"}, {"a/", "a/b/c"}, {"a/b", "a/b"}} {
		if !matches(yes[0], yes[1]) {
			t.Errorf("%v", yes)
		}
	}
	for _, no := range [][2]string{{"net", "net/http"}, {"a/", "ab"}, {"a/b", path.Join("a", "b", "c")}} {
		if matches(no[0], no[1]) {
			t.Errorf("%v", no)
		}
	}
}

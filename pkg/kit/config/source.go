package config

import (
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml/ast"
)

// tree is what the file says of a setting that it alone has.
type tree struct {
	path string
	file *yamlFile
	node ast.Node
}

// given notes which settings the command line has, over what file and environment say.
func (l *loader) given(ctx *kong.Context) {
	for _, p := range ctx.Path {
		if p.Flag != nil && !p.Resolved {
			l.texts[p.Flag.Name] = text{from: "--" + p.Flag.Name, source: "--" + p.Flag.Name}
		}
	}
}

// sources adds to each mistake that Validate has found where the setting that it begins with was set: there it may have
// another name than the one in the error.
func (l *loader) sources(err error) error {
	if err == nil {
		return nil
	}
	lines := strings.Split(err.Error(), "\n")
	for i, line := range lines {
		for _, s := range l.settings {
			if t, ok := l.texts[s.flag]; ok && !s.fileOnly() && strings.HasPrefix(line, s.path()+": ") {
				lines[i] += " (" + t.source + ")"
			}
		}
		for _, t := range l.trees {
			if mistake, ok := strings.CutPrefix(line, t.path+": "); ok {
				lines[i] += " (" + t.file.at(locate(t.node, t.node, mistake)) + ")"
			}
		}
	}
	return &mistakes{strings.Join(lines, "\n"), err}
}

// locate finds the key that a mistake names. Those that lead to it stand in front, plain or quoted, from outside in, maybe behind
// a word that says what they are: namespace /: events: "chat message": to: … Where they end is what is wrong.
func locate(n, found ast.Node, mistake string) ast.Node {
	m, ok := n.(ast.MapNode)
	if !ok {
		return found
	}
	_, behind, _ := strings.Cut(mistake, " ")
	for entries := m.MapRange(); entries.Next(); {
		kv := entries.KeyValue()
		key := kv.Key.GetToken().Value
		for _, text := range []string{mistake, behind} {
			for _, spelled := range []string{key, strconv.Quote(key)} {
				if rest, ok := strings.CutPrefix(text, spelled+": "); ok {
					return locate(kv.Value, kv.Key, rest)
				}
			}
		}
	}
	return found
}

// mistakes are errors with another text.
type mistakes struct {
	text string
	err  error
}

func (m *mistakes) Error() string { return m.text }
func (m *mistakes) Unwrap() error { return m.err }

package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// sourceError marks errors that already name file, line or variable.
type sourceError struct{ error }

func (e *sourceError) Unwrap() error { return e.error }

// yamlFile is the configuration file while it is read.
type yamlFile struct {
	path string
	l    *loader
	errs []error
}

// readFile checks every key of the file, keeps the texts of those that have a
// flag for kong, and fills the file-only fields.
func (l *loader) readFile(path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return &sourceError{fmt.Errorf("configuration file: %w", err)}
	}
	f := &yamlFile{path: path, l: l}
	clear(l.texts) // kong may have the sources read more than once
	l.trees = nil
	tree, err := parser.ParseBytes(content, 0)
	if err != nil {
		return &sourceError{f.yamlError(err, "")}
	}
	for i, doc := range tree.Docs {
		if i > 0 && doc.Body != nil {
			f.fail(doc.Body, "a second document: one file holds one configuration")
			continue
		}
		f.group(doc.Body, nil)
	}
	if err := errors.Join(f.errs...); err != nil {
		return &sourceError{err}
	}
	return nil
}

// fail notes a mistake at a node.
func (f *yamlFile) fail(n ast.Node, format string, args ...any) {
	f.errs = append(f.errs, fmt.Errorf("%s: %s", f.at(n), fmt.Sprintf(format, args...)))
}

func (f *yamlFile) at(n ast.Node) string {
	return fmt.Sprintf("%s:%d", f.path, n.GetToken().Position.Line)
}

// group reads the mapping of a group of settings; the file itself is one.
func (f *yamlFile) group(n ast.Node, path []string) {
	if n == nil || n.Type() == ast.NullType || n.Type() == ast.CommentType {
		return // empty, or all of it commented out
	}
	m, ok := n.(ast.MapNode)
	if !ok {
		what := "the file"
		if len(path) > 0 {
			what = strings.Join(path, ".")
		}
		f.fail(n, "%s is a group of settings (key: value), not %q", what, n.GetToken().Value)
		return
	}
	for entries := m.MapRange(); entries.Next(); {
		f.entry(entries.KeyValue(), path)
	}
}

func (f *yamlFile) entry(kv *ast.MappingValueNode, group []string) {
	key := kv.Key.GetToken().Value
	path := append(append([]string{}, group...), key)
	dotted := strings.Join(path, ".")
	var known []string
	var own *setting // the setting of this name
	isGroup := false
	for i, s := range f.l.settings {
		if s.spelled(dotted) {
			own = &f.l.settings[i]
		}
		isGroup = isGroup || strings.HasPrefix(s.path(), dotted+".")
		if len(s.key) >= len(path) {
			known = append(known, strings.Join(s.key[:len(path)], "."))
		}
		if s.inner != "" && len(s.key) < len(path) {
			known = append(known, s.path()+"."+s.inner)
		}
	}
	_, isMap := kv.Value.(ast.MapNode)
	switch {
	case own != nil && own.fileOnly():
		f.decode(kv.Value, *own)
		return
	case own != nil && isGroup && isMap:
		f.group(kv.Value, path)
		f.switchOn(kv.Value, *own)
		return
	case own != nil:
		f.text(kv.Value, *own)
		return
	case isGroup:
		f.group(kv.Value, path)
		return
	}
	if why := f.l.why(dotted); why != "" {
		f.fail(kv.Key, "unknown setting %s: %s", dotted, why)
		return
	}
	f.fail(kv.Key, "unknown setting %s%s", dotted, didYouMean(dotted, "", known))
}

// decode fills a field that only the file can set.
func (f *yamlFile) decode(n ast.Node, s setting) {
	if err := yaml.NodeToValue(n, s.field.Addr().Interface(), yaml.Strict()); err != nil {
		f.errs = append(f.errs, f.yamlError(err, s.path()+": "))
	}
	f.l.trees = append(f.l.trees, tree{s.path(), f, n})
}

// text keeps what the file says about a setting, to be parsed as its flag would be.
func (f *yamlFile) text(n ast.Node, s setting) {
	var value string
	if seq, ok := n.(*ast.SequenceNode); ok {
		if s.field.Kind() != reflect.Slice {
			f.fail(n, "%s: one value is wanted here, not a list", s.path())
			return
		}
		items := make([]string, len(seq.Values))
		for i, v := range seq.Values {
			item, ok := scalar(v)
			if !ok {
				f.fail(v, "%s: a plain value is wanted here", s.path())
				return
			}
			items[i] = item
		}
		value = kong.JoinEscaped(items, ',')
	} else {
		var ok bool
		if value, ok = scalar(n); !ok {
			f.fail(n, "%s: a plain value is wanted here", s.path())
			return
		}
	}
	if before, found := f.l.texts[s.flag]; found {
		f.fail(n, "%s: is set already: %s", s.path(), before.from)
		return
	}
	f.l.texts[s.flag] = text{value: value, from: f.at(n) + ": " + s.path(), source: f.at(n)}
}

// switchOn is what a group does to the setting of its name, unless it sets that itself: cookie: {path: /} has a
// cookie.
func (f *yamlFile) switchOn(n ast.Node, s setting) {
	if _, found := f.l.texts[s.flag]; !found {
		f.l.texts[s.flag] = text{value: "true", from: f.at(n) + ": " + s.path(), source: f.at(n)}
	}
}

// scalar returns the text of a plain value as it stands in the file, so that a
// password 0123 stays what it is.
func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	case *ast.TagNode:
		return scalar(n.Value)
	case *ast.AnchorNode:
		return scalar(n.Value)
	}
	return "", false
}

// yamlError puts an error of the YAML library in our form.
func (f *yamlFile) yamlError(err error, what string) error {
	var typeErr *yaml.TypeError
	if errors.As(err, &typeErr) {
		if wanted := want(typeErr.DstType, nil); wanted != "" && typeErr.Token != nil {
			return fmt.Errorf("%s:%d: %s%q is not valid: want %s", f.path, typeErr.Token.Position.Line, what, typeErr.Token.Value, wanted)
		}
	}
	var yerr yaml.Error
	if errors.As(err, &yerr) {
		line := 1
		if tk := yerr.GetToken(); tk != nil {
			line = tk.Position.Line
		}
		return fmt.Errorf("%s:%d: %s%s", f.path, line, what, yerr.GetMessage())
	}
	return fmt.Errorf("%s: %s%w", f.path, what, err)
}

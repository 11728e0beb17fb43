package config

import (
	"strings"

	"github.com/alecthomas/kong"
)

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
	}
	return &mistakes{strings.Join(lines, "\n"), err}
}

// mistakes are errors with another text.
type mistakes struct {
	text string
	err  error
}

func (m *mistakes) Error() string { return m.text }
func (m *mistakes) Unwrap() error { return m.err }

package config

import (
	"slices"
	"strings"
)

// Elsewhere says why names that people try in a file are no settings, or what there is in their place.
type Elsewhere struct {
	Names []string // as they would stand in the file: cors.preflightContinue
	Why   string   // the rest of the error; names in it are in backticks, which the error leaves out
}

// why says it of an unknown setting, if anybody does.
func (l *loader) why(dotted string) string {
	for _, e := range l.elsewhere {
		if slices.Contains(e.Names, dotted) {
			return strings.ReplaceAll(e.Why, "`", "")
		}
	}
	return ""
}

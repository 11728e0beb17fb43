package config

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

// describe is the help text of a flag with its other two spellings.
func (l *loader) describe(v *kong.Value) string {
	if v.Flag == nil || v.Name == "help" || v.Name == "version" {
		return v.Help
	}
	parts := []string{"$" + upper(l.name) + "_" + upper(v.Name)}
	for _, s := range l.settings {
		if s.flag == v.Name {
			parts = append(parts, "file: "+s.path())
		}
	}
	if v.HasDefault && v.Default != "" && (v.IsBool() || v.Flag.PlaceHolder != "") {
		parts = append([]string{"default: " + v.Default}, parts...)
	}
	if v.Enum != "" {
		parts = append([]string{"one of " + strings.Join(v.EnumSlice(), ", ")}, parts...)
	}
	return fmt.Sprintf("%s (%s)", v.Help, strings.Join(parts, "; "))
}

// help prints kong's help and then the settings that have no flag.
func (l *loader) help(o kong.HelpOptions, ctx *kong.Context) error {
	if err := kong.DefaultHelpPrinter(o, ctx); err != nil {
		return err
	}
	var b strings.Builder
	for _, s := range l.settings {
		if s.fileOnly() {
			fmt.Fprintf(&b, "  %s\n    %s\n", s.path(), s.help)
		}
	}
	if b.Len() == 0 {
		return nil
	}
	_, err := fmt.Fprintf(l.stdout, "\nSettings of the file alone:\n%s", b.String())
	return err
}

// Package logging sets up log/slog for a service: format and level, to a writer
// that is standard error in production.
//
// It knows nothing of what is logged. Part of the kit: small, for Natter's own
// programs, no compatibility promise.
package logging

import (
	"io"
	"log/slog"
)

// Options can be embedded in a service's configuration, under `embed:"" prefix:"log-"`.
type Options struct {
	Format string     `default:"text" enum:"text,json" help:"Format of the log lines."`
	Level  slog.Level `default:"info" help:"Least important lines to log: debug, info, warn or error."`
}

// New returns a logger that writes to w. Any Format but json means text.
func New(w io.Writer, o Options) *slog.Logger {
	ho := &slog.HandlerOptions{Level: o.Level}
	if o.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, ho))
	}
	return slog.New(slog.NewTextHandler(w, ho))
}

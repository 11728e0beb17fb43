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
	Format string `default:"text" enum:"text,json" help:"Format of the log lines."`
	Level  string `default:"info" enum:"debug,info,warn,error" help:"Least important lines to log."`
}

// New returns a logger that writes to w. Any Format but json means text, any
// unknown Level info.
func New(w io.Writer, o Options) *slog.Logger {
	level := slog.LevelInfo
	_ = level.UnmarshalText([]byte(o.Level)) // an error leaves info
	ho := &slog.HandlerOptions{Level: level}
	if o.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, ho))
	}
	return slog.New(slog.NewTextHandler(w, ho))
}

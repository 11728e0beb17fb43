package gatewayd

import (
	"bytes"
	"log"
	"log/slog"
)

// errorLog takes what an http.Server complains about: at debug level, since clients cause nearly all of it at
// will, but a handler that panicked is a mistake of ours.
type errorLog struct{ log *slog.Logger }

func newErrorLog(l *slog.Logger) *log.Logger { return log.New(errorLog{l}, "", 0) }

// Write logs one line.
func (e errorLog) Write(line []byte) (int, error) {
	text := string(bytes.TrimSpace(line))
	if bytes.HasPrefix(line, []byte("http: panic serving")) {
		e.log.Error("the HTTP server recovered from a panic", "error", text)
	} else {
		e.log.Debug("the HTTP server", "error", text)
	}
	return len(line), nil
}

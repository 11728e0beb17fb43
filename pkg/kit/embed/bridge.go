package embed

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats-server/v2/server"
)

// bridge passes nats-server's warnings and errors to slog. Notices, debug and
// trace lines are dropped. Fatal ones do not end the process: they fail Start.
type bridge struct {
	log   *slog.Logger
	fatal chan error // the first fatal line
}

var _ server.Logger = (*bridge)(nil)

func (b *bridge) Warnf(format string, v ...any)  { b.log.Warn(fmt.Sprintf(format, v...)) }
func (b *bridge) Errorf(format string, v ...any) { b.log.Error(fmt.Sprintf(format, v...)) }

func (b *bridge) Fatalf(format string, v ...any) {
	msg := fmt.Sprintf(format, v...)
	select {
	case b.fatal <- errors.New(msg):
	default:
		b.log.Error(msg)
	}
}

func (*bridge) Noticef(string, ...any) {}
func (*bridge) Debugf(string, ...any)  {}
func (*bridge) Tracef(string, ...any)  {}

package run

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

// exitInterrupted is the status after a second signal, as shells number SIGINT.
const exitInterrupted = 130

// Signals returns a context that ends at the first SIGINT or SIGTERM. A second
// one ends the process at once with status 130. The caller calls stop, which
// gives the signals back.
func Signals(parent context.Context, log *slog.Logger) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	quit, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		select {
		case s := <-signals:
			log.Info("stopping; a second signal ends the program at once", "signal", s.String())
			cancel(fmt.Errorf("signal: %s", s))
		case <-quit:
			return
		}
		select {
		case s := <-signals:
			log.Error("ended by a second signal", "signal", s.String())
			os.Exit(exitInterrupted)
		case <-quit:
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(quit)
		<-gone
		cancel(nil)
	}
}

// Main runs a program's body until it returns or a signal ends its context. If
// the body fails, Main logs the error and ends the process with status 1.
func Main(log *slog.Logger, body func(ctx context.Context) error) {
	ctx, stop := Signals(context.Background(), log)
	err := body(ctx)
	stop()
	if err != nil {
		log.Error("the program failed", "error", err)
		os.Exit(1)
	}
	log.Info("stopped")
}

// Command history is Natter's history service: it keeps the messages that are posted to Socket.IO rooms and
// answers for them. Run it with --help for its settings.
package main

import (
	"context"
	"os"

	"github.com/natter-io/natter/pkg/kit/config"
	"github.com/natter-io/natter/pkg/kit/logging"
	"github.com/natter-io/natter/pkg/kit/run"
	"github.com/natter-io/natter/services/history/historyd"
)

func main() {
	var cfg historyd.Config
	if err := config.Load(historyd.Name, historyd.About, os.Args[1:], &cfg); err != nil {
		config.Exit(err)
	}
	log := logging.New(os.Stderr, cfg.Log)
	run.Main(log, func(ctx context.Context) error {
		service, err := historyd.New(cfg, log)
		if err != nil {
			return err
		}
		return service.Run(ctx)
	})
}

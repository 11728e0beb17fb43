// Command gateway runs Natter's gateway; --help lists its settings.
package main

import (
	"os"

	"github.com/natter-io/natter/pkg/kit/config"
	"github.com/natter-io/natter/pkg/kit/logging"
	"github.com/natter-io/natter/pkg/kit/run"
	"github.com/natter-io/natter/services/gateway/gatewayd"
)

func main() {
	var cfg gatewayd.Config
	if err := config.Load(gatewayd.Name, gatewayd.About, os.Args[1:], &cfg); err != nil {
		config.Exit(err)
	}
	log := logging.New(os.Stderr, cfg.Log)
	service, err := gatewayd.New(cfg, log)
	if err != nil {
		config.Exit(err)
	}
	run.Main(log, service.Run)
}

// Command auth runs Natter's auth service; --help lists its settings.
package main

import (
	"fmt"
	"os"

	"github.com/natter-io/natter/pkg/kit/config"
	"github.com/natter-io/natter/pkg/kit/logging"
	"github.com/natter-io/natter/pkg/kit/run"
	"github.com/natter-io/natter/services/auth/authd"
)

func main() {
	var cfg authd.Config
	if err := config.Load(authd.Name, authd.About, os.Args[1:], &cfg); err != nil {
		config.Exit(err)
	}
	log := logging.New(os.Stderr, cfg.Log)
	service, err := authd.New(cfg, log, authd.OnFirstAdmin(func(name, password string) {
		fmt.Printf("\n  Sign in as %s with the password %s\n  It is shown this once: keep it, or reset it later with --reset-admin.\n\n", name, password)
	}))
	if err != nil {
		config.Exit(err)
	}
	run.Main(log, service.Run)
}

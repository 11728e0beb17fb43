// Command natter runs all of Natter in one process: an embedded nats-server with JetStream, the gateway
// with the pages, the auth service and the history service, each over a connection of its own, as they would
// run apart. --help lists the settings.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/natter-io/natter/pkg/kit/config"
	"github.com/natter-io/natter/pkg/kit/embed"
	"github.com/natter-io/natter/pkg/kit/health"
	"github.com/natter-io/natter/pkg/kit/logging"
	"github.com/natter-io/natter/pkg/kit/run"
	"github.com/natter-io/natter/services/auth/authd"
	"github.com/natter-io/natter/services/gateway/gatewayd"
	"github.com/natter-io/natter/services/history/historyd"
)

const (
	name  = "natter"
	about = "Socket.IO on NATS, all in one process: an embedded nats-server, the gateway with its pages, auth and history."
)

// Config are the settings of the all-in-one command: the gateway's own and those of what is around it.
type Config struct {
	gatewayd.Settings

	Data     string `default:".data" help:"Folder for all that must outlive a restart." placeholder:"DIR"`
	NATSHost string `name:"nats-host" default:"127.0.0.1" help:"Address of the embedded nats-server. It knows no users: who reaches it may say and read everything."`
	NATSPort int    `name:"nats-port" default:"4222" help:"Port of the embedded nats-server."`

	NATSSync string `name:"nats-sync" default:"2m" help:"How often the embedded nats-server has the disk flush what is stored; always: before it is acknowledged. What was stored since is lost when the power fails, and only then."`

	AdminPassword config.Secret `help:"Password of the user admin that the first start creates; file:PATH reads it from a file. Without it one is made up and printed."`
	ResetAdmin    bool          `help:"Give the user admin a new password at this start."`

	Health health.Options  `embed:"" prefix:"health-" set:"health=127.0.0.1:9090"`
	Log    logging.Options `embed:"" prefix:"log-"`
}

// Validate reports settings that cannot work.
func (c *Config) Validate() error {
	var errs []error
	if c.NATSPort < 1 || c.NATSPort > 65535 {
		errs = append(errs, fmt.Errorf("natsPort: %d is not from 1 to 65535", c.NATSPort))
	}
	if _, err := c.sync(); err != nil {
		errs = append(errs, err)
	}
	if c.Data == "" {
		errs = append(errs, errors.New("data: is empty: name a folder, such as .data"))
	}
	return errors.Join(append(errs, c.Settings.Validate())...)
}

// sync is how often the disk is flushed; 0: always.
func (c *Config) sync() (time.Duration, error) {
	if c.NATSSync == "always" {
		return 0, nil
	}
	every, err := time.ParseDuration(c.NATSSync)
	if err != nil || every < time.Millisecond || every > time.Hour {
		return 0, fmt.Errorf("natsSync: %q is neither always nor a time from 1ms to 1h, such as 2m", c.NATSSync)
	}
	return every, nil
}

func main() {
	var cfg Config
	if err := config.Load(name, about, os.Args[1:], &cfg); err != nil {
		config.Exit(err)
	}
	log := logging.New(os.Stderr, cfg.Log)
	run.Main(log, func(ctx context.Context) error { return serve(ctx, cfg, log) })
}

// serve runs everything until the context ends.
func serve(ctx context.Context, cfg Config, log *slog.Logger) error {
	every, err := cfg.sync()
	if err != nil {
		return err
	}
	broker, err := embed.Start(embed.Options{
		Host: cfg.NATSHost, Port: cfg.NATSPort, StoreDir: filepath.Join(cfg.Data, "nats"), Log: log,
		SyncInterval: every, SyncAlways: every == 0,
	})
	if err != nil {
		return err
	}
	err = serveOn(ctx, broker, cfg, log)
	return errors.Join(err, broker.Shutdown())
}

func serveOn(ctx context.Context, broker *embed.Server, cfg Config, log *slog.Logger) error {
	signIn := &hint{data: cfg.Data, chat: cfg.Chat}

	gatewayConfig, err := defaults[gatewayd.Config](gatewayd.Name)
	if err != nil {
		return err
	}
	gatewayConfig.Settings, gatewayConfig.NATS.URL, gatewayConfig.Health.Listen = cfg.Settings, broker.ClientURL(), ""
	gateway, err := gatewayd.New(gatewayConfig, log, gatewayd.WithNATS(broker.InProcess()))
	if err != nil {
		return err
	}
	authConfig, err := defaults[authd.Config](authd.Name)
	if err != nil {
		return err
	}
	authConfig.AdminPassword, authConfig.ResetAdmin = cfg.AdminPassword, cfg.ResetAdmin
	authConfig.NATS.URL, authConfig.Health.Listen = broker.ClientURL(), ""
	auth, err := authd.New(authConfig, log, authd.WithNATS(broker.InProcess()), authd.OnFirstAdmin(signIn.password))
	if err != nil {
		return err
	}
	historyConfig, err := defaults[historyd.Config](historyd.Name)
	if err != nil {
		return err
	}
	historyConfig.Database = filepath.Join(cfg.Data, "history.db")
	historyConfig.NATS.URL, historyConfig.Health.Listen = broker.ClientURL(), ""
	history, err := historyd.New(historyConfig, log, broker.InProcess())
	if err != nil {
		return err
	}

	pages := health.New(cfg.Health, log)
	pages.Include("gateway", gateway.Health())
	pages.Include("auth", auth.Health())
	pages.Include("history", history.Health())

	g := run.Group{Log: log}
	g.Add(run.Component{Name: "health", Run: pages.Run, Ready: pages.Ready})
	g.Add(run.Component{Name: "auth", Run: auth.Run, Ready: auth.Ready})
	g.Add(run.Component{Name: "history", Run: history.Run})
	g.Add(run.Component{Name: "gateway", Run: gateway.Run, Ready: gateway.Ready})
	g.Add(run.Component{Name: "hint", Run: func(context.Context) error {
		signIn.print(os.Stdout, gateway.Addr().String(), broker.ClientURL())
		return nil
	}})
	err = g.Run(ctx)
	signIn.rescue(os.Stdout)
	return err
}

// defaults are a service's settings as they are without a file, environment or flags: in one process, what
// can be set is what [Config] has.
func defaults[C any](service string) (C, error) {
	var cfg C
	err := config.Load(service, "", nil, &cfg, config.Environ(nil))
	return cfg, err
}

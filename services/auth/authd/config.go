package authd

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/config"
	"github.com/natter-io/natter/pkg/kit/health"
	"github.com/natter-io/natter/pkg/kit/logging"
	"github.com/natter-io/natter/pkg/kit/natsconn"
	"github.com/natter-io/natter/services/auth/internal/passwords"
)

// Name is the service's name, from which its environment variables and its connection are named.
const Name = "natter-auth"

// About describes the service in its help.
const About = "Keeps accounts, signs users in, and decides who may enter the Socket.IO namespaces that use the middleware auth."

// Config are the service's settings.
type Config struct {
	NATS   natsconn.Options `embed:"" prefix:"nats-"`
	Log    logging.Options  `embed:"" prefix:"log-"`
	Health health.Options   `embed:"" prefix:"health-" set:"health=127.0.0.1:9091"`

	Prefix   string `default:"natter" help:"First token of every subject; the same for all services of a deployment."`
	Replicas int    `default:"1" help:"Copies of accounts and keys in a NATS cluster, 1 to 5."`

	TokenLifetime      time.Duration `default:"12h" help:"How long a user stays signed in."`
	LoginPerName       int           `default:"10" help:"Attempts to sign in a minute, for one name at one instance."`
	LoginPerAddress    int           `default:"30" help:"Attempts to sign in a minute, from one address at one instance."`
	HashingConcurrency int           `default:"0" help:"Passwords that are hashed at a time, each with 19 MiB; 0 for one a CPU."`

	AdminPassword config.Secret `help:"Password of the user admin that the first start creates; file:PATH reads it from a file. Without it one is made up and printed."`
	ResetAdmin    bool          `help:"Give the user admin a new password at this start (the one set as admin password, else one that is made up and printed) and the role admin. Start one instance only with it."`
}

// Validate reports settings that cannot work.
func (c Config) Validate() error {
	var errs []error
	if _, err := contract.NewSubjects(c.Prefix); err != nil {
		errs = append(errs, fmt.Errorf("prefix: %w", err))
	}
	if c.Replicas < 1 || c.Replicas > 5 {
		errs = append(errs, fmt.Errorf("replicas: %d is not from 1 to 5", c.Replicas))
	}
	if c.TokenLifetime < time.Minute || c.TokenLifetime > 366*24*time.Hour {
		errs = append(errs, fmt.Errorf("tokenLifetime: %s is not from 1m to 8784h", c.TokenLifetime))
	}
	if c.LoginPerName < 1 || c.LoginPerName > 10_000 {
		errs = append(errs, fmt.Errorf("loginPerName: %d is not from 1 to 10000", c.LoginPerName))
	}
	if c.LoginPerAddress < 1 || c.LoginPerAddress > 1_000_000 {
		errs = append(errs, fmt.Errorf("loginPerAddress: %d is not from 1 to 1000000", c.LoginPerAddress))
	}
	if c.HashingConcurrency < 0 || c.HashingConcurrency > 1024 {
		errs = append(errs, fmt.Errorf("hashingConcurrency: %d is not from 0 to 1024", c.HashingConcurrency))
	}
	if c.AdminPassword != "" {
		if err := passwords.Validate(c.AdminPassword.Reveal()); err != nil {
			errs = append(errs, fmt.Errorf("adminPassword: %w", err))
		}
	}
	return errors.Join(errs...)
}

// hashing is how many passwords are hashed at a time.
func (c Config) hashing() int {
	if c.HashingConcurrency == 0 {
		return runtime.GOMAXPROCS(0)
	}
	return c.HashingConcurrency
}

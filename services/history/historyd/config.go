package historyd

import (
	"errors"
	"fmt"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/config"
	"github.com/natter-io/natter/pkg/kit/health"
	"github.com/natter-io/natter/pkg/kit/logging"
	"github.com/natter-io/natter/pkg/kit/natsconn"
	"github.com/natter-io/natter/services/history/internal/sqlite"
)

// Name is the service's name, from which its environment variables and its connection are named.
const Name = "natter-history"

// About describes the service in its help.
const About = "Keeps the messages that are posted to Socket.IO rooms, and answers for them."

// Config are the settings of the history service. Defaults are in the tags; see package config for the
// spelling in file, environment and flags.
type Config struct {
	NATS          natsconn.Options `embed:"" prefix:"nats-"`
	Prefix        string           `default:"natter" help:"First token of all subjects."`
	Database      string           `default:"data/history.db" help:"SQLite file. One instance of the service at a time may use it, and a deployment has one." placeholder:"FILE"`
	Sync          string           `default:"full" enum:"full,normal" help:"When the disk must have what is stored: full, at every commit; normal, at checkpoints, which is faster, but a power failure may take back the last commits, which are not delivered again."`
	PostsAge      time.Duration    `default:"720h" help:"How long posts wait in their stream for this service; it may be down for that long."`
	PostsMaxBytes config.Bytes     `default:"0" help:"Most that this stream may hold; when it is full the oldest posts go, which are lost if the service has been down since they came. 0: no bound but the account's."`
	Batch         int              `default:"256" help:"Most messages stored in one transaction."`
	Replicas      int              `default:"1" help:"Copies of the streams in a NATS cluster, 1 to 5."`

	Health health.Options  `embed:"" prefix:"health-" set:"health=127.0.0.1:9092"`
	Log    logging.Options `embed:"" prefix:"log-"`
}

const maxBatch = 10_000

// Validate says what is wrong with the settings, all of it.
func (c *Config) Validate() error {
	var errs []error
	if _, err := contract.NewSubjects(c.Prefix); err != nil {
		errs = append(errs, fmt.Errorf("prefix: %w", err))
	}
	if c.Database == "" {
		errs = append(errs, errors.New("database: is empty: name a file, such as data/history.db"))
	}
	if s := sqlite.Sync(c.Sync); s != sqlite.SyncFull && s != sqlite.SyncNormal {
		errs = append(errs, fmt.Errorf("sync: %q is neither %s nor %s", c.Sync, sqlite.SyncFull, sqlite.SyncNormal))
	}
	if c.PostsAge < time.Minute {
		errs = append(errs, fmt.Errorf("postsAge: %s is less than 1m: posts would be gone before a restart is over", c.PostsAge))
	}
	if c.PostsMaxBytes < 0 || c.PostsMaxBytes > 0 && c.PostsMaxBytes < 1<<20 {
		errs = append(errs, fmt.Errorf("postsMaxBytes: %d is neither 0 nor at least 1MiB", c.PostsMaxBytes))
	}
	if c.Batch < 1 || c.Batch > maxBatch {
		errs = append(errs, fmt.Errorf("batch: %d is not from 1 to %d", c.Batch, maxBatch))
	}
	if c.Replicas < 1 || c.Replicas > 5 {
		errs = append(errs, fmt.Errorf("replicas: %d is not from 1 to 5", c.Replicas))
	}
	return errors.Join(errs...)
}

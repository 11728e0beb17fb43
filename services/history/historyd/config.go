package historyd

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/pkg/kit/config"
	"github.com/natter-io/natter/pkg/kit/health"
	"github.com/natter-io/natter/pkg/kit/logging"
	"github.com/natter-io/natter/pkg/kit/natsconn"
	"github.com/natter-io/natter/services/history/internal/postgres"
	"github.com/natter-io/natter/services/history/internal/record"
	"github.com/natter-io/natter/services/history/internal/sqlite"
	"github.com/natter-io/natter/services/history/internal/sweep"
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
	Database      string           `default:"data/history.db" help:"SQLite file, for one instance of the service; or postgres://user@host/database, which several instances share." placeholder:"FILE|URL"`
	Password      config.Secret    `name:"database-password" help:"Password of PostgreSQL, instead of one in the URL; file:PATH reads it from a file."`
	Sync          string           `default:"full" enum:"full,normal" help:"SQLite: when the disk must have what is stored: full, at every commit; normal, at checkpoints, which is faster, but a power failure may take back the last commits, of which posts are delivered again, and edits are lost."`
	PostsAge      time.Duration    `default:"720h" help:"How long posts wait in their stream for this service; it may be down for that long."`
	PostsMaxBytes config.Bytes     `default:"0" help:"Most that this stream may hold; when it is full the oldest posts go, which are lost if the service has been down since they came. 0: no bound but the account's."`
	Batch         int              `default:"256" help:"Most messages stored in one transaction."`
	Replicas      int              `default:"1" help:"Copies of the streams in a NATS cluster, 1 to 5."`
	Keep          time.Duration    `default:"0s" help:"How long messages are kept; 0s: for ever."`
	// KeepRooms says it for rooms, by namespace and name. The name * is for all others of the namespace, and for what
	// is said to all of it.
	KeepRooms map[string]map[string]time.Duration `kong:"-" yaml:"keepRooms" help:"The same for rooms, by namespace and name, such as /: {red: 24h}; * is for all others of the namespace."`

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
	switch {
	case c.Database == "":
		errs = append(errs, errors.New("database: is empty: name a file, such as data/history.db, or postgres://user@host/database"))
	case postgres.Scheme(c.Database):
		if err := postgres.Check(c.Database); err != nil {
			errs = append(errs, fmt.Errorf("database: %w", err))
		}
	case strings.Contains(c.Database, "://"):
		errs = append(errs, errors.New("database: is a URL, but not of PostgreSQL: name a file, or postgres://user@host/database"))
	case c.Password != "":
		errs = append(errs, errors.New("databasePassword: has a meaning with PostgreSQL only, but database names a file"))
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
	if c.Keep < 0 {
		errs = append(errs, fmt.Errorf("keep: %s is negative: 0s keeps messages for ever", c.Keep))
	}
	if _, err := c.rules(); err != nil {
		errs = append(errs, fmt.Errorf("keepRooms: %w", err))
	}
	return errors.Join(errs...)
}

// rules are how long messages are kept.
func (c *Config) rules() (sweep.Rules, error) {
	rules := sweep.Rules{Keep: c.Keep, Rooms: make(map[record.Place]time.Duration)}
	var errs []error
	for namespace, rooms := range c.KeepRooms {
		for room, keep := range rooms {
			place, err := record.NewPlace(namespace, &room)
			if room == sweep.EveryOther {
				place.Target = sweep.EveryOther
			}
			if err == nil && keep < 0 {
				err = fmt.Errorf("%s is negative: 0s keeps messages for ever", keep)
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %s: %w", namespace, room, err))
			}
			rules.Rooms[place] = keep
		}
	}
	return rules, errors.Join(errs...)
}

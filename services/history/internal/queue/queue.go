// Package queue makes the durable consumers of the history service, and sees to it that they belong to one database.
//
// What is acknowledged on a durable consumer never comes again. Instances with a database each would share a queue and
// keep a part of the messages each; a database that was lost or replaced would begin with what is said from now on. So
// the consumer's metadata names the database whose queue it is, and instances with another one do not touch it, nor
// answer for history, which they do not have. And the database notes how far the queue is, so that one of which a backup was put back
// gets what came since.
package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/kit/provision"
)

// metadata is the key in the consumer's metadata.
const metadata = "natter.database"

// ErrOtherDatabase says that a consumer is another database's.
var ErrOtherDatabase = errors.New("it is the queue of another database")

// Database is what a queue needs of its database.
type Database interface {
	// ID names the database.
	ID() string
	// Fact is what was noted under a name last; "" if nothing was.
	Fact(ctx context.Context, name string) (string, error)
	// NoteFact notes a fact, unless something else than what it was read to be is noted by then: took is false.
	NoteFact(ctx context.Context, name, was, value string) (took bool, err error)
}

// Consumer makes a stream's durable consumer or brings it up to date, for a database. If that has less than was acknowledged, what it may lack
// is delivered again. What is known of its floor is the database's then.
func Consumer(ctx context.Context, js jetstream.JetStream, stream jetstream.Stream, cfg jetstream.ConsumerConfig, db Database, floor *Floor, log *slog.Logger) (jetstream.Consumer, error) {
	database := db.ID()
	cfg.Metadata = map[string]string{metadata: database}
	c, err := stream.Consumer(ctx, cfg.Durable)
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound):
		if c, err = stream.CreateConsumer(ctx, cfg); err == nil { // fails if somebody else is quicker
			floor.set(position{})
		}
	case err == nil:
		if err = owned(c.CachedInfo(), database); err == nil {
			c, err = stream.UpdateConsumer(ctx, cfg)
		}
		if err == nil {
			err = floor.rewind(ctx, js, stream.CachedInfo(), c.CachedInfo(), db, log)
		}
	}
	if err != nil {
		return nil, of(err, stream.CachedInfo().Config.Name, cfg.Durable)
	}
	return c, nil
}

// Check asks whether the consumer is still there and this database's.
func Check(ctx context.Context, c jetstream.Consumer, database string) error {
	info, err := c.Info(ctx)
	if err == nil {
		err = owned(info, database)
	}
	return of(err, c.CachedInfo().Stream, c.CachedInfo().Name)
}

// Free asks whether a stream's durable consumer is this database's or nobody's yet.
func Free(ctx context.Context, js jetstream.JetStream, stream, durable, database string) error {
	c, err := js.Consumer(ctx, stream, durable)
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound), errors.Is(err, jetstream.ErrStreamNotFound):
		return nil
	case err == nil:
		err = owned(c.CachedInfo(), database)
	default:
		err = provision.Explain(js, err)
	}
	return of(err, stream, durable)
}

func of(err error, stream, durable string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("consumer %s of %s: %w", durable, stream, err)
}

func owned(info *jetstream.ConsumerInfo, database string) error {
	if owner := info.Config.Metadata[metadata]; owner != "" && owner != database {
		return fmt.Errorf("%w (%s; this one is %s): use that one, or, if it is lost, run \"nats consumer rm %s %s\", and what is still in the stream is stored again",
			ErrOtherDatabase, owner, database, info.Stream, info.Name)
	}
	return nil
}

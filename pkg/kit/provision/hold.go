package provision

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
)

// held is the metadata of a main stream that keeps everything for the time being: the age that it has otherwise, such as
// 3m0s. It is in the stream, so that any gateway can put the age back, also when the one that raised it is gone.
const held = "natter.held.max_age"

// maxAge is the age of a stream; of one that is held, the age that it will have again.
var maxAge = limit{
	setting: "max_age",
	of: func(c *jetstream.StreamConfig) int64 {
		if age, ok := heldAge(c); ok {
			return int64(age)
		}
		return int64(c.MaxAge)
	},
	set: func(c *jetstream.StreamConfig, n int64) {
		if _, ok := heldAge(c); ok {
			c.Metadata = maps.Clone(c.Metadata)
			c.Metadata[held] = time.Duration(n).String()
			return
		}
		c.MaxAge = time.Duration(n)
	},
	show: func(n int64) any {
		if n <= 0 {
			return "no limit"
		}
		return time.Duration(n)
	},
}

// heldAge is the age that a stream had before it was held; false if it is not.
func heldAge(c *jetstream.StreamConfig) (time.Duration, bool) {
	age, err := time.ParseDuration(c.Metadata[held])
	return age, err == nil && age > 0 && c.MaxAge <= 0
}

// Hold has the main stream keep everything, whatever its age, until [Unhold]. Holding what is held changes nothing, so it is
// repeated as long as the reason lasts: whoever changes the stream at the same moment may undo it.
func Hold(ctx context.Context, js jetstream.JetStream, s contract.Subjects, st Storage) error {
	return amend(ctx, js, s.Names().Stream, st, func(have jetstream.StreamConfig) []change {
		if have.MaxAge <= 0 {
			return nil
		}
		age := have.MaxAge
		return []change{{maxAge.setting, age, "no limit, until posts are copied again", true, func(c *jetstream.StreamConfig) {
			c.Metadata = maps.Clone(c.Metadata)
			if c.Metadata == nil {
				c.Metadata = make(map[string]string)
			}
			c.MaxAge, c.Metadata[held] = 0, age.String()
		}}}
	})
}

// Unhold gives the main stream the age that it had before [Hold], or the given one if that is longer. One that is not held
// is left alone.
func Unhold(ctx context.Context, js jetstream.JetStream, s contract.Subjects, age time.Duration, st Storage) error {
	return amend(ctx, js, s.Names().Stream, st, func(have jetstream.StreamConfig) []change {
		before, ok := heldAge(&have)
		if !ok {
			return nil
		}
		age := max(age, before, have.Duplicates)
		return []change{{maxAge.setting, "no limit", age, true, func(c *jetstream.StreamConfig) {
			c.Metadata = maps.Clone(c.Metadata)
			delete(c.Metadata, held)
			c.MaxAge = age
		}}}
	})
}

func amend(ctx context.Context, js jetstream.JetStream, name string, st Storage, lacks func(jetstream.StreamConfig) []change) error {
	_, err := amended(ctx, js, name, st, lacks)
	return err
}

// amended changes a stream that is there, by what its configuration is. An update replaces all of that, so what is not answered is not
// said again as it was: somebody may have changed the stream since it was read. It returns the stream as it is then.
func amended(ctx context.Context, js jetstream.JetStream, name string, st Storage, lacks func(jetstream.StreamConfig) []change) (jetstream.Stream, error) {
	stream, err := Repeat(ctx, func(ctx context.Context) (jetstream.Stream, error) {
		stream, err := js.Stream(ctx, name)
		if err != nil {
			return nil, err
		}
		have := stream.CachedInfo().Config
		changes := lacks(have)
		if len(changes) == 0 {
			return stream, nil
		}
		if err := update(ctx, js, st, &have, changes); err != nil {
			return nil, err
		}
		return js.Stream(ctx, name)
	})
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("%w: JetStream does not change it now", err)
	}
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", name, err)
	}
	return stream, nil
}

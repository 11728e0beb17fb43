package provision

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// change is one thing that is to be different in a stream that is there.
type change struct {
	setting  string
	from, to any
	needed   bool // without it Natter does not work
	set      func(*jetstream.StreamConfig)
}

func (c change) String() string { return fmt.Sprintf("%s from %v to %v", c.setting, c.from, c.to) }

// Stream makes a stream on file storage. One that is there is changed, while it is in use, where it lacks what is wanted
// and nowhere else:
//
//   - what Natter cannot do without (subjects, republishing, sources, how it can be read) is added; a refusal is an error;
//   - ages, sizes and copies are raised to what is wanted and never lowered; a refusal is logged, and the stream is used as
//     it is;
//   - all the rest is whoever's who set it.
//
// Each change is logged with what was and what is.
func Stream(ctx context.Context, js jetstream.JetStream, st Storage, want jetstream.StreamConfig) (jetstream.Stream, error) {
	made, err := upgrade(ctx, js, st, normal(want))
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", want.Name, explain(err, js.Conn().ConnectedServerVersion()))
	}
	return made, nil
}

// normal writes a configuration as JetStream does.
func normal(cfg jetstream.StreamConfig) jetstream.StreamConfig {
	cfg.Storage = jetstream.FileStorage
	cfg.Replicas = max(cfg.Replicas, 1)
	for _, n := range []*int64{&cfg.MaxBytes, &cfg.MaxMsgs, &cfg.MaxMsgsPerSubject} {
		if *n <= 0 {
			*n = -1
		}
	}
	if cfg.MaxMsgSize <= 0 {
		cfg.MaxMsgSize = -1
	}
	cfg.MaxConsumers = -1
	return cfg
}

const (
	// upgradeTries bounds how often a stream is looked at that others change at the same time.
	upgradeTries = 8
	// lookAgain is about how long after a change it is looked at whether it is still there: an update replaces the whole
	// configuration, so that two at the same time can undo each other.
	lookAgain = 200 * time.Millisecond
)

func upgrade(ctx context.Context, js jetstream.JetStream, st Storage, want jetstream.StreamConfig) (jetstream.Stream, error) {
	var refused []string // settings that JetStream does not change
	unanswered := errContended
	for range upgradeTries {
		stream, err := Repeat(ctx, func(ctx context.Context) (jetstream.Stream, error) { return js.Stream(ctx, want.Name) })
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			stream, err = Repeat(ctx, func(ctx context.Context) (jetstream.Stream, error) { return js.CreateStream(ctx, want) })
			if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
				continue // somebody else has just made it, otherwise
			}
			return stream, err
		}
		if err != nil {
			return nil, err
		}
		have := stream.CachedInfo().Config
		changes := slices.DeleteFunc(lacks(have, want), func(c change) bool { return slices.Contains(refused, c.setting) })
		if len(changes) == 0 {
			tellLarger(st, have, want)
			return stream, nil
		}
		failed, err := apply(ctx, js, st, have, changes)
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil { // it is looked again what is there
			unanswered = err
			continue
		}
		if err != nil {
			return nil, err
		}
		refused = append(refused, failed...)
		if have.Replicas <= 1 && len(have.Sources) > 0 && raised(changes, failed) {
			spread(ctx, js, st, want.Name)
		}
		select {
		case <-time.After(lookAgain + rand.N(lookAgain)):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return nil, unanswered
}

var errContended = errors.New("its configuration is being changed all the time: do several services have different settings for it?")

// apply makes the changes together; if JetStream refuses, those that are needed together and the others one by one.
// It returns the settings that were refused.
func apply(ctx context.Context, js jetstream.JetStream, st Storage, have jetstream.StreamConfig, changes []change) (refused []string, err error) {
	if err := update(ctx, js, st, &have, changes); !isRefusal(err) {
		return nil, err
	}
	var needed, others []change
	for _, c := range changes {
		if c.needed {
			needed = append(needed, c)
		} else {
			others = append(others, c)
		}
	}
	if len(needed) > 0 {
		if err := update(ctx, js, st, &have, needed); err != nil {
			return nil, fmt.Errorf("changing %s: %w", list(needed), err)
		}
	}
	for _, c := range others {
		err := update(ctx, js, st, &have, []change{c})
		if isRefusal(err) {
			st.log().Warn("JetStream does not change a stream to what the settings say; it is used as it is", "stream", have.Name,
				"setting", c.setting, "is", c.from, "wanted", c.to, "error", explain(err, js.Conn().ConnectedServerVersion()))
			refused = append(refused, c.setting)
			continue
		}
		if err != nil {
			return nil, err
		}
	}
	return refused, nil
}

// raised says whether a stream was given more copies.
func raised(changes []change, refused []string) bool {
	return !slices.Contains(refused, replicas) && slices.ContainsFunc(changes, func(c change) bool { return c.setting == replicas })
}

// update makes changes to a stream as it is known to be, once.
func update(ctx context.Context, js jetstream.JetStream, st Storage, have *jetstream.StreamConfig, changes []change) error {
	next := *have
	for _, c := range changes {
		c.set(&next)
	}
	attempt, cancel := context.WithTimeout(ctx, repeatAfter)
	defer cancel()
	if _, err := js.UpdateStream(attempt, next); err != nil {
		return err
	}
	*have = next
	for _, c := range changes {
		if c.setting == ownership {
			st.log().Info("a stream has the age and size of these settings from now on", "stream", have.Name)
			continue
		}
		st.log().Info("changed a stream", "stream", have.Name, "setting", c.setting, "from", c.from, "to", c.to)
	}
	return nil
}

// isRefusal tells what JetStream has decided from what it could not do now.
func isRefusal(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.Code < 500 || errors.As(err, &api) && api.ErrorCode == errCodeNoReplicas
}

// errCodeNoReplicas is JetStream's "replicas > 1 not supported in non-clustered mode".
const errCodeNoReplicas jetstream.ErrorCode = 10074

func list(changes []change) string {
	texts := make([]string, len(changes))
	for i, c := range changes {
		texts[i] = c.String()
	}
	return strings.Join(texts, ", ")
}

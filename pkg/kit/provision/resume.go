package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Resume has JetStream set up anew what copies into a stream from its sources. It goes on behind what was copied last, so
// that nothing is copied twice or left out.
//
// A stream with several copies gets another leader ($JS.API.STREAM.LEADER.STEPDOWN), which takes about a second. Of one with
// a single copy the sources are taken away and given back; should that be interrupted, [Posts] gives them back.
func Resume(ctx context.Context, js jetstream.JetStream, name string) error {
	stream, err := js.Stream(ctx, name)
	if err == nil {
		if cfg := stream.CachedInfo().Config; cfg.Replicas > 1 {
			err = stepDown(ctx, js, name)
		} else {
			err = sourceAgain(ctx, js, cfg)
		}
	}
	if err != nil {
		return fmt.Errorf("stream %s: setting up its copying again: %w", name, err)
	}
	return nil
}

func stepDown(ctx context.Context, js jetstream.JetStream, name string) error {
	subject := "$JS.API.STREAM.LEADER.STEPDOWN." + name
	ctx, cancel := context.WithTimeout(ctx, repeatAfter)
	defer cancel()
	msg, err := js.Conn().RequestWithContext(ctx, subject, nil)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrNoResponders) {
		return fmt.Errorf("%w: may the NATS user publish on %s?", err, subject)
	}
	if err != nil {
		return err
	}
	var answer struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(msg.Data, &answer); err != nil {
		return fmt.Errorf("%s: %w", subject, err)
	}
	if answer.Error != nil {
		return answer.Error
	}
	return nil
}

func sourceAgain(ctx context.Context, js jetstream.JetStream, cfg jetstream.StreamConfig) error {
	set := func(ctx context.Context, cfg jetstream.StreamConfig) error {
		_, err := Repeat(ctx, func(ctx context.Context) (jetstream.Stream, error) { return js.UpdateStream(ctx, cfg) })
		return err
	}
	without := cfg
	without.Sources = nil
	if err := set(ctx, without); err != nil {
		return err
	}
	back, cancel := context.WithTimeout(context.WithoutCancel(ctx), repeatMost*repeatAfter)
	defer cancel()
	stream, err := js.Stream(back, cfg.Name)
	if err != nil {
		return err
	}
	now := stream.CachedInfo().Config // somebody may have changed it meanwhile
	if len(now.Sources) > 0 {
		return nil
	}
	now.Sources, now.Subjects = cfg.Sources, cfg.Subjects // without sources it was given a subject
	return set(back, now)
}

// spreadWait bounds the wait for the new copies of a stream; if they need longer it gets another leader anyway.
const spreadWait = 10 * time.Second

// spread sees to it that a stream which had a single copy until now goes on copying from its sources. nats-server stops that for good
// when a message comes from a source while the stream, which has become a Raft group, has no leader yet; the next
// leader begins anew.
func spread(ctx context.Context, js jetstream.JetStream, st Storage, name string) {
	err := func() error {
		for end := time.Now().Add(spreadWait); ; {
			stream, err := js.Stream(ctx, name)
			if err == nil && spreadOut(stream.CachedInfo()) || time.Now().After(end) {
				return Resume(ctx, js, name)
			}
			select {
			case <-time.After(lookAgain):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}()
	if err != nil {
		st.log().Warn("a stream that has more copies now may have stopped copying from its sources; if it has, gateways see it within seconds", "stream", name,
			"error", err, "remedy", "nats stream cluster step-down "+name)
	}
}

// spreadOut says whether all copies of a stream are there and current.
func spreadOut(info *jetstream.StreamInfo) bool {
	c := info.Cluster
	return c != nil && c.Leader != "" && c.Desired == nil && len(c.Replicas) >= info.Config.Replicas-1 &&
		!slices.ContainsFunc(c.Replicas, func(r *jetstream.PeerInfo) bool { return !r.Current || r.Offline })
}

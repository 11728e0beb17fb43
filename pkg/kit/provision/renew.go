package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
)

// again is the metadata of a posts stream that copies from the main stream anew: since when, in RFC 3339.
const again = "natter.copied_again"

// againFor is how long that begins at a given sequence. Then it is under way, and a main stream that is made anew must be copied
// from its own beginning.
const againFor = 30 * time.Second

// Seen is a message that the main stream had stored. Zero: it is certain by other means that the stream went back.
type Seen struct {
	Sequence uint64
	Stored   time.Time // by the stream's clock; zero: not known
}

// Renew begins a new incarnation of the main stream, which went back: sequences repeat, so ids must differ. It is told which one
// seems to have gone back, by a message that is not there, and the time of the newest message that was seen of it: what the stream has
// stored later belongs to the new one. If the stream has not gone back after all, that incarnation is returned; if somebody
// else has begun another one meanwhile, that.
//
// The time of its first message is its epoch, so that copies of messages that are no more can be told by their age.
func Renew(ctx context.Context, js jetstream.JetStream, s contract.Subjects, was contract.Incarnation, lost Seen, after time.Time, st Storage) (now contract.Incarnation, err error) {
	if lost.Sequence > 0 {
		if back, err := hasLost(ctx, js, s, lost); err != nil || !back {
			return was, err
		}
	}
	name := s.Names().Stream
	for range upgradeTries {
		stream, err := js.Stream(ctx, name)
		if err != nil {
			return now, fmt.Errorf("stream %s: %w", name, err)
		}
		info := stream.CachedInfo()
		if now = contract.IncarnationOf(info.Created, info.Config.Metadata); now != was {
			return now, nil
		}
		first, began, err := firstAfter(ctx, js.Conn(), info, after)
		if err != nil {
			return now, fmt.Errorf("stream %s: %w", name, err)
		}
		before, err := strconv.ParseInt(was.Epoch, 36, 64)
		if err != nil {
			return now, fmt.Errorf("stream %s: epoch %q: %w", name, was.Epoch, err)
		}
		next := contract.Incarnation{Epoch: strconv.FormatInt(max(began.UnixMilli(), before+1), 36), First: first}
		if err := copyAgain(ctx, js, s, next, st); err != nil {
			return now, err
		}
		err = amend(ctx, js, name, st, func(have jetstream.StreamConfig) []change {
			if contract.IncarnationOf(info.Created, have.Metadata) != was { // somebody else was quicker
				return nil
			}
			return []change{begins(was, next)}
		})
		if err != nil {
			return now, err
		}
		select { // an update replaces the whole configuration: look whether it is still there
		case <-time.After(lookAgain):
		case <-ctx.Done():
			return now, context.Cause(ctx)
		}
	}
	return now, fmt.Errorf("stream %s: %w", name, errContended)
}

// begins is the change to another incarnation.
func begins(was, next contract.Incarnation) change {
	return change{contract.MetadataEpoch, was.Epoch, next.Epoch, true, func(c *jetstream.StreamConfig) {
		c.Metadata = maps.Clone(c.Metadata)
		if c.Metadata == nil {
			c.Metadata = make(map[string]string)
		}
		c.Metadata[contract.MetadataEpoch], c.Metadata[contract.MetadataFirst] = next.Epoch, strconv.FormatUint(next.First, 10)
	}}
}

// PutBack has the main stream, which was made at the given time, say again of an incarnation that it had, if it says of an earlier one now: an update
// that somebody had begun before [Renew] may have replaced the configuration. It returns the stream as it is then.
func PutBack(ctx context.Context, js jetstream.JetStream, s contract.Subjects, made time.Time, had contract.Incarnation, st Storage) (jetstream.Stream, error) {
	return amended(ctx, js, s.Names().Stream, st, func(have jetstream.StreamConfig) []change {
		says := contract.IncarnationOf(made, have.Metadata)
		is, err := strconv.ParseInt(says.Epoch, 36, 64)
		was, e := strconv.ParseInt(had.Epoch, 36, 64)
		if err != nil || e != nil || is >= was {
			return nil
		}
		return []change{begins(says, had)}
	})
}

// hasLost says whether the main stream has lost a message for sure. Whoever says how far a stream is may lead it no more, or have
// come to lead it just now. So something is stored: most of its servers agree on the sequence of that, which comes after
// all that were there. It means nothing to anybody.
func hasLost(ctx context.Context, js jetstream.JetStream, s contract.Subjects, lost Seen) (bool, error) {
	name := s.Names().Stream
	ack, err := js.Publish(ctx, s.Fence(), nil, jetstream.WithExpectStream(name))
	if err != nil {
		return false, fmt.Errorf("stream %s: asking it how far it is, by a message that it is to store: %w", name, err)
	}
	if ack.Sequence <= lost.Sequence {
		return true, nil
	}
	at, err := StoredAt(ctx, js.Conn(), name, lost.Sequence)
	return err == nil && !at.IsZero() && !lost.Stored.IsZero() && !at.Equal(lost.Stored), err
}

var errBehind = errors.New("the copy on one of its servers is behind")

// firstAfter is the first message that was stored after a time; if there is none, the one that is next.
func firstAfter(ctx context.Context, nc *nats.Conn, info *jetstream.StreamInfo, after time.Time) (uint64, time.Time, error) {
	request, err := json.Marshal(struct {
		StartTime time.Time `json:"start_time"`
	}{after.Add(1).UTC()})
	if err != nil {
		return 0, time.Time{}, err
	}
	msg, err := Direct(ctx, nc, info.Config.Name, request)
	if err != nil {
		return 0, time.Time{}, err
	}
	if msg != nil {
		stored, err := contract.ParseStored(contract.Header(msg.Header))
		if err != nil || stored.Time.After(after) {
			return stored.Sequence, stored.Time, err
		}
	}
	if info.State.LastTime.After(after) {
		return 0, time.Time{}, errBehind
	}
	return info.State.LastSeq + 1, info.TimeStamp, nil
}

// copyAgain has the posts stream, if it has copied sequences that the new incarnation uses again, copy from that one's beginning.
// JetStream ignores all that is not beyond what it has copied from a source, so this becomes another source, which it is by
// a second filter, that nothing matches.
func copyAgain(ctx context.Context, js jetstream.JetStream, s contract.Subjects, next contract.Incarnation, st Storage) error {
	name := s.Names().Posts
	stream, err := js.Stream(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("stream %s: %w", name, err)
	}
	info := stream.CachedInfo()
	copied, err := Copied(ctx, js.Conn(), info)
	if err != nil || copied < next.First {
		return err
	}
	filter := s.AllOf(contract.Post)
	changes := []change{{"sources", "what was copied", fmt.Sprintf("from sequence %d on, once more", next.First), true, func(c *jetstream.StreamConfig) {
		c.Sources = []*jetstream.StreamSource{{Name: s.Names().Stream, OptStartSeq: next.First, SubjectTransforms: []jetstream.SubjectTransformConfig{
			{Source: filter, Destination: filter},
			{Source: s.Prefix() + ".again." + next.Epoch, Destination: s.Prefix() + ".again." + next.Epoch},
		}}}
		c.Metadata = maps.Clone(c.Metadata)
		if c.Metadata == nil {
			c.Metadata = make(map[string]string)
		}
		c.Metadata[again] = time.Now().UTC().Format(time.RFC3339)
	}}}
	return amend(ctx, js, name, st, func(jetstream.StreamConfig) []change { return changes })
}

// sameSource says whether a source copies what is wanted, be it once more.
func sameSource(have, want *jetstream.StreamSource) bool {
	if have.FilterSubject == want.FilterSubject {
		return true
	}
	return have.FilterSubject == "" && len(have.SubjectTransforms) > 0 &&
		have.SubjectTransforms[0] == jetstream.SubjectTransformConfig{Source: want.FilterSubject, Destination: want.FilterSubject}
}

// Settled says whether there is nothing about a running posts stream that [Posts] has to change: that it began to copy anew at a sequence, or that
// somebody has given it a duplicate window.
func Settled(cfg jetstream.StreamConfig) bool { return !copiesAgain(cfg) && cfg.Duplicates <= 0 }

func copiesAgain(cfg jetstream.StreamConfig) bool {
	since, err := time.Parse(time.RFC3339, cfg.Metadata[again])
	return err == nil && time.Since(since) > againFor
}

// Copied is the sequence in the main stream of what was copied last; 0 if nothing is there.
func Copied(ctx context.Context, nc *nats.Conn, posts *jetstream.StreamInfo) (uint64, error) {
	if posts.State.Msgs == 0 {
		return 0, nil
	}
	msg, err := Direct(ctx, nc, posts.Config.Name, fmt.Appendf(nil, `{"seq":%d}`, posts.State.LastSeq))
	if err != nil || msg == nil {
		return 0, err
	}
	_, sequence, err := contract.SourceSequence(contract.Header(msg.Header))
	return sequence, err
}

// StoredAt is when a stream stored the message that has the sequence now; zero if there is none.
func StoredAt(ctx context.Context, nc *nats.Conn, stream string, sequence uint64) (time.Time, error) {
	msg, err := Direct(ctx, nc, stream, fmt.Appendf(nil, `{"seq":%d}`, sequence))
	if err != nil || msg == nil {
		return time.Time{}, err
	}
	stored, err := contract.ParseStored(contract.Header(msg.Header))
	return stored.Time, err
}

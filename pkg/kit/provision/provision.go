// Package provision makes the streams and buckets of a deployment: each service makes what it owns or
// needs when it starts, in any order of start, and making what is there already changes nothing.
//
// A stream that is there is brought to what Natter needs while it is in use. What Natter does not set (placement, tags,
// compression, …) stays as it is. What settings say about ages, sizes and copies is a lower bound: instances with different
// settings, and operators, do not undo each other's changes. See [upgrade].
//
// It does not know what is published on them; their names are in package contract.
package provision

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/contract"
)

// Storage says how a stream or bucket is kept.
type Storage struct {
	Replicas   int          // copies in a NATS cluster, 1 to 5
	MaxBytes   int64        // of streams; 0 or less: no limit but the account's
	MaxMessage int32        // largest message of the main stream; 0 or less: no limit but the server's
	Log        *slog.Logger // is told what is changed of a stream that is there; slog.Default() if nil
}

func (st Storage) log() *slog.Logger {
	if st.Log == nil {
		return slog.Default()
	}
	return st.Log
}

// Main makes the stream of all that is said to clients ([contract.Emit], [contract.Post], [contract.Do]),
// which JetStream republishes on [contract.Live] once it is stored. Messages stay for age; duplicates is
// how long a Nats-Msg-Id is remembered. When the stream is full it refuses what is new: who said it hears no ack and says
// it again, while what was acknowledged stays for those who have not read it. The gateway owns it.
func Main(ctx context.Context, js jetstream.JetStream, s contract.Subjects, age, duplicates time.Duration, st Storage) (jetstream.Stream, error) {
	return Stream(ctx, js, st, jetstream.StreamConfig{
		Name:        s.Names().Stream,
		Description: "What is said to Socket.IO clients: kept for the recovery window, republished for live delivery.",
		Subjects:    stored(s),
		MaxAge:      age,
		Duplicates:  min(duplicates, age),
		Replicas:    st.Replicas,
		MaxBytes:    st.MaxBytes,
		MaxMsgSize:  st.MaxMessage,
		Discard:     jetstream.DiscardNew,
		AllowDirect: true,
		DenyDelete:  true,
		DenyPurge:   true,
		RePublish:   &jetstream.RePublish{Source: s.Prefix() + ".*.>", Destination: s.AllOf(contract.Live)},
	})
}

// stored are the subjects of the main stream: every form of target and nothing else, so that JetStream does
// not acknowledge what no gateway could deliver.
func stored(s contract.Subjects) []string {
	var subjects []string
	for _, kind := range []contract.Kind{contract.Emit, contract.Post, contract.Do} {
		for _, form := range []string{contract.TargetAll, contract.TargetMany, contract.TargetRoom, contract.TargetSocket} {
			subjects = append(subjects, s.EveryTarget(kind, form, "*"))
		}
	}
	return subjects
}

// postsAge is how long posts stay before the history service has said it.
const postsAge = 30 * 24 * time.Hour

// Posts makes the stream of what is kept for history. JetStream copies it from the main stream, which need
// not exist yet. Posts stay for age, also those that history has: when the stream is full the oldest go, since refusing what
// is new would keep what is not needed any more. The history service owns it.
//
// Gateways make it too, with age 0, so that no post ages out of the main stream before history is started for the first
// time. They have no say in how long and how much it keeps: one that they made keeps everything for 30 days, until the
// history service takes it over and gives it age and size of its own, be they less.
func Posts(ctx context.Context, js jetstream.JetStream, s contract.Subjects, age time.Duration, st Storage) (jetstream.Stream, error) {
	cfg := posts(s, age, st)
	if age <= 0 {
		cfg.MaxAge, cfg.MaxBytes, cfg.Metadata = postsAge, 0, map[string]string{unowned: "true"}
	}
	return Stream(ctx, js, st, cfg)
}

func posts(s contract.Subjects, age time.Duration, st Storage) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        s.Names().Posts,
		Description: "Posted messages, waiting for the history service.",
		Sources:     []*jetstream.StreamSource{{Name: s.Names().Stream, FilterSubject: s.AllOf(contract.Post)}},
		MaxAge:      age,
		Replicas:    st.Replicas,
		MaxBytes:    st.MaxBytes,
		AllowDirect: true,
		DenyDelete:  true,
		DenyPurge:   true,
	}
}

const (
	// eventsAge is how long a service may be down and still hear the facts it missed.
	eventsAge = 90 * 24 * time.Hour
	// factsLonger is how much longer facts stay than posts, some of which may come after the fact that concerns them.
	factsLonger = 24 * time.Hour
)

// Events makes the stream of facts between services, so that one that was down hears them later. Facts of what was
// taken out of history outlive the posts concerned, which stay for posts. When it is full, who states a fact is told so.
func Events(ctx context.Context, js jetstream.JetStream, s contract.Subjects, posts time.Duration, st Storage) (jetstream.Stream, error) {
	return Stream(ctx, js, st, jetstream.StreamConfig{
		Name:        s.Names().Events,
		Description: "Facts between services, such as a deleted user.",
		Subjects:    []string{s.AllOf(contract.Event)},
		MaxAge:      max(eventsAge, posts+factsLonger),
		Replicas:    st.Replicas,
		MaxBytes:    st.MaxBytes,
		Discard:     jetstream.DiscardNew,
		DenyDelete:  true,
		DenyPurge:   true,
	})
}

// Namespaces makes the bucket of namespace configurations ([contract.Namespace]).
func Namespaces(ctx context.Context, js jetstream.JetStream, s contract.Subjects, st Storage) (jetstream.KeyValue, error) {
	return Bucket(ctx, js, st, jetstream.KeyValueConfig{
		Bucket:      s.Names().Namespaces,
		Description: "Socket.IO namespaces: who may enter, and what a client's event does.",
		History:     5,
	})
}

// Gateways makes the bucket in which each gateway holds a lease that ends by itself after ttl.
func Gateways(ctx context.Context, js jetstream.JetStream, s contract.Subjects, ttl time.Duration, st Storage) (jetstream.KeyValue, error) {
	return Bucket(ctx, js, st, jetstream.KeyValueConfig{
		Bucket:      s.Names().Gateways,
		Description: "Leases of the gateways that are alive.",
		TTL:         ttl,
	})
}

// Sessions makes the bucket of the sockets that clients may come back to.
func Sessions(ctx context.Context, js jetstream.JetStream, s contract.Subjects, st Storage) (jetstream.KeyValue, error) {
	return Bucket(ctx, js, st, jetstream.KeyValueConfig{
		Bucket:         s.Names().Sessions,
		Description:    "Sockets, for the gateway to which a client comes back. Keys are secrets between gateways and clients.",
		LimitMarkerTTL: time.Minute,
	})
}

const (
	repeatAfter = 3 * time.Second
	repeatMost  = 5
)

// Repeat asks JetStream again where no answer came: of two services that make the same stream of a cluster at
// the same moment, neither hears that it was made. What is asked for must change nothing the second time.
func Repeat[T any](ctx context.Context, ask func(context.Context) (T, error)) (result T, err error) {
	for range repeatMost {
		attempt, cancel := context.WithTimeout(ctx, repeatAfter)
		result, err = ask(attempt)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			break
		}
	}
	return result, err
}

// oldestServer is the first release of nats-server that has all that Natter asks for.
const oldestServer = "2.15"

// Explain adds to an error of JetStream what to do, as the errors of this package have it.
func Explain(js jetstream.JetStream, err error) error {
	return explain(err, js.Conn().ConnectedServerVersion())
}

// explain adds what to do to the errors that a new deployment meets first. server is the version of the
// nats-server that was asked, "" if it is not known.
func explain(err error, server string) error {
	var major, minor int
	if n, _ := fmt.Sscanf(server, "%d.%d", &major, &minor); n == 2 && (major < 2 || major == 2 && minor < 15) {
		return fmt.Errorf("%w: this nats-server is %s, Natter needs %s or newer", err, server, oldestServer)
	}
	if errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) {
		return fmt.Errorf("%w: start nats-server with -js, or enable JetStream for the account", err)
	}
	// A server without JetStream leaves its requests unanswered, as a cluster does that has no leader yet.
	if errors.Is(err, nats.ErrNoResponders) {
		return fmt.Errorf("%w: JetStream is not there: start nats-server with -js, or wait until its cluster is complete", err)
	}
	var api *jetstream.APIError
	if errors.As(err, &api) && api.ErrorCode == errCodeNoReplicas {
		return fmt.Errorf("%w: set replicas to 1, or make the nats-servers a cluster", err)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: JetStream did not answer: may the NATS user publish on $JS.API.STREAM.INFO, CREATE and UPDATE of this stream?", err)
	}
	return err
}

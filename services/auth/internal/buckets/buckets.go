// Package buckets makes the key-value buckets of the auth service. They are JetStream's buckets (NATS ADR-8) in
// all but one point: every read is answered by the leader.
//
// An ordinary bucket lets any replica answer, some milliseconds behind: a user who was just deleted would still
// enter, and one who was just created would be told that the password is wrong.
//
// It does not know what the buckets hold.
package buckets

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/kit/provision"
)

// Open makes the bucket if it is not there, and returns it. It keeps one value a key, on file storage.
func Open(ctx context.Context, js jetstream.JetStream, name, description string, replicas int) (jetstream.KeyValue, error) {
	config := jetstream.StreamConfig{
		Name:              "KV_" + name,
		Description:       description,
		Subjects:          []string{"$KV." + name + ".>"},
		MaxMsgsPerSubject: 1,
		Discard:           jetstream.DiscardNew,
		Duplicates:        2 * time.Minute,
		Replicas:          replicas,
		Storage:           jetstream.FileStorage,
		AllowRollup:       true,
		DenyDelete:        true,
		AllowDirect:       false, // the one point
	}
	_, err := provision.Repeat(ctx, func(ctx context.Context) (jetstream.Stream, error) {
		return js.CreateOrUpdateStream(ctx, config)
	})
	if err != nil {
		return nil, fmt.Errorf("bucket %s: %w", name, err)
	}
	kv, err := js.KeyValue(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("bucket %s: %w", name, err)
	}
	return kv, nil
}

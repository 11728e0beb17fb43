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

	"github.com/nats-io/nats.go/jetstream"

	"github.com/natter-io/natter/pkg/kit/provision"
)

// Open makes the bucket if it is not there, and returns it. It keeps one value a key, on file storage.
func Open(ctx context.Context, js jetstream.JetStream, st provision.Storage, name, description string) (jetstream.KeyValue, error) {
	return provision.LeaderBucket(ctx, js, st, jetstream.KeyValueConfig{Bucket: name, Description: description})
}

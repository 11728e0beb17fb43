package provision

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	bucketPrefix     = "KV_" // of the stream behind a bucket (NATS ADR-8)
	bucketDuplicates = 2 * time.Minute
)

// Bucket makes a key-value bucket on file storage, as [Stream] makes a stream. Of the configuration it knows name,
// description, history, TTL and marker TTL.
func Bucket(ctx context.Context, js jetstream.JetStream, st Storage, cfg jetstream.KeyValueConfig) (jetstream.KeyValue, error) {
	return bucket(ctx, js, st, cfg, true)
}

// LeaderBucket is a bucket of which every read is answered by the leader. Of an ordinary one any replica may answer, some
// milliseconds behind.
func LeaderBucket(ctx context.Context, js jetstream.JetStream, st Storage, cfg jetstream.KeyValueConfig) (jetstream.KeyValue, error) {
	return bucket(ctx, js, st, cfg, false)
}

func bucket(ctx context.Context, js jetstream.JetStream, st Storage, cfg jetstream.KeyValueConfig, direct bool) (jetstream.KeyValue, error) {
	stream := jetstream.StreamConfig{
		Name:                   bucketPrefix + cfg.Bucket,
		Description:            cfg.Description,
		Subjects:               []string{"$KV." + cfg.Bucket + ".>"},
		MaxMsgsPerSubject:      int64(max(cfg.History, 1)),
		MaxAge:                 cfg.TTL,
		Discard:                jetstream.DiscardNew,
		Duplicates:             bucketDuplicates,
		Replicas:               st.Replicas,
		AllowRollup:            true,
		DenyDelete:             true,
		AllowDirect:            direct,
		AllowMsgTTL:            cfg.LimitMarkerTTL > 0,
		SubjectDeleteMarkerTTL: cfg.LimitMarkerTTL,
	}
	if cfg.TTL > 0 {
		stream.Duplicates = min(bucketDuplicates, cfg.TTL)
	}
	if _, err := Stream(ctx, js, st, stream); err != nil {
		return nil, fmt.Errorf("bucket %s: %w", cfg.Bucket, err)
	}
	kv, err := Repeat(ctx, func(ctx context.Context) (jetstream.KeyValue, error) { return js.KeyValue(ctx, cfg.Bucket) })
	if err != nil {
		return nil, fmt.Errorf("bucket %s: %w", cfg.Bucket, explain(err, js.Conn().ConnectedServerVersion()))
	}
	return kv, nil
}

package tokens

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Key signs and verifies tokens.
type Key struct {
	id      string
	private ed25519.PrivateKey
}

// ID names the key in the tokens' header kid.
func (k Key) ID() string { return k.id }

// storedKey is the value in the bucket. It is the deployment's most valuable secret: who reads it can sign
// in as anybody.
type storedKey struct {
	Seed    []byte    `json:"seed"` // RFC 8032: the private key, 32 bytes
	Created time.Time `json:"created"`
}

// signing is the key in the bucket under which the signing key lies.
const signing = "signing"

// LoadKey returns the signing key in the bucket, and makes it if there is none. Of several instances that
// start together one makes it and the others take it.
func LoadKey(ctx context.Context, kv jetstream.KeyValue) (Key, error) {
	entry, err := kv.Get(ctx, signing)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return makeKey(ctx, kv)
	}
	if err != nil {
		return Key{}, fmt.Errorf("reading the signing key: %w", err)
	}
	return parseKey(entry.Value())
}

func makeKey(ctx context.Context, kv jetstream.KeyValue) (Key, error) {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return Key{}, fmt.Errorf("making the signing key: %w", err)
	}
	value, err := json.Marshal(storedKey{Seed: private.Seed(), Created: time.Now().UTC()})
	if err != nil {
		return Key{}, fmt.Errorf("making the signing key: %w", err)
	}
	_, err = kv.Create(ctx, signing, value)
	if errors.Is(err, jetstream.ErrKeyExists) {
		// Another instance was faster. A read may still be answered by a replica that does not know.
		return awaitKey(ctx, kv)
	}
	if err != nil {
		return Key{}, fmt.Errorf("storing the signing key: %w", err)
	}
	return newKey(private), nil
}

// awaitKey reads a key that is known to exist.
func awaitKey(ctx context.Context, kv jetstream.KeyValue) (Key, error) {
	watch, err := kv.Watch(ctx, signing, jetstream.IgnoreDeletes())
	if err != nil {
		return Key{}, fmt.Errorf("reading the signing key: %w", err)
	}
	defer watch.Stop() //nolint:errcheck // the watcher is done with
	for {
		select {
		case entry, ok := <-watch.Updates():
			if !ok {
				return Key{}, fmt.Errorf("reading the signing key: %w", jetstream.ErrConsumerNotFound)
			}
			if entry != nil {
				return parseKey(entry.Value())
			}
		case <-ctx.Done():
			return Key{}, fmt.Errorf("reading the signing key: %w", context.Cause(ctx))
		}
	}
}

// parseKey does not repeat the value in its errors.
func parseKey(value []byte) (Key, error) {
	var k storedKey
	if err := json.Unmarshal(value, &k); err != nil || len(k.Seed) != ed25519.SeedSize {
		return Key{}, fmt.Errorf("the signing key in the bucket is damaged: delete it (every token ends) and start again")
	}
	return newKey(ed25519.NewKeyFromSeed(k.Seed)), nil
}

func newKey(private ed25519.PrivateKey) Key {
	sum := sha256.Sum256(private.Public().(ed25519.PublicKey))
	return Key{id: base64.RawURLEncoding.EncodeToString(sum[:9]), private: private}
}

package natsconn

import (
	"os"
	"testing"

	"github.com/nats-io/nkeys"
)

// writeNKey makes a user's seed file and returns the public key.
func writeNKey(t *testing.T, path string) string {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, seed, 0o600); err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return public
}

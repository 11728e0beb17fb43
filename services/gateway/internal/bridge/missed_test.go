package bridge

import (
	"testing"
	"time"

	"github.com/natter-io/natter/services/gateway/internal/transport"
)

func TestPacketsAreForgottenUnlessUsed(t *testing.T) {
	var c packets
	encoded := 0
	use := func() {
		t.Helper()
		if _, err := c.get(testEpoch, "/", 7, func() (*transport.Message, error) {
			encoded++
			return transport.NewMessage([]byte("42[]")), nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		trim time.Duration // from now
		want int
	}{{0, 1}, {cacheFor / 2, 1}, {2 * cacheFor, 2}} {
		c.trim(time.Now().Add(step.trim))
		use()
		if encoded != step.want {
			t.Fatalf("after a trim in %v it was encoded %d times, want %d", step.trim, encoded, step.want)
		}
	}
	if c.trim(time.Now().Add(2 * cacheFor)); c.encoded != nil || c.size != 0 {
		t.Errorf("%d bytes are kept", c.size)
	}
}

package bridge

import (
	"log/slog"
	"testing"

	"github.com/natter-io/natter/pkg/natstest"
)

// TestAGatewayThatIsGoneIsInTheLog is about one that held a lease and was killed.
func TestAGatewayThatIsGoneIsInTheLog(t *testing.T) {
	t.Parallel()
	server := natstest.Run(t)
	var log journal
	b, _ := started(t, server, func(o *Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	leases, err := newSpeaker(t, server).js.KeyValue(t.Context(), "NATTER_GATEWAYS")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // it is started again, and killed again
		if _, err := leases.Put(t.Context(), "g2", []byte(`{}`)); err != nil {
			t.Fatal(err)
		}
		until(t, "the other gateway", func() bool { return b.gateways.alive("g2") })
		until(t, "its end", func() bool { return !b.gateways.alive("g2") })
	}
	if n := log.count(`level=INFO msg="another gateway is taken for gone`, "gone=g2"); n != 2 {
		t.Errorf("%d lines in the log:\n%s", n, &log)
	}
}

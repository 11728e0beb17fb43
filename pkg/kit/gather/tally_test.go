package gather

import (
	"testing"

	"github.com/natter-io/natter/pkg/contract"
)

// A gateway that is just starting answers before the others count it: it may not stand in for one of them.
func TestOneThatStartsDoesNotStandInForAnother(t *testing.T) {
	t.Parallel()
	var all tally
	answer := func(gateway, gateways, peers string) {
		t.Helper()
		h := contract.Header{contract.HeaderGateway: {gateway}, contract.HeaderGateways: {gateways}}
		if peers != "" {
			h[contract.HeaderPeers] = []string{peers}
		}
		if _, err := all.add(h); err != nil {
			t.Fatal(err)
		}
	}
	answer("a", "2", "b")
	answer("d", "1", "")
	if all.complete() {
		t.Fatal("complete without b")
	}
	answer("b", "2", "a")
	if !all.complete() {
		t.Fatalf("not complete: %s", all.String())
	}
}

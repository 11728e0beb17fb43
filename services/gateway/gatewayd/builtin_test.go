package gatewayd

import (
	"testing"

	"github.com/natter-io/natter/services/gateway/internal/bridge"
)

// A version whose rules are not in the list could not be told from an operator's rules by the next one.
func TestBuiltInRulesAreListed(t *testing.T) {
	t.Parallel()
	all := DefaultNamespaces()
	for name, ns := range all {
		versions := builtInVersions[name]
		if got := bridge.Fingerprint(ns); len(versions) == 0 || versions[len(versions)-1] != got {
			t.Errorf("the built-in rules of %s have changed: append %q to builtInVersions[%q], which has %q", name, got, name, versions)
		}
	}
	if len(builtInVersions) < len(all) {
		t.Errorf("%d namespaces are listed, %d built in", len(builtInVersions), len(all))
	}
}

package main

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/natter-io/natter/services/gateway/gatewayd"
)

// The SDK's README lists the events that never reach a handler of the main namespace.
func TestReadmeOfTheSDKKnowsTheRules(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("pkg", "sdk", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, list, found := strings.Cut(string(data), "In the default `/`\n  these are ")
	list, _, ended := strings.Cut(list, ";")
	if !found || !ended {
		t.Fatal("the list of events is not where it was")
	}
	var named []string
	for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(list, -1) {
		named = append(named, name[1])
	}
	slices.Sort(named)
	if want := slices.Sorted(maps.Keys(gatewayd.DefaultNamespaces()["/"].Events)); !slices.Equal(named, want) {
		t.Errorf("pkg/sdk/README.md names the events %q, rules have %q", named, want)
	}
}

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

var (
	// testLink is a link of docs/*.md to a test: [TestName](../file_test.go), [TestName/part](../file_test.go), or
	// [title](../file.test.mjs), of which the title may be a part.
	testLink = regexp.MustCompile(`\[([^\]]+)\]\(\.\./([^)]+(?:_test\.go|\.test\.mjs))\)`)
	tableRow = regexp.MustCompile(`(?m)^\|.*\|$`)
)

// The tables that say which test shows what name tests that are there, in each of their lines.
func TestDocumentsNameTestsThatAreThere(t *testing.T) {
	for name, section := range map[string]string{"security.md": "## Flaws that others had", "suites.md": "## Engine.IO"} {
		data, err := os.ReadFile(filepath.Join("docs", name))
		if err != nil {
			t.Fatal(err)
		}
		_, tables, found := strings.Cut(string(data), section)
		if !found {
			t.Fatalf("docs/%s has no %q", name, section)
		}
		rows := 0
		for _, row := range tableRow.FindAllString(tables, -1) {
			cells := strings.Split(strings.Trim(row, "|"), "|")
			last := cells[len(cells)-1]
			if strings.HasPrefix(last, "---") || strings.HasSuffix(strings.TrimSpace(last), "tests") {
				continue
			}
			rows++
			links := testLink.FindAllStringSubmatch(last, -1)
			if len(links) == 0 {
				t.Errorf("docs/%s: no test shows this:\n%s", name, row)
			}
			for _, link := range links {
				if err := hasTest(link[2], link[1]); err != "" {
					t.Errorf("docs/%s: %s", name, err)
				}
			}
		}
		if rows < 20 {
			t.Errorf("docs/%s has %d lines only: are its tables still read?", name, rows)
		}
	}
}

// hasTest says what is wrong with a test's name, "" for nothing.
func hasTest(file, name string) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	function, part, _ := strings.Cut(name, "/")
	text := string(data)
	switch {
	case strings.HasSuffix(file, ".mjs"):
		if !regexp.MustCompile("test\\([\"`][^\\n]*" + regexp.QuoteMeta(name)).MatchString(text) {
			return file + " has no test " + name
		}
	case !strings.Contains(text, "\nfunc "+function+"(t *testing.T) {"):
		return file + " has no function " + function
	case part != "" && !strings.Contains(text, `"`+part+`"`):
		return file + " has no part " + part + " of " + function
	}
	return ""
}

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

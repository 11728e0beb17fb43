package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
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

// What docs/compatibility.md says of the public suites is what make suites expects of them.
func TestDocumentedSuitesAreThoseThatRun(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("test", "suites", "suites.json"))
	if err != nil {
		t.Fatal(err)
	}
	var table struct {
		Commit string
		Suites []struct {
			Name            string
			Passed, Skipped int
			LeftOut         *struct{ Title, Why string }
		}
	}
	if err := json.Unmarshal(data, &table); err != nil {
		t.Fatal(err)
	}
	if len(table.Suites) == 0 || table.Commit == "" {
		t.Fatal("suites.json has no suites or no commit")
	}
	data, err = os.ReadFile(filepath.Join("docs", "compatibility.md"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	if !strings.Contains(text, "at commit `"+table.Commit+"`") {
		t.Errorf("docs/compatibility.md does not name the commit %s", table.Commit)
	}
	documented := map[string]string{} // a suite to what passed, failed and was skipped
	for _, row := range tableRow.FindAllString(text, -1) {
		if cells := strings.Split(strings.Trim(row, "|"), "|"); len(cells) == 6 {
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			documented[strings.ReplaceAll(cells[0], "`", "")] = strings.Join(cells[2:5], " ")
		}
	}
	for _, s := range table.Suites {
		if want := fmt.Sprintf("%d 0 %d", s.Passed, s.Skipped); documented[s.Name] != want {
			t.Errorf("docs/compatibility.md says %q of %s, make suites expects %q", documented[s.Name], s.Name, want)
		}
		if s.LeftOut != nil && !strings.Contains(text, fmt.Sprintf("| %s: *%s* | %s |", s.Name, s.LeftOut.Title, s.LeftOut.Why)) {
			t.Errorf("docs/compatibility.md does not say that %q of %s is left out, and why", s.LeftOut.Title, s.Name)
		}
	}
}

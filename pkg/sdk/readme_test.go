package sdk_test

import (
	"os"
	"strings"
	"testing"
)

// The program in the README is the Example, which is run.
func TestReadmeShowsTheExample(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	must(t, err)
	example, err := os.ReadFile("example_test.go")
	must(t, err)
	_, rest, _ := strings.Cut(string(readme), "```go\n")
	block, _, found := strings.Cut(rest, "```")
	if !found || !strings.Contains(block, "sdk.New") {
		t.Fatal("README.md has no block of Go that begins with sdk.New")
	}
	if !strings.Contains(trimmed(string(example)), trimmed(block)) {
		t.Error("the first block of Go in README.md is not in example_test.go")
	}
}

// trimmed is the text without indentation.
func trimmed(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimSpace(line) + "\n")
	}
	return b.String()
}

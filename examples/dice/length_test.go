package main

import (
	"bytes"
	"os"
	"testing"
)

// A back end that people copy fits on a screen.
func TestFewerThanSixtyLines(t *testing.T) {
	text, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	if lines := bytes.Count(text, []byte("\n")); lines >= 60 {
		t.Errorf("%d lines", lines)
	}
}

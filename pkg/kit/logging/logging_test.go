package logging_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/natter-io/natter/pkg/kit/config"
	"github.com/natter-io/natter/pkg/kit/logging"
)

func TestNew(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		opts  logging.Options
		lines int
		json  bool
	}{
		"zero":       {logging.Options{}, 2, false},
		"text debug": {logging.Options{Format: "text", Level: "debug"}, 3, false},
		"json warn":  {logging.Options{Format: "json", Level: "warn"}, 1, true},
		"error":      {logging.Options{Level: "error"}, 0, false},
	} {
		var out bytes.Buffer
		log := logging.New(&out, tc.opts)
		log.Debug("a")
		log.Info("b")
		log.Warn("c", "secret", config.Secret("hunter2"))
		if got := strings.Count(out.String(), "\n"); got != tc.lines {
			t.Errorf("%s: %d lines, want %d:\n%s", name, got, tc.lines, out.String())
		}
		if tc.lines > 0 && json.Valid(bytes.Split(out.Bytes(), []byte("\n"))[0]) != tc.json {
			t.Errorf("%s: JSON is not %v:\n%s", name, tc.json, out.String())
		}
		if strings.Contains(out.String(), "hunter2") {
			t.Errorf("%s: the secret shows:\n%s", name, out.String())
		}
	}
}

func TestOptionsAreSettings(t *testing.T) {
	t.Parallel()
	var cfg struct {
		Log logging.Options `embed:"" prefix:"log-"`
	}
	if err := config.Load("x", "", []string{"--log-format=json"}, &cfg, config.Environ(nil)); err != nil {
		t.Fatal(err)
	}
	if want := (logging.Options{Format: "json", Level: "info"}); cfg.Log != want {
		t.Errorf("got %+v, want %+v", cfg.Log, want)
	}
	if err := config.Load("x", "", []string{"--log-level=loud"}, &cfg, config.Environ(nil)); err == nil {
		t.Error("an unknown level is accepted")
	}
}

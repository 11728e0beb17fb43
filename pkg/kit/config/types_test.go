package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

func TestSecretIsNeverShown(t *testing.T) {
	t.Parallel()
	const plain = "hunter2"
	s := Secret(plain)
	holder := struct {
		S Secret
		P *Secret
		M map[string]Secret
	}{s, &s, map[string]Secret{"k": s}}
	var shown []string
	for _, verb := range []string{"%s", "%v", "%+v", "%#v", "%q", "%x", "%X", "%d"} {
		shown = append(shown, fmt.Sprintf(verb, s), fmt.Sprintf(verb, holder))
	}
	shown = append(shown, fmt.Sprint(s), s.String(), fmt.Errorf("bad: %v", s).Error())
	for _, marshal := range []func(any) ([]byte, error){json.Marshal, yaml.Marshal} {
		b, err := marshal(holder)
		if err != nil {
			t.Fatal(err)
		}
		shown = append(shown, string(b))
	}
	var buf bytes.Buffer
	slog.New(slog.NewTextHandler(&buf, nil)).Info("x", "s", s, "holder", holder)
	slog.New(slog.NewJSONHandler(&buf, nil)).Info("x", "s", s, "holder", holder)
	shown = append(shown, buf.String())
	for _, text := range shown {
		if strings.Contains(text, plain) || strings.Contains(text, fmt.Sprintf("%x", plain)) {
			t.Errorf("the secret shows: %s", text)
		}
		if !strings.Contains(text, redacted) && !strings.Contains(text, "0x") {
			t.Errorf("nothing stands for the secret: %s", text)
		}
	}
	if s.Reveal() != plain {
		t.Errorf("Reveal: %q", s.Reveal())
	}
}

func TestSecretFromFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for content, want := range map[string]string{"geheim\n": "geheim", "a\r\n": "a", " a b ": " a b "} {
		path := filepath.Join(dir, "secret")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		var s Secret
		if err := s.UnmarshalText([]byte("file:" + path)); err != nil || s.Reveal() != want {
			t.Errorf("%q: got %q, %v", content, s.Reveal(), err)
		}
	}
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var s Secret
	if err := s.UnmarshalText([]byte("file:" + empty)); err == nil {
		t.Error("an empty file is taken for a secret")
	}
}

func TestBytes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Bytes{
		"0": 0, "1000000": 1e6, "1e6": 1e6, "64KB": 64000, "64KiB": 65536, "1 MiB": 1 << 20, "2gb": 2e9, "1.5KB": 1500, "7B": 7, "1TiB": 1 << 40,
	} {
		var b Bytes
		if err := b.UnmarshalText([]byte(text)); err != nil || b != want {
			t.Errorf("%s: got %d, %v", text, b, err)
		}
	}
	for _, text := range []string{"", "x", "-1", "1XB", "0.5", "NaN", "Inf", "1e30", "KB"} {
		var b Bytes
		if err := b.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken for %d", text, b)
		}
	}
	for b, want := range map[Bytes]string{0: "0", 7: "7", 1e6: "1MB", 1 << 20: "1MiB", 1500: "1500", 64000: "64KB", 2 << 30: "2GiB"} {
		if b.String() != want {
			t.Errorf("%d: got %s, want %s", int64(b), b, want)
		}
	}
}

func FuzzBytes(f *testing.F) {
	for _, s := range []string{"1MB", "1e6", "1.5KiB", "-0", "9223372036854775807", "0x10"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var b, again Bytes
		if b.UnmarshalText([]byte(text)) != nil {
			return
		}
		if err := again.UnmarshalText([]byte(b.String())); err != nil || b < 0 || again != b && b < 1<<53 {
			t.Errorf("%q: %d, then %d, %v", text, int64(b), int64(again), err)
		}
	})
}

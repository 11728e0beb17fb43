package config

import (
	"fmt"
	"log/slog"
	"math"
	"os"
	"strconv"
	"strings"
)

const redacted = "[redacted]"

// Secret is a string that does not show itself: fmt, slog, JSON and YAML print
// [redacted], or nothing if it is empty. Reveal returns it.
//
// As a setting, "file:PATH" stands for the contents of that file without the
// trailing line break, in the YAML file, the environment and the flag alike.
type Secret string

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// Format hides the secret from every verb of fmt.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// LogValue hides the secret from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText hides the secret from JSON, YAML and other encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText takes the secret, or reads it from the file that "file:PATH" names.
func (s *Secret) UnmarshalText(text []byte) error {
	path, isFile := strings.CutPrefix(string(text), "file:")
	if !isFile {
		*s = Secret(text)
		return nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("the secret's file: %w", err)
	}
	*s = Secret(strings.TrimRight(string(content), "\r\n"))
	if *s == "" {
		return fmt.Errorf("the secret's file %s is empty", path)
	}
	return nil
}

// Bytes is a size in bytes, written as 1000000, 1e6, 64KB, 1MB, 2GB, 64KiB, 1MiB or 2GiB.
type Bytes int64

var byteUnits = []struct {
	suffix string
	size   float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
}

// String writes the size with the largest unit that divides it.
func (b Bytes) String() string {
	best, unit := float64(1), ""
	for _, u := range byteUnits {
		if b != 0 && math.Mod(float64(b), u.size) == 0 && u.size > best {
			best, unit = u.size, u.suffix
		}
	}
	return strconv.FormatInt(int64(b)/int64(best), 10) + unit
}

// MarshalText writes the size as String does.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText reads a size.
func (b *Bytes) UnmarshalText(text []byte) error {
	number, size := strings.TrimSpace(string(text)), float64(1)
	for _, u := range byteUnits {
		if n, ok := cutSuffixFold(number, u.suffix); ok {
			number, size = strings.TrimSpace(n), u.size
			break
		}
	}
	v, err := strconv.ParseFloat(number, 64)
	v *= size
	if err != nil || v < 0 || v >= math.MaxInt64 || v != math.Trunc(v) {
		return fmt.Errorf("%q is not %s", text, wantBytes)
	}
	*b = Bytes(v)
	return nil
}

func cutSuffixFold(s, suffix string) (string, bool) {
	if i := len(s) - len(suffix); i >= 0 && strings.EqualFold(s[i:], suffix) {
		return s[:i], true
	}
	return s, false
}

const wantBytes = "a size in bytes such as 1000000, 1e6, 64KB or 1MiB"

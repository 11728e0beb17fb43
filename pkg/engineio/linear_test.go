package engineio

import (
	"strings"
	"testing"
	"time"
)

// Payloads are taken apart in linear time (CVE-2020-36048): eight times the input may not take much more than
// eight times the time. Quadratic work would take 64 times.
func TestPayloadsAreTakenApartInLinearTime(t *testing.T) {
	inputs := map[string]func(n int) string{
		"many packets":     func(n int) string { return strings.Repeat("6\x1e", n/2) + "6" },
		"many attachments": func(n int) string { return strings.Repeat("bAQ==\x1e", n/6) + "6" },
		"one packet":       func(n int) string { return "4" + strings.Repeat("a", n) },
		"one attachment":   func(n int) string { return "b" + strings.Repeat("AQID", n/4) },
		"padding":          func(n int) string { return "b" + strings.Repeat("=", n) },
	}
	for name, input := range inputs {
		t.Run(name, func(t *testing.T) {
			took := func(data []byte) time.Duration {
				start := time.Now()
				for range Packets(data, DefaultMaxPackets*8) {
				}
				return time.Since(start)
			}
			short, long := []byte(input(100_000)), []byte(input(800_000))
			small, large := took(short), took(long)
			for range 8 { // in turn: what else the machine does slows both down
				small, large = min(small, took(short)), min(large, took(long))
			}
			if large > 32*small+time.Millisecond {
				t.Errorf("100 kB take %v, 800 kB take %v", small, large)
			}
		})
	}
}

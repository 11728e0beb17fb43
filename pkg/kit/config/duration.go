package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

const wantTime = "a duration with a unit such as 250ms, 25s or 5m"

// decodeDuration reads a time from the command line. Kong's own says nothing of what a number without a unit may have meant.
func decodeDuration(ctx *kong.DecodeContext, target reflect.Value) error {
	var text string
	if err := ctx.Scan.PopValueInto("duration", &text); err != nil {
		return err
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("%q is not valid: want %s%s", text, wantTime, meantTime(text))
	}
	target.SetInt(int64(d))
	return nil
}

// meantTime ends an error about a number without a unit: who comes from Socket.IO thinks of milliseconds, where the
// number is large enough for that.
func meantTime(text string) string {
	n, err := strconv.ParseInt(text, 10, 32)
	switch {
	case err != nil || n < 0:
		return ""
	case n < 100:
		return fmt.Sprintf(": did you mean %ds?", n)
	case n < 1000:
		return fmt.Sprintf(": did you mean %dms or %ds?", n, n)
	}
	return fmt.Sprintf(": did you mean %s, which is %d milliseconds?", short(time.Duration(n)*time.Millisecond), n)
}

// short writes a time without the units that are zero: 2m for 2m0s.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

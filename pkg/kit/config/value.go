package config

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// check parses a text as flag's value and words the error for its source.
func check(flag *kong.Flag, t text) error {
	target := reflect.New(flag.Target.Type()).Elem()
	scan := kong.ScanFromTokens(kong.Token{Type: kong.FlagValueToken, Value: t.value})
	err := flag.Mapper.Decode(&kong.DecodeContext{Value: flag.Value, Scan: scan}, target)
	shown := fmt.Sprintf("%q", t.value)
	if target.Type() == reflect.TypeFor[Secret]() {
		shown = redacted
	}
	var choices []string
	if flag.Enum != "" {
		choices = flag.EnumSlice()
		err = errors.Join(err, checkEnum(target, choices))
	}
	if err == nil {
		return nil
	}
	wanted := want(flag.Target.Type(), choices)
	if wanted == "" {
		return fmt.Errorf("%s: %s is not valid: %w", t.from, shown, err)
	}
	if target.Type() == reflect.TypeFor[time.Duration]() {
		wanted += meantTime(t.value)
	}
	return fmt.Errorf("%s: %s is not valid: want %s", t.from, shown, wanted)
}

var errNoChoice = errors.New("not one of the choices")

func checkEnum(v reflect.Value, choices []string) error {
	if v.Kind() == reflect.Slice {
		var errs []error
		for i := range v.Len() {
			errs = append(errs, checkEnum(v.Index(i), choices))
		}
		return errors.Join(errs...)
	}
	for _, c := range choices {
		if fmt.Sprint(v.Interface()) == c {
			return nil
		}
	}
	return errNoChoice
}

// want says what a setting of this type looks like, or nothing if only the
// type itself knows.
func want(t reflect.Type, choices []string) string {
	if len(choices) > 0 {
		return "one of " + strings.Join(choices, ", ")
	}
	switch t {
	case reflect.TypeFor[time.Duration]():
		return wantTime
	case reflect.TypeFor[Bytes]():
		return wantBytes
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return ""
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "a whole number"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number of at least 0"
	case reflect.Float32, reflect.Float64:
		return "a number"
	}
	return ""
}

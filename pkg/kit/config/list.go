package config

import (
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"
)

// Setting describes a setting to whoever documents it.
type Setting struct {
	Keys    []string // in the file, dotted: first the one to recommend
	Flag    string   // with its dashes; empty for a setting of the file alone, as is Env
	Env     string   // environment variable
	Unit    string   // what kind of value it takes, for people
	Default string   // as it would be written; empty if there is none
	Help    string
	Tag     reflect.StructTag // of the field, for tags of the caller's own
}

// List describes the settings of cfg, a pointer to a struct as Load takes it, for the program called name.
func List(name string, cfg any) ([]Setting, error) {
	l := &loader{name: name, stdout: io.Discard, texts: map[string]text{}}
	if err := l.parse("", nil, cfg); err != nil {
		return nil, err
	}
	list := make([]Setting, 0, len(l.settings))
	for _, s := range l.settings {
		d := Setting{Keys: []string{s.path()}, Help: s.help, Tag: s.tag, Unit: unit(s), Default: s.tag.Get("default")}
		if s.inner != "" {
			d.Keys = append(d.Keys, s.path()+"."+s.inner)
		}
		if !s.fileOnly() {
			d.Flag = "--" + s.flag
			if _, found := s.tag.Lookup("negatable"); found {
				d.Flag = "--[no-]" + s.flag
			}
			d.Env = upper(name) + "_" + upper(s.flag)
		}
		if strings.Contains(d.Default, "${") {
			d.Default = fmt.Sprint(s.field.Interface())
		}
		if s.field.Kind() == reflect.Bool && d.Default == "" {
			d.Default = "false"
		}
		list = append(list, d)
	}
	return list, nil
}

// unit says what a setting's value is.
func unit(s setting) string {
	if enum := s.tag.Get("enum"); enum != "" {
		return strings.ReplaceAll(enum, ",", ", ")
	}
	switch s.field.Type() {
	case reflect.TypeFor[time.Duration]():
		return "time"
	case reflect.TypeFor[Bytes]():
		return "size"
	case reflect.TypeFor[Secret]():
		return "secret"
	}
	switch s.field.Kind() {
	case reflect.Bool:
		return "true, false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Float32, reflect.Float64:
		return "number"
	case reflect.Slice:
		return "list"
	case reflect.Map, reflect.Struct:
		return "group"
	}
	return "text"
}

package config

import (
	"fmt"
	"reflect"
	"strings"
	"unicode"
)

// setting is one field of a configuration with its spellings.
type setting struct {
	flag  string        // ping-interval, without dashes in front; empty for a file-only one
	key   []string      // path in the YAML file: nats, url
	inner string        // its key in the group of its own name, if it has one there
	field reflect.Value // addressable
	tag   reflect.StructTag
	help  string
}

func (s setting) path() string { return strings.Join(s.key, ".") }

// spelled reports whether the file may call the setting by this path: its own; for one in a group, all in one
// word (natsUrl for nats.url); for one that has a group of its name, its key in it.
func (s setting) spelled(path string) bool {
	return path == s.path() || !s.fileOnly() && path == camel(s.flag) || s.inner != "" && path == s.path()+"."+s.inner
}

func (s setting) fileOnly() bool { return s.flag == "" }

// settings lists the fields of the struct v. It follows the rule by which kong
// names flags, so that the two agree.
func settings(v reflect.Value, prefix string, group []string) ([]setting, error) {
	var all []setting
	for i := range v.NumField() {
		f, fv := v.Type().Field(i), v.Field(i)
		if !f.IsExported() && !f.Anonymous {
			continue
		}
		key := func(name string) []string { return append(append([]string{}, group...), name) }
		_, embed := f.Tag.Lookup("embed")
		switch {
		case f.Tag.Get("kong") == "-":
			name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			if name != "" && name != "-" {
				all = append(all, setting{key: key(name), field: fv, tag: f.Tag, help: f.Tag.Get("help")})
			}
		case f.Anonymous || embed:
			if f.Type.Kind() != reflect.Struct {
				return nil, fmt.Errorf("field %s: only a struct can be embedded, not %s", f.Name, f.Type)
			}
			sub, subGroup := f.Tag.Get("prefix"), group
			if sub != "" {
				subGroup = key(camel(sub))
				if name := f.Tag.Get("yaml"); name != "" {
					subGroup = key(name)
				}
			}
			inner, err := settings(fv, prefix+sub, subGroup)
			if err != nil {
				return nil, err
			}
			all = append(all, inner...)
		case f.Type.Kind() == reflect.Map:
			return nil, fmt.Errorf("field %s: a map has no flag: mark it kong:\"-\" yaml:\"…\"", f.Name)
		default:
			name := f.Tag.Get("name")
			if name == "" {
				name = kebab(f.Name)
			}
			inFile, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			if inFile == "" {
				inFile = camel(name)
			}
			all = append(all, setting{flag: prefix + name, key: key(inFile), inner: f.Tag.Get("inner"), field: fv, tag: f.Tag, help: f.Tag.Get("help")})
		}
	}
	return all, nil
}

// kebab turns a Go name into a flag's: MaxHTTPBufferSize, max-http-buffer-size.
func kebab(name string) string {
	var b strings.Builder
	r := []rune(name)
	for i, c := range r {
		startsWord := i > 0 && unicode.IsUpper(c) &&
			(!unicode.IsUpper(r[i-1]) || i+1 < len(r) && unicode.IsLower(r[i+1]))
		if startsWord {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(c))
	}
	return b.String()
}

// camel turns a flag's name into a YAML key: max-http-buffer-size, maxHttpBufferSize.
func camel(name string) string {
	words := strings.Split(strings.Trim(name, "-"), "-")
	for i, w := range words {
		if i > 0 && w != "" {
			words[i] = strings.ToUpper(w[:1]) + w[1:]
		}
	}
	return strings.Join(words, "")
}

// upper turns a name into the environment's spelling: natter-gateway, NATTER_GATEWAY.
func upper(name string) string {
	return strings.ToUpper(strings.NewReplacer("-", "_", ".", "_", " ", "_").Replace(name))
}

// didYouMean ends an error about an unknown name. Candidates are shown with the
// prefix, which plays no part in the comparison.
func didYouMean(name, prefix string, candidates []string) string {
	if n := nearest(name, candidates); n != "" {
		return ": did you mean " + prefix + n + "?"
	}
	return "; see --help for all of them"
}

// nearest returns the candidate with the smallest edit distance to name, if that
// is small enough for a slip of the fingers.
func nearest(name string, candidates []string) string {
	best, bestDistance := "", len(name)/3+2
	for _, c := range candidates {
		if d := distance(strings.ToLower(name), strings.ToLower(c)); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

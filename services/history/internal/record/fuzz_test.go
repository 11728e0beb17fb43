package record

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// FuzzWords says that words are what they are said to be, whatever somebody says: no syntax of a query can be in them.
func FuzzWords(f *testing.F) {
	for _, s := range []string{"Hello, World!", `"; DROP TABLE`, "ünïcode 日本語", "a'b\x00c\xffd", strings.Repeat("ä", 100), "İ ß ﬁ", "1.5e3 x_y-z", "iPhone手机ケース ไทย", "ΣΊΣΥΦΟΣ ſ K"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		words := SplitWords(text)
		for i, w := range words {
			if w == "" || len(w) > maxWord || !utf8.ValidString(w) || strings.IndexFunc(w, notInWord) >= 0 {
				t.Fatalf("%q has the word %q", text, w)
			}
			if slices.Contains(words[:i], w) {
				t.Fatalf("%q has the word %q twice", text, w)
			}
		}
		event, err := json.Marshal([]any{"name", map[string]any{"a": []any{text}}})
		if err != nil || len(text) >= maxText || !utf8.ValidString(text) {
			return
		}
		if got := Words(event); got != strings.Join(words, " ") {
			t.Fatalf("%q in an event has the words %q, by itself %q", text, got, words)
		}
		if looked := ParseWords(text); !Has(event, looked) || (len(looked) == 0) != (len(words) == 0) {
			t.Fatalf("%q does not find itself: %v in %q", text, looked, words)
		}
	})
}

// FuzzEdit says that an edit leaves valid JSON, of which the last element alone is another.
func FuzzEdit(f *testing.F) {
	f.Add([]byte(`["m", "red" , {"a":1.0}]`), []byte(`"x"`))
	f.Add([]byte(`["m"]`), []byte(`1`))
	f.Add([]byte(`{}`), []byte(`1`))
	f.Add([]byte(`["m",[1,2]]`), []byte(` {"b":"<&>"} `))
	f.Add([]byte(`["m",1]`), []byte(`1,2`))
	f.Fuzz(func(t *testing.T, event, value []byte) {
		m := Message{User: "u", Event: event}
		err := Change{By: By{User: "u"}, Action: Edit, Value: value, Time: time.Unix(1, 0)}.Apply(&m)
		if err != nil {
			if !errors.Is(err, ErrUnfitting) || string(m.Event) != string(event) {
				t.Fatalf("%q with %q: %v, %q", event, value, err, m.Event)
			}
			return
		}
		var before, after []json.RawMessage
		if json.Unmarshal(event, &before) != nil || json.Unmarshal(m.Event, &after) != nil || len(before) != len(after) {
			t.Fatalf("%q with %q is %q", event, value, m.Event)
		}
		for i := range before[:len(before)-1] {
			if string(before[i]) != string(after[i]) {
				t.Fatalf("%q with %q is %q", event, value, m.Event)
			}
		}
		var last, want any
		if json.Unmarshal(after[len(after)-1], &last) != nil || json.Unmarshal(value, &want) != nil {
			t.Fatalf("%q with %q is %q", event, value, m.Event)
		}
	})
}

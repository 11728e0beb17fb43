package record

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode"
)

const (
	maxText = 64 << 10 // of a message's text that can be found, in bytes
	maxWord = 64       // of a word, in bytes; what is longer is cut
)

// Words are the words of an event's arguments by which the message is found: of every string in it, in lower case,
// each once, separated by spaces. A word is a run of letters, digits and the marks on them.
func Words(event []byte) string {
	d := json.NewDecoder(bytes.NewReader(event))
	d.UseNumber()
	var args []any
	if d.Decode(&args) != nil || len(args) < 2 {
		return ""
	}
	var b strings.Builder
	collect(&b, args[1:])
	return strings.Join(SplitWords(b.String()), " ")
}

// collect writes the strings in a value, as far as there is room.
func collect(b *strings.Builder, value any) {
	switch v := value.(type) {
	case string:
		if b.Len()+len(v) < maxText {
			b.WriteString(v)
			b.WriteByte(' ')
		}
	case []any:
		for _, e := range v {
			collect(b, e)
		}
	case map[string]any:
		for _, e := range v {
			collect(b, e)
		}
	}
}

// Word is one that is looked for.
type Word struct {
	Text   string // as [SplitWords] writes it
	Prefix bool   // words that begin with it are found too
}

// SplitWords tells the words of a text apart, as [Words] has them.
func SplitWords(text string) []string {
	seen := make(map[string]bool)
	var words []string
	for _, w := range strings.FieldsFunc(strings.ToLower(text), notInWord) {
		if len(w) > maxWord {
			w = strings.ToValidUTF8(w[:maxWord], "")
		}
		if !seen[w] {
			seen[w] = true
			words = append(words, w)
		}
	}
	return words
}

func notInWord(r rune) bool { return !unicode.In(r, unicode.L, unicode.N, unicode.M) }

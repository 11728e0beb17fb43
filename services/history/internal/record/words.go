package record

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxText = 64 << 10 // of a message's text that can be found, in bytes
	maxWord = 64       // of a word, in bytes; what is longer is cut
)

// Words are the words of an event's arguments by which the message is found: of every string in it, each once,
// separated by spaces. A word is a run of letters, digits and the marks on them, with its case folded. Scripts that are
// written without spaces have two characters in a word, and each word begins with the second character of the one
// before it.
func Words(event []byte) string { return strings.Join(SplitWords(text(event)), " ") }

// text are the strings in an event's arguments, in the order in which they stand there, as far as there is room.
func text(event []byte) string {
	d := json.NewDecoder(bytes.NewReader(event))
	d.UseNumber()
	var b strings.Builder
	for range 2 { // the bracket and the event's name
		if _, err := d.Token(); err != nil {
			return ""
		}
	}
	for d.More() && collect(&b, d) {
	}
	return b.String()
}

// collect writes the strings in the next value. It says false if there is no room for more, or no value.
func collect(b *strings.Builder, d *json.Decoder) bool {
	token, err := d.Token()
	if err != nil {
		return false
	}
	switch v := token.(type) {
	case string:
		room := maxText - b.Len()
		if len(v) > room {
			for room > 0 && !utf8.RuneStart(v[room]) {
				room--
			}
			b.WriteString(v[:room])
			return false
		}
		b.WriteString(v)
		b.WriteByte(' ')
		return b.Len() < maxText
	case json.Delim:
		for d.More() {
			if v == '{' {
				if _, err := d.Token(); err != nil { // the key
					return false
				}
			}
			if !collect(b, d) {
				return false
			}
		}
		_, err = d.Token() // the end
	}
	return err == nil
}

// Word is one that is looked for.
type Word struct {
	Text   string // as [SplitWords] writes it
	Prefix bool   // words that begin with it are found too
}

// in says whether it is one of the words of a message.
func (w Word) in(words []string) bool {
	return slices.ContainsFunc(words, func(is string) bool { return is == w.Text || w.Prefix && strings.HasPrefix(is, w.Text) })
}

// Has says whether all of the words are in an event.
func Has(event []byte, words []Word) bool {
	is := SplitWords(text(event))
	return !slices.ContainsFunc(words, func(w Word) bool { return !w.in(is) })
}

// ParseWords reads what is looked for: words, the last letters of which may be *.
func ParseWords(text string) (words []Word) {
	for _, part := range strings.Fields(text) {
		begin := len(words)
		split(part, func(w string, unspaced bool) {
			if !unspaced {
				words = append(words, Word{Text: w})
				return
			}
			for pair := range pairs(w) {
				if utf8.RuneCountInString(pair) == 2 {
					words = append(words, Word{Text: pair})
				} else if pair == w { // by itself it may stand at the beginning of a pair
					words = append(words, Word{Text: pair, Prefix: true})
				}
			}
		})
		if len(words) > begin && strings.HasSuffix(part, "*") {
			words[len(words)-1].Prefix = true
		}
	}
	return words
}

// SplitWords tells the words of a text apart, as [Words] has them.
func SplitWords(text string) (words []string) {
	seen := make(map[string]bool)
	add := func(w string) {
		if !seen[w] {
			seen[w] = true
			words = append(words, w)
		}
	}
	split(text, func(w string, unspaced bool) {
		if !unspaced {
			add(w)
			return
		}
		for pair := range pairs(w) {
			add(pair)
		}
	})
	return words
}

// split hands the runs of letters of a text to each: words, cut if they are too long, and runs of scripts that are
// written without spaces.
func split(text string, each func(run string, unspaced bool)) {
	for _, run := range strings.FieldsFunc(strings.Map(fold, text), notInWord) {
		begin, was := 0, false
		flush := func(end int) {
			if part := run[begin:end]; was && part != "" {
				each(part, true)
			} else if part != "" {
				if len(part) > maxWord {
					part = strings.ToValidUTF8(part[:maxWord], "")
				}
				each(part, false)
			}
			begin = end
		}
		for i, r := range run {
			if is := isUnspaced(r); is != was && (i == 0 || !unicode.Is(unicode.M, r)) { // a mark goes with the letter before it
				flush(i)
				was = is
			}
		}
		flush(len(run))
	}
}

// pairs are all characters of a run with the one behind them, and the last one by itself.
func pairs(run string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for run != "" {
			_, first := utf8.DecodeRuneInString(run)
			_, second := utf8.DecodeRuneInString(run[first:])
			if !yield(run[:first+second]) {
				return
			}
			run = run[first:]
		}
	}
}

func notInWord(r rune) bool { return !unicode.In(r, unicode.L, unicode.N, unicode.M) }

// isUnspaced says whether a character belongs to a script without spaces between words.
func isUnspaced(r rune) bool {
	const long, halfLong = 'ー', 'ｰ' // belong to two scripts
	return r >= 0x0E00 && (r == long || r == halfLong || unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana,
		unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar))
}

// fold makes one of all characters that differ in their case only: s of ſ, σ of ς, and i of the Turkish ones, too.
func fold(r rune) rune { return unicode.ToLower(unicode.ToUpper(r)) }

package database

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/natter-io/natter/services/history/internal/record"
)

// Where a message was said goes into the index beside its words, so that a search looks at the messages of its rooms
// alone: a token for the namespace and one for each place, in hexadecimal, which every tokenizer leaves whole.

func wordNamespace(namespace string) string { return "n" + hex.EncodeToString([]byte(namespace)) }

func wordPlace(namespace, target string) string {
	return "p" + hex.EncodeToString([]byte(namespace+" "+target))
}

// manyPlaces is from how many places on a message has short tokens for them: PostgreSQL keeps the words of one message in
// 1 MB (https://www.postgresql.org/docs/current/textsearch-limitations.html).
const manyPlaces = 256

// shortPlace is a token of the same length for every place.
func shortPlace(namespace, target string) string {
	sum := sha256.Sum256([]byte(namespace + " " + target))
	return "s" + hex.EncodeToString(sum[:10])
}

// tokens are what stands with the words of a message.
func (s *Store) tokens(m record.Message, targets []string) string {
	all := []string{wordNamespace(m.Namespace)}
	token := wordPlace
	if len(targets) > manyPlaces {
		token = shortPlace
	}
	for _, target := range targets {
		all = append(all, token(m.Namespace, target))
	}
	if s.Windows != nil {
		all = append(all, s.Windows(m.ID)...)
	}
	return strings.Join(all, " ")
}

// words is an insertion of words.
func (s *Store) words() rows { return rows{head: s.PutWords, row: s.WordsRow, tail: s.WordsEnd} }

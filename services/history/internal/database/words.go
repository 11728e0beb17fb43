package database

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
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

func wordPlaces(namespace string, targets []string) string {
	all := []string{wordNamespace(namespace)}
	token := wordPlace
	if len(targets) > manyPlaces {
		token = shortPlace
	}
	for _, target := range targets {
		all = append(all, token(namespace, target))
	}
	return strings.Join(all, " ")
}

// Search hands messages that hold all of the words to each, newest first, with their places. It looks in the
// targets; in the whole namespace if there are none.
func (s *Store) Search(ctx context.Context, namespace string, targets []string, words []record.Word, before record.ID, n int, each func(record.Message) bool) error {
	places := []string{wordNamespace(namespace)}
	if len(targets) > 0 {
		places = nil
		for _, target := range targets {
			places = append(places, wordPlace(namespace, target), shortPlace(namespace, target))
		}
	}
	var failed error
	err := s.steps(ctx, `SELECT `+columns+` FROM (`+s.Dialect.Search+`) w JOIN messages m ON m.id = w.found
		WHERE (m.epoch, m.sequence) < (?, ?)
		ORDER BY m.epoch DESC, m.sequence DESC LIMIT ?`, before, n, func(m record.Message) bool {
		if m.Targets, failed = s.targets(ctx, s.read, m.Row); failed != nil {
			return false
		}
		return each(m)
	}, s.Match(places, words))
	if err == nil {
		err = failed
	}
	if err != nil {
		return fmt.Errorf("search in %s: %w", namespace, err)
	}
	return nil
}

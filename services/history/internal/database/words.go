package database

import (
	"context"
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

func wordPlaces(namespace string, targets []string) string {
	all := []string{wordNamespace(namespace)}
	for _, target := range targets {
		all = append(all, wordPlace(namespace, target))
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
			places = append(places, wordPlace(namespace, target))
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

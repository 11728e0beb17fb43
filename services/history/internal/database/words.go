package database

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
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

// indexChunk bounds a transaction.
const indexChunk = 2000

// Index puts some of the messages into the index of words that were there before it, newest first, and says how many are left, at most.
// Call it until none are. What is done stays done; instances that do it at once share the work.
func (s *Store) Index(ctx context.Context) (left int64, err error) {
	err = s.inTx(ctx, s.Exclusive, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `SELECT CAST(value AS BIGINT) FROM facts WHERE name = 'unindexed'`).Scan(&left)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err == nil {
			left, err = s.indexSome(ctx, tx, left)
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("index the words of messages: %w", err)
	}
	return left, nil
}

func (s *Store) indexSome(ctx context.Context, tx *sql.Tx, last int64) (left int64, err error) {
	rows, err := tx.QueryContext(ctx, s.sql(`SELECT `+columns+`, `+targetsColumn+` FROM messages m WHERE m.id <= ? ORDER BY m.id DESC LIMIT ?`), last, indexChunk)
	if err != nil {
		return 0, err
	}
	words := s.words()
	count, _, err := handPlaced(rows, func(m record.Message) bool {
		last = m.Row - 1
		if text := record.Words(m.Event); text != "" && !m.Redacted && m.Deleted.IsZero() {
			words.add(m.Row, s.tokens(m, m.Targets), text)
		}
		return true
	})
	if err != nil {
		return 0, err
	}
	slices.Reverse(words.args) // FTS5 begins a new part of the index at each key that is not greater than the one before
	if err := words.exec(ctx, s, tx); err != nil {
		return 0, err
	}
	if count < indexChunk || last == 0 {
		last = 0
		_, err = tx.ExecContext(ctx, `DELETE FROM facts WHERE name = 'unindexed'`)
	} else {
		_, err = tx.ExecContext(ctx, s.sql(`UPDATE facts SET value = CAST(CAST(? AS BIGINT) AS TEXT) WHERE name = 'unindexed'`), last)
	}
	return last, err
}

// words is an insertion of words.
func (s *Store) words() rows { return rows{head: s.PutWords, row: s.WordsRow, tail: s.WordsEnd} }

package postgres

import (
	"context"
	"database/sql"
	"slices"
	"strconv"
	"strings"

	"github.com/natter-io/natter/services/history/internal/database"
	"github.com/natter-io/natter/services/history/internal/record"
)

// An index of words (GIN) has no order: it would hand out all messages that have a word, to be sorted then. So in which
// windows of the main stream a message is stands in the index beside its words, and a search looks at a small window first,
// the newest, then at larger ones, as long as it does not find too much in one. A window is 2^level sequences.
var reaches = []struct{ level, windows int64 }{{10, 1}, {10, 4}, {14, 1}, {14, 4}, {18, 1}, {18, 1}, {18, 2}, {18, 4}, {18, 8}}

// most is what may be found at once; the smallest window does not have more.
const most = 1 << 10

// windows are the tokens of a message's windows.
func windows(id record.ID) []string {
	return []string{window(id.Epoch, 10, id.Sequence>>10), window(id.Epoch, 14, id.Sequence>>14), window(id.Epoch, 18, id.Sequence>>18)}
}

func window(epoch, level, number int64) string {
	return "w" + strconv.FormatInt(level, 10) + "x" + strconv.FormatUint(uint64(epoch), 36) + "x" + strconv.FormatInt(number, 36)
}

const (
	// A limit without an order, so that the plan is the index of words.
	foundQuery = `SELECT m.epoch, m.sequence FROM (SELECT message FROM words WHERE words @@ CAST($1 AS tsquery) LIMIT $2) w
		JOIN messages m ON m.id = w.message`
	foundAllQuery = `SELECT m.epoch, m.sequence FROM words w JOIN messages m ON m.id = w.message
		WHERE w.words @@ CAST($1 AS tsquery) AND m.epoch = $3 AND m.sequence <= $4 ORDER BY m.sequence DESC LIMIT $2`
)

// find looks through a row of windows at a time; for words of which the beginning alone is known through an epoch, since
// the index gathers all words that begin so each time.
func find(places []string, words []record.Word) database.Finder {
	text := match(places, words)
	if slices.ContainsFunc(words, func(w record.Word) bool { return w.Prefix }) {
		return func(ctx context.Context, db *sql.DB, top record.ID, n int) (found []record.ID, down record.ID, err error) {
			down = record.ID{Epoch: top.Epoch}
			found, err = list(ctx, db, foundAllQuery, text, n, top.Epoch, top.Sequence)
			if len(found) == n {
				down = found[n-1]
			}
			return found, down, err
		}
	}
	reach, dense := 0, record.Newest // from where on too much was found in a larger window
	return func(ctx context.Context, db *sql.DB, top record.ID, n int) (found []record.ID, down record.ID, err error) {
		for {
			r := reaches[reach]
			last := top.Sequence >> r.level
			first := max(0, last-r.windows+1)
			found, err = list(ctx, db, foundQuery, text+" & ("+row(top.Epoch, r.level, first, last)+")", most+1)
			if err != nil {
				return nil, top, err
			}
			down = record.ID{Epoch: top.Epoch, Sequence: first << r.level}
			if len(found) > most {
				reach--
				dense = down
				continue
			}
			if down.Compare(dense) <= 0 {
				reach = min(reach+1, len(reaches)-1)
			}
			found = slices.DeleteFunc(found, func(id record.ID) bool { return id.Compare(top) > 0 })
			slices.SortFunc(found, func(a, b record.ID) int { return b.Compare(a) })
			return found, down, nil
		}
	}
}

// row is a part of a query: one of the windows.
func row(epoch, level, first, last int64) string {
	var b strings.Builder
	for number := first; number <= last; number++ {
		if number > first {
			b.WriteString(" | ")
		}
		b.WriteString("'@" + window(epoch, level, number) + "'")
	}
	return b.String()
}

func list(ctx context.Context, db *sql.DB, query string, args ...any) (found []record.ID, err error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id record.ID
		if err := rows.Scan(&id.Epoch, &id.Sequence); err != nil {
			return nil, err
		}
		found = append(found, id)
	}
	return found, rows.Err()
}

// match writes a tsquery: https://www.postgresql.org/docs/current/datatype-textsearch.html#DATATYPE-TSQUERY
func match(places []string, words []record.Word) string {
	var b strings.Builder
	b.WriteByte('(')
	for i, p := range places {
		if i > 0 {
			b.WriteString(" | ")
		}
		b.WriteString("'@" + p + "'")
	}
	b.WriteByte(')')
	for _, w := range words {
		b.WriteString(" & '" + w.Text + "'") // letters, digits and marks only
		if w.Prefix {
			b.WriteString(":*")
		}
	}
	return b.String()
}

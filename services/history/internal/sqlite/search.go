package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/natter-io/natter/services/history/internal/database"
	"github.com/natter-io/natter/services/history/internal/record"
)

// A key of the table words has the number of the message's epoch and, in so many bits, its sequence. FTS5 reads keys
// downwards and stops when there are enough, however many there are.
const sequenceBits = 48

// wordsKey is the key of a message's words.
var wordsKey = fmt.Sprintf(`(e.number << %d) + m.sequence`, sequenceBits)

const foundQuery = `SELECT rowid FROM words WHERE words MATCH ? AND rowid > ? AND rowid <= ? ORDER BY rowid DESC LIMIT ?`

// find looks through one epoch at a time.
func find(places []string, words []record.Word) database.Finder {
	text := match(places, words)
	return func(ctx context.Context, db *sql.DB, top record.ID, n int) (found []record.ID, down record.ID, err error) {
		var number int64
		if err := db.QueryRowContext(ctx, `SELECT number FROM epochs WHERE epoch = ?`, top.Epoch).Scan(&number); err != nil {
			return nil, top, err
		}
		base := number << sequenceBits
		rows, err := db.QueryContext(ctx, foundQuery, text, base, base+top.Sequence, n)
		if err != nil {
			return nil, top, err
		}
		defer rows.Close()
		down = record.ID{Epoch: top.Epoch}
		for rows.Next() {
			var key int64
			if err := rows.Scan(&key); err != nil {
				return nil, top, err
			}
			found = append(found, record.ID{Epoch: top.Epoch, Sequence: key - base})
		}
		if len(found) == n {
			down = found[n-1]
		}
		return found, down, rows.Err()
	}
}

// match writes a query of FTS5: https://www.sqlite.org/fts5.html#full_text_query_syntax
func match(places []string, words []record.Word) string {
	var b strings.Builder
	fmt.Fprintf(&b, "places : (%s)", strings.Join(places, " OR "))
	for _, w := range words {
		fmt.Fprintf(&b, ` AND text : "%s"`, w.Text)
		if w.Prefix {
			b.WriteByte('*')
		}
	}
	return b.String()
}

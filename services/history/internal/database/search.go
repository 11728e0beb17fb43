package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/natter-io/natter/services/history/internal/record"
)

// A Finder lists messages by words, newest first: of those that are as old as top or older at most n or so, and all that
// are there from down on. The next call goes on with what is older than down.
type Finder func(ctx context.Context, db *sql.DB, top record.ID, n int) (found []record.ID, down record.ID, err error)

const (
	// looked is how many messages are read for words of which the beginning is known, before the index is asked for these:
	// to find all words that begin so takes long if they are many, and then the newest messages have some of them.
	looked = 1000
	// loaded bounds the messages that are read by one statement.
	loaded = 64
	// listed is in how many targets the index is asked for at once: many make it slow. For more it is asked for the namespace.
	listed = 256
)

// Search hands messages that hold all of the words to each, newest first, with their places. It looks in the
// targets; in the whole namespace if there are none. Its price depends on how many messages are wanted, not on how many
// there are: but for words of which the beginning alone is given, if the newest messages have them not and many others have, and for more
// than 256 targets, if messages elsewhere have the words.
func (s *Store) Search(ctx context.Context, namespace string, targets []string, words []record.Word, before record.ID, n int, each func(record.Message) bool) error {
	l := search{Store: s, each: each, n: n}
	if len(targets) > 0 {
		l.targets = make(map[string]bool, len(targets))
		for _, target := range targets {
			l.targets[target] = true
		}
	}
	places := []string{wordNamespace(namespace)}
	if len(targets) > 0 && len(targets) <= listed {
		places = nil
		for _, target := range targets {
			places = append(places, wordPlace(namespace, target), shortPlace(namespace, target))
		}
	}
	whole := slices.DeleteFunc(slices.Clone(words), func(w record.Word) bool { return w.Prefix })
	enough, err := false, error(nil)
	if len(whole) < len(words) {
		l.words, l.most = words, looked
		before, enough, err = l.walk(ctx, s.Find(places, whole), before)
	}
	if err == nil && !enough {
		l.words, l.most = nil, 0
		_, _, err = l.walk(ctx, s.Find(places, words), before)
	}
	if err != nil {
		return fmt.Errorf("search in %s: %w", namespace, err)
	}
	return nil
}

// search is one that is under way.
type search struct {
	*Store
	targets map[string]bool
	words   []record.Word // to be looked for in the messages themselves
	most    int           // messages to look at; 0: any number
	n       int
	each    func(record.Message) bool
}

// walk hands on what is found until there is no more, each has enough, or it has looked at the most: then it says from where
// to go on.
func (l search) walk(ctx context.Context, find Finder, before record.ID) (down record.ID, enough bool, err error) {
	for count := 0; l.most == 0 || count < l.most; {
		top, err := l.newest(ctx, before)
		if errors.Is(err, sql.ErrNoRows) {
			return before, true, nil
		}
		if err != nil {
			return before, false, err
		}
		n := l.n
		if l.most > 0 {
			n = loaded
		}
		found, down, err := find(ctx, l.read, top, n)
		if err != nil {
			return before, false, err
		}
		for chunk := range slices.Chunk(found, l.stride(loaded)) {
			if enough, err := l.load(ctx, chunk); enough || err != nil {
				return before, enough, err
			}
		}
		count += len(found)
		before = down
	}
	return before, false, nil
}

// newest is the newest message that is older; [sql.ErrNoRows] if there is none.
func (s *Store) newest(ctx context.Context, before record.ID) (id record.ID, err error) {
	err = s.read.QueryRowContext(ctx, s.sql(`SELECT epoch, sequence FROM messages WHERE (epoch, sequence) < (?, ?) ORDER BY epoch DESC, sequence DESC LIMIT 1`),
		before.Epoch, before.Sequence).Scan(&id.Epoch, &id.Sequence)
	return id, err
}

// load hands messages of one epoch on.
func (l search) load(ctx context.Context, found []record.ID) (enough bool, err error) {
	args := []any{found[0].Epoch}
	for _, id := range found {
		args = append(args, id.Sequence)
	}
	rows, err := l.read.QueryContext(ctx, l.sql(`SELECT `+columns+`, `+targetsColumn+` FROM messages m
		WHERE m.epoch = ? AND m.sequence IN (?`+strings.Repeat(", ?", len(found)-1)+`) ORDER BY m.sequence DESC`), args...)
	if err != nil {
		return false, err
	}
	_, enough, err = handPlaced(rows, func(m record.Message) bool {
		return !l.wanted(m) || l.each(m)
	})
	return enough, err
}

// wanted looks at what the index does not tell. A message may be in the index for a place from which it was swept.
func (l search) wanted(m record.Message) bool {
	here := func(target string) bool { return l.targets[target] }
	return (len(l.targets) == 0 || slices.ContainsFunc(m.Targets, here)) && (len(l.words) == 0 || record.Has(m.Event, l.words))
}

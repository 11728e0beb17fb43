package query

import (
	"context"
	"errors"
	"fmt"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/history/internal/record"
)

const (
	// maxWords bounds the words of a search.
	maxWords = 16
	// maxSearch bounds the JSON of a request with as many rooms as there may be.
	maxSearch = maxRequest + contract.MaxHistoryRooms*6*contract.MaxToken
)

// search answers a [contract.SearchRequest] with a [contract.HistoryPage].
func (s *Service) search(ctx context.Context, data []byte) ([]byte, error) {
	var r contract.SearchRequest
	if err := decode(data, maxSearch, `{"namespace","rooms","text","before","limit"}`, &r); err != nil {
		return nil, err
	}
	all, err := record.NewPlace(r.Namespace, nil)
	if err != nil {
		return nil, invalid(err)
	}
	found, err := places(r.Namespace, r.Rooms)
	if err != nil {
		return nil, err
	}
	if r.Rooms != nil && len(found) == 0 {
		return nil, invalid(errors.New("rooms: is empty: name rooms, or leave it out to look everywhere"))
	}
	targets := make([]string, len(found))
	for i, p := range found {
		targets[i] = p.Target
	}
	words, err := parseWords(r.Text)
	if err != nil {
		return nil, invalid(err)
	}
	before, err := bound("before", r.Before, record.Newest)
	if err != nil {
		return nil, err
	}
	n, err := limit(r.Limit)
	if err != nil {
		return nil, err
	}
	l := newList(n, s.maxSize(), func(m record.Message) ([]byte, error) {
		names, err := rooms(m, targets)
		if err != nil {
			return nil, err
		}
		return formatWith(m, "", names)
	})
	if err := l.fill(s.store.Search(ctx, all.Namespace, targets, words, before, n+1, l.add)); err != nil {
		return nil, err
	}
	s.leftOut(l.oversize)
	return l.reverse().write(field{"more", l.more}), nil
}

// parseWords reads what is looked for, see [record.ParseWords].
func parseWords(text string) ([]record.Word, error) {
	words := record.ParseWords(text)
	if len(words) == 0 {
		return nil, errors.New("text: there is no word in it")
	}
	if len(words) > maxWords {
		return nil, fmt.Errorf("text: there are %d words in it, at most %d are allowed", len(words), maxWords)
	}
	return words, nil
}

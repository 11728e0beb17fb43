package query

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/natter-io/natter/pkg/contract"
	"github.com/natter-io/natter/services/history/internal/record"
)

// maxRequest bounds the JSON of a request; names have 128 bytes at most. An edit may be as large as a message,
// a list of rooms has its own bound.
const maxRequest = 8 << 10

// decode reads a request. shape is how it should look, for the asker; size 0 is bounded by NATS alone.
func decode(data []byte, size int, shape string, request any) error {
	if size > 0 && len(data) > size {
		return invalid(fmt.Errorf("the request has %d bytes, at most %d are allowed", len(data), size))
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(request); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("it is empty")
		}
		return invalid(fmt.Errorf(`the request is not %s in JSON: %w`, shape, err))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return invalid(errors.New("the request holds more than one JSON value"))
	}
	return nil
}

// span is a request for a page, checked.
type span struct {
	place                 record.Place
	before, after, around *record.ID // at most one
	limit                 int

	upTo *record.ID // a page that is read on from ends here; nil: nowhere
	held bool       // it has ended for that
}

// decodePage reads a [contract.HistoryRequest].
func decodePage(data []byte) (p span, err error) {
	var r contract.HistoryRequest
	if err := decode(data, maxRequest, `{"namespace","room","before"|"after"|"around","limit"}`, &r); err != nil {
		return p, err
	}
	if p.place, err = record.NewPlace(r.Namespace, r.Room); err != nil {
		return p, invalid(err)
	}
	given := 0
	for _, bound := range []struct {
		name, id string
		to       **record.ID
	}{{"before", r.Before, &p.before}, {"after", r.After, &p.after}, {"around", r.Around, &p.around}} {
		if bound.id == "" {
			continue
		}
		id, err := record.ParseID(bound.id)
		if err != nil {
			return p, invalid(fmt.Errorf("%s: %w", bound.name, err))
		}
		*bound.to = &id
		given++
	}
	if given > 1 {
		return p, invalid(errors.New("before, after and around: give one of them"))
	}
	p.limit, err = limit(r.Limit)
	return p, err
}

func limit(n int) (int, error) {
	if n < 0 || n > contract.MaxHistoryPage {
		return 0, invalid(fmt.Errorf("limit: %d is not from 1 to %d", n, contract.MaxHistoryPage))
	}
	if n == 0 {
		n = contract.DefaultHistoryPage
	}
	return n, nil
}

// bound reads an id that may be missing.
func bound(name, id string, missing record.ID) (record.ID, error) {
	if id == "" {
		return missing, nil
	}
	parsed, err := record.ParseID(id)
	if err != nil {
		return missing, invalid(fmt.Errorf("%s: %w", name, err))
	}
	return parsed, nil
}

// message reads the place and id of a message.
func message(namespace string, room *string, id string) (record.Place, record.ID, error) {
	place, err := record.NewPlace(namespace, room)
	if err != nil {
		return place, record.ID{}, invalid(err)
	}
	parsed, err := record.ParseID(id)
	if err != nil {
		return place, parsed, invalid(fmt.Errorf("id: %w", err))
	}
	return place, parsed, nil
}

// user checks a user's id.
func user(id string) error {
	if err := contract.CheckUser(id); err != nil {
		return invalid(fmt.Errorf("user: %w", err))
	}
	return nil
}

// places reads a list of rooms, each once.
func places(namespace string, rooms []*string) ([]record.Place, error) {
	if len(rooms) > contract.MaxHistoryRooms {
		return nil, invalid(fmt.Errorf("rooms: there are %d, at most %d are allowed", len(rooms), contract.MaxHistoryRooms))
	}
	all := make([]record.Place, 0, len(rooms))
	known := make(map[record.Place]bool, len(rooms))
	for _, room := range rooms {
		place, err := record.NewPlace(namespace, room)
		if err != nil {
			return nil, invalid(err)
		}
		if !known[place] {
			known[place] = true
			all = append(all, place)
		}
	}
	return all, nil
}

// reply writes an answer without escaping < > &.
func reply(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

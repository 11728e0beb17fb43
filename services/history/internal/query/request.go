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

// page is a request, checked.
type page struct {
	place  record.Place
	before record.ID
	limit  int
}

// maxRequest bounds the JSON of a request; names have 128 bytes at most.
const maxRequest = 8 << 10

// decode reads a [contract.HistoryRequest]. Its errors are worded for the asker.
func decode(data []byte) (page, error) {
	if len(data) > maxRequest {
		return page{}, fmt.Errorf("the request has %d bytes, at most %d are allowed", len(data), maxRequest)
	}
	var r contract.HistoryRequest
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("it is empty")
		}
		return page{}, fmt.Errorf(`the request is not {"namespace","room","before","limit"} in JSON: %w`, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return page{}, errors.New("the request holds more than one JSON value")
	}
	p := page{before: record.Newest, limit: r.Limit}
	var err error
	if p.place, err = record.NewPlace(r.Namespace, r.Room); err != nil {
		return page{}, err
	}
	if r.Before != "" {
		if p.before, err = record.ParseID(r.Before); err != nil {
			return page{}, fmt.Errorf("before: %w", err)
		}
	}
	if r.Limit < 0 || r.Limit > contract.MaxHistoryPage {
		return page{}, fmt.Errorf("limit: %d is not from 1 to %d", r.Limit, contract.MaxHistoryPage)
	}
	if r.Limit == 0 {
		p.limit = contract.DefaultHistoryPage
	}
	return p, nil
}

package session

import (
	"encoding/json"

	"github.com/natter-io/natter/pkg/contract"
)

// brief is how the socket's data stand in the header of what it says, written once for all of it.
type brief struct{ header, value string }

// SetData replaces what services know of the socket as its data, JSON that is not changed any more; nil for none. It was ordered at a
// sequence of the stream, 0 if it is what middlewares say: an order that was lost at first, and is found late, leaves what a later
// one has set.
func (s *Socket) SetData(data json.RawMessage, sequence uint64) {
	s.mu.Lock()
	late := sequence < s.orders.data
	if !late {
		s.orders.data = sequence
		s.setData(data)
	}
	s.mu.Unlock()
	if !late {
		s.keep(nil)
	}
}

// setData is SetData for who holds mu, or has the socket alone, and does not store the session.
func (s *Socket) setData(data json.RawMessage) {
	s.data = data
	s.brief.header, s.brief.value = contract.FormatData(data)
}

// DataHeader is the header that tells services of the socket's data; "" if it has none.
func (s *Socket) DataHeader() (header, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.brief.header, s.brief.value
}

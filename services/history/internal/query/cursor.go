package query

import (
	"errors"
	"strconv"
	"strings"

	"github.com/natter-io/natter/services/history/internal/record"
)

// cursor is where a page of an export begins: behind a message, behind a change in its trail, behind a mark, or behind a change
// of what somebody else said.
type cursor struct {
	id     record.ID
	within bool  // the message itself, from behind the change on
	change int64 // 0 is before the first one
	marks  bool
	place  record.Place // of the mark; the zero one is before the first
	did    bool         // changes of what others said, from behind the change on
}

const (
	marksPrefix = "reads."
	didPrefix   = "changes."
)

var errCursor = errors.New("it is neither the next of a page nor the id of a message")

func (c cursor) String() string {
	switch {
	case c.marks:
		return marksPrefix + c.place.Namespace + "." + c.place.Target
	case c.did:
		return didPrefix + strconv.FormatInt(c.change, 10)
	case c.within:
		return c.id.String() + "." + strconv.FormatInt(c.change, 10)
	}
	return c.id.String()
}

// parseCursor reads one; "" is the beginning.
func parseCursor(s string) (c cursor, err error) {
	if s == "" {
		return c, nil
	}
	if place, ok := strings.CutPrefix(s, marksPrefix); ok {
		if strings.ContainsFunc(place, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return c, errCursor
		}
		c.marks = true
		if c.place.Namespace, c.place.Target, ok = strings.Cut(place, "."); !ok {
			return c, errCursor
		}
		return c, nil
	}
	if number, ok := strings.CutPrefix(s, didPrefix); ok {
		c.did = true
		if c.change, err = strconv.ParseInt(number, 10, 64); err != nil || c.change < 0 {
			return c, errCursor
		}
		return c, nil
	}
	id, change, within := strings.Cut(s, ".")
	if c.id, err = record.ParseID(id); err != nil {
		return c, errCursor
	}
	if c.within = within; within {
		if c.change, err = strconv.ParseInt(change, 10, 64); err != nil || c.change < 0 {
			return c, errCursor
		}
	}
	return c, nil
}

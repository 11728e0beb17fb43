package record

import (
	"bytes"
	"slices"

	"github.com/natter-io/natter/pkg/socketio"
)

// AroundPage is how deep an event is nested in the packet by which a client gets a page: in its arguments, the page, its messages, and one of these.
const AroundPage = 4

// Fits says whether gateways hand an event on that is nested so deep in what they send: it is text, and not nested too deep. What earlier versions
// have stored need not be so.
func Fits(event []byte, around int) bool {
	if bytes.Count(event, []byte("["))+bytes.Count(event, []byte("{")) > socketio.MaxDepth-around {
		event = slices.Concat(bytes.Repeat([]byte("["), around), event, bytes.Repeat([]byte("]"), around))
	}
	return socketio.ValidArgs(event, 0) == nil
}

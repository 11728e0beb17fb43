package parser_test

import (
	"testing"

	"github.com/natter-io/natter/pkg/socketio"
	"github.com/natter-io/natter/services/gateway/internal/parser"
)

var parsers = map[string]parser.Parser{"default": parser.Default, "msgpack": parser.Msgpack}

// message is an event as a client of the parser sends it, and whether it is binary.
func message(t testing.TB, p parser.Parser) (data []byte, binary bool) {
	t.Helper()
	if p == parser.Msgpack {
		data, err := socketio.AppendMsgpackEvent(nil, socketio.Head{Namespace: "/admin"}, array, nil)
		if err != nil {
			t.Fatal(err)
		}
		return data, true
	}
	return socketio.AppendEvent(nil, socketio.Head{Namespace: "/admin"}, array), false
}

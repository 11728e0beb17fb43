package parser_test

import (
	"testing"

	"github.com/natter-io/natter/pkg/socketio"
	"github.com/natter-io/natter/services/gateway/internal/parser"
)

var parsers = map[string]parser.Parser{"default": parser.Default}

// message is an event as a client of the parser sends it, and whether it is binary.
func message(t testing.TB, p parser.Parser) (data []byte, binary bool) {
	t.Helper()
	return socketio.AppendEvent(nil, socketio.Head{Namespace: "/admin"}, array), false
}
